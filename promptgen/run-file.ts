/** run.json of a run's folder: what a run was started with, and whether what is there is still that. */
import { existsSync } from "node:fs";
import type { JsonObject, RunFolder } from "../models/training/run-folder.ts";
import type { Benchmark } from "./benchmark.ts";
import { methodOf } from "./methods/index.ts";
import { untrained } from "./methods/method.ts";
import type { RunExtended, Versions } from "./report/results.ts";
import {
  devFacts,
  flatOptions,
  foldersOf,
  type Prepared,
  type RunOptions,
  runOptions,
} from "./run.ts";
import { partsOf, tokenizerFingerprint } from "./training/fingerprint.ts";

/** run.json. */
export type RunFile = {
  readonly options: RunOptions;
  readonly contents: Readonly<Record<string, string>>;
  /** What a checkpoint must share with the run that goes on from it. */
  readonly identity: string;
  /** What checkpoints share with it that are from before it was extended. */
  readonly earlier: readonly string[];
  /** What it had each time before it was extended. */
  readonly extended: readonly RunExtended[];
  /** What its processes ran on, as far as they differ; empty for a run from before that was noted. */
  readonly versions: readonly Versions[];
  /** Sentences about what was taken for something else. */
  readonly remarks: readonly string[];
};

/** Writes run.json into a new folder. @param versions what it runs on */
export async function beginRun(
  folder: RunFolder,
  run: Prepared,
  versions?: Versions,
): Promise<RunFile> {
  const { method, options, contents } = run;
  const flat = flatOptions(options);
  const choices = { ...sharedChoices(run), ...method.choices };
  const all = versions === undefined ? [] : [versions];
  await folder.begin({
    options: flat,
    contents,
    choices,
    ...(versions === undefined ? {} : { versions: all }),
  });
  const identity = JSON.stringify([flat, contents]);
  const own = { earlier: [], extended: [], versions: all, remarks: [] };
  return { options, contents, identity, ...own };
}

/** What the bits of a run may depend on, and how it is said. */
const COMPARED = {
  project: "the project's version",
  node: "Node",
  v8: "V8",
  platform: "the platform",
  build: "the device",
  webgpu: "the package webgpu",
} as const satisfies Partial<Record<keyof Versions, string>>;

/**
 * Takes what a run goes on with into its run.json, where that is not what it ran on before; gives the file as it then is, and the
 * sentence to say.
 */
export async function noteVersions(
  folder: RunFolder,
  saved: RunFile,
  now: Versions,
): Promise<{ readonly saved: RunFile; readonly remark: string | undefined }> {
  const before = saved.versions.at(-1);
  const keys = Object.keys(COMPARED) as (keyof typeof COMPARED)[];
  const other = before === undefined ? [] : keys.filter((key) => before[key] !== now[key]);
  if (before !== undefined && other.length === 0) return { saved, remark: undefined };
  const versions = [...saved.versions, now];
  await folder.writeJson("run.json", { ...(await folder.readJson("run.json")), versions });
  const changes = other.map(
    (key) => `${COMPARED[key]} was ${before?.[key] ?? "none"} and is ${now[key] ?? "none"}`,
  );
  const remark =
    before === undefined
      ? undefined
      : `[resume] ${changes.join(", ")}: that it ends in the bits of a run that was not stopped is no longer promised`;
  return { saved: { ...saved, versions }, remark };
}

const sharedChoices = (run: Prepared): JsonObject => {
  const { scope, train, options } = run.method;
  const { "eval-every": every = 0, patience = 0 } = run.options.own;
  const facts = Object.hasOwn(options, "dev-facts")
    ? `${devFacts(run).size} dev facts`
    : "dev facts";
  const often = Number(every) > 0 ? `every ${every} steps` : "three times an epoch";
  const end = Number(patience) > 0 ? `, until ${patience} in turn are no better` : "";
  const asked =
    scope === "all" ? `mean over relations on the ${facts}` : `the relation's of the ${facts}`;
  return {
    selection:
      train === untrained
        ? "none, nothing is trained"
        : `${asked}, before the first step and ${often}${end}`,
    answers: "argmax over the common words that are one token of the masked LM",
  };
};

type Json = Readonly<Record<string, unknown>>;

const isListOf = (value: unknown, fits: (one: Json) => boolean): value is readonly Json[] =>
  Array.isArray(value) &&
  value.every((one) => typeof one === "object" && one !== null && fits(one));

/** Reads run.json, also one from before there were methods, whose reader was called mlm. */
export async function readRun(folder: RunFolder): Promise<RunFile> {
  const file = await folder.readJson("run.json");
  const isObject = (value: unknown): value is Record<string, string> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const { options, contents, extended = [], versions = [] } = Object(file);
  const isText = (value: unknown) => typeof value === "string";
  const shared = ["data", "relations"].every((name) => isText(Object(options)[name]));
  if (
    !isObject(options) ||
    !shared ||
    !isObject(contents) ||
    !Object.values(contents).every(isText) ||
    !isListOf(extended, ({ epochs, step }) => [epochs, step].every(Number.isSafeInteger)) ||
    !isListOf(versions, (one) => Object.values(one).every(isText))
  ) {
    throw new Error(`[run] ${folder.path} is no run of tools/train.ts; name the folder of one`);
  }
  const renamed = ({ mlm, ...rest }: Record<string, string>) =>
    mlm === undefined ? rest : { reader: mlm, ...rest };
  try {
    return {
      options: runOptions(renamed(options)),
      contents: renamed(contents),
      identity: JSON.stringify([options, contents]),
      earlier: extended.map(({ epochs }) => JSON.stringify([{ ...options, epochs }, contents])),
      extended: extended as unknown as readonly RunExtended[],
      versions: versions as unknown as readonly Versions[],
      remarks:
        "mlm" in options
          ? [`[run] ${folder.file("run.json")} has mlm, which is taken as --reader`]
          : [],
    };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`[run] ${folder.file("run.json")}: ${why}; start another run`, { cause });
  }
}

/** Throws when the facts or a model are not what the run was started with; `contents` as of a benchmark or a prepared run. */
export function checkContents(
  saved: RunFile,
  { contents }: { readonly contents: Readonly<Record<string, string>> },
): void {
  for (const [name, fingerprint] of Object.entries(contents)) {
    const [old, oldTokenizer] = partsOf(saved.contents[name] ?? "");
    const [now, tokenizer] = partsOf(fingerprint);
    const isTokenizer = old === now;
    if (isTokenizer && (oldTokenizer === undefined || oldTokenizer === tokenizer)) continue;
    const given = flatOptions(saved.options)[name];
    const what = isTokenizer ? "the tokenizer files" : "the contents";
    throw new Error(
      `[run] --${name}: ${what} of ${given} have changed since the run was started; restore them or start another run`,
    );
  }
}

/**
 * Checks the files of a run that goes on or is asked; gives sentences about those that hold no checksum, and about what run.json
 * was taken for.
 * @throws one sentence for a file that is not what was written
 */
export async function checkFiles(
  { options, contents, remarks }: Pick<RunFile, "options" | "contents" | "remarks">,
  { relations }: Pick<Benchmark, "relations">,
  folder: RunFolder,
): Promise<string[]> {
  const method = methodOf(options.method);
  const found = await Promise.all(
    foldersOf({ method, benchmark: { relations } }, folder).map((own) => own.check()),
  );
  for (const [name, { kind }] of Object.entries(method.options)) {
    const [, tokenizer] = partsOf(contents[name] ?? "");
    if (kind !== "model" || tokenizer === undefined || !existsSync(folder.best)) continue;
    if ((await tokenizerFingerprint(folder.best)) === tokenizer) continue;
    throw new Error(
      `[run] the tokenizer files in ${folder.best} are not those of --${name}; copy them from ${options.own[name]}`,
    );
  }
  return [...remarks, ...found.flat()];
}
