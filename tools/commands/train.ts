/** Trains a method: `node tools/train.ts --help`. */
import { existsSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { itemsOf } from "../../promptgen/benchmark.ts";
import { checkExtension, extend, hasEnded, setAside } from "../../promptgen/extension.ts";
import { METHODS, methodOf } from "../../promptgen/methods/index.ts";
import type { Method } from "../../promptgen/methods/method.ts";
import type { Versions } from "../../promptgen/report/results.ts";
import {
  examinerOf,
  flatOptions,
  type Prepared,
  prepare,
  type RunOptions,
  rowOf,
  runOptions,
  WORLD,
} from "../../promptgen/run.ts";
import {
  beginRun,
  checkContents,
  checkFiles,
  noteVersions,
  type RunFile,
  readRun,
} from "../../promptgen/run-file.ts";
import { FolderTakenError, type Held, takeFolder } from "../../promptgen/training/lock.ts";
import { RunFolder, sameConfiguration } from "../../promptgen/training/run-folder.ts";
import {
  checkDevice,
  commandLine,
  DEVICE_OPTIONS,
  exitCodeOf,
  modelDirectory,
  numberOf,
  type OptionSpec,
  onSignals,
  optionHelp,
  runTool,
  say,
  UsageError,
} from "../lib/cli.ts";
import { conclude } from "../lib/conclude.ts";
import {
  checkedOptions,
  checkedRelations,
  deviceFor,
  specsOf,
  tableOf,
  WATCH_OPTION,
} from "../lib/run-options.ts";
import { trainAll } from "../lib/train-progress.ts";
import { versionsOn } from "../lib/versions.ts";

const TOOL = "train";

/** Options of every run that are no part of what it is. */
const FIRST = {
  method: { value: "NAME", help: METHODS.map(({ name }) => name).join(", "), initial: "promptgen" },
  world: {
    help: "take what suits the embedded world, which is what is asked where no --data and no model is named; options that are given still count",
  },
} satisfies Record<string, OptionSpec>;
const LAST = {
  relations: { value: "IDS", help: "relations to use, as in P36,P17", initial: "all" },
  mlm: { value: "DIR or NAME", help: "another name of --reader" },
  out: { value: "DIR", help: "folder of the run", initial: "a new one in runs/" },
  "save-every": {
    value: "N",
    help: "steps between two saves of the last checkpoint, beside those at evaluations",
    initial: "50",
  },
  resume: {
    value: "RUN",
    help: "go on with a run that was stopped, with its own options; one that differs is refused, but more --epochs extend a run that has ended",
  },
  tensorboard: { help: "writes event files for TensorBoard into the run's folder too" },
  ...WATCH_OPTION,
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

type Given = Readonly<Record<string, string | undefined>>;

const specs = (method: Method): Record<string, OptionSpec> => ({
  ...FIRST,
  ...specsOf(tableOf(method)),
  ...LAST,
});

const WIDEST = Math.max(...METHODS.map(({ name }) => name.length)) + 2;

const help = (
  method: Method,
): string => `Trains a way of asking a frozen masked LM for facts, keeps what is best on the dev facts, and asks the test facts.

Methods, each with options of its own (--method NAME --help)
${METHODS.map(({ name, summary }) => `  ${name.padEnd(WIDEST)}${summary}`).join("\n")}

${examples(method)}
  npx node tools/train.ts --resume runs/NAME
      after Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 or a crash: ends in the same bits as a run that was never stopped

Options of ${method.name}
${optionHelp(specs(method))}

A run's folder holds run.json (options), log.jsonl (one line an evaluation), steps.bin (a record a step), best/ (what was kept),
last.safetensors (for --resume), results.json and, for every test fact, facts.jsonl and facts.csv; where a method has a prompt for
each relation, the second to the fifth stand in a folder for each. Exit code 0: done; 1: an error, in one sentence (DEBUG=1 adds
the stack); 128 and the signal's number, as 130 or 143: stopped by it, saved. A
second signal ends the process at once. One process writes into a folder (.lock names it); another one is refused.
`;

const examples = ({ name }: Method): string =>
  name === "promptgen"
    ? `  npx node tools/train.ts --world
      PromptGen on the embedded world, in a minute without a GPU; the same as npm start
  npx node tools/train.ts --world --alpha 0 --seed 2 --out runs/alpha0
      without the "None" term
  npx node tools/train.ts --generator facebook/bart-large --reader google-bert/bert-base-cased --data DIR
      the paper's models, downloaded once, with facts of your own and the paper's options`
    : `  npx node tools/train.ts --method ${name} --world
      on the embedded world
  npx node tools/train.ts --method ${name} --reader google-bert/bert-base-cased --data DIR
      the paper's masked LM, downloaded once, with facts of your own`;

/** What of the options must be known before the others can be read. */
function peek(): { readonly method?: string; readonly resume?: string } {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: { method: { type: "string" }, resume: { type: "string" } },
    strict: false,
  });
  // an option behind it is no value, of which the options' own reader speaks
  const text = (value: unknown) =>
    typeof value === "string" && !value.startsWith("-") ? value : undefined;
  const [method, resume] = [text(values.method), text(values.resume)];
  return {
    ...(method === undefined ? {} : { method }),
    ...(resume === undefined ? {} : { resume }),
  };
}

/** A folder that this process writes into, and how to give it back. */
type Taken = { readonly folder: RunFolder; readonly held: Held };

/** A folder in runs/ that is not there yet, nor being made by a process beside this one. */
async function freshFolder({ method, data, seed, own }: RunOptions): Promise<Taken> {
  const what = method === "promptgen" ? `alpha${own.alpha}` : method;
  const name = `${data === WORLD ? "world" : "run"}-${what}-seed${seed}`;
  for (let i = 1; ; i++) {
    const path = resolve("runs", i === 1 ? name : `${name}-${i}`);
    if (existsSync(path)) continue;
    try {
      const held = await takeFolder(path);
      if (held.isNew) return { folder: new RunFolder(path), held };
      held.release();
    } catch (error) {
      if (!(error instanceof FolderTakenError)) throw error;
    }
  }
}

/** Throws for an option that only another method has, and says which. */
function checkOwner(method: Method): void {
  const known = specs(method);
  for (const word of process.argv.slice(2)) {
    const name = /^--([^=]+)/.exec(word)?.[1];
    if (name === undefined || name === "help" || Object.hasOwn(known, name)) continue;
    const others = METHODS.filter(({ options }) => Object.hasOwn(options, name));
    if (others.length === 0) continue;
    const names = others.map((other) => other.name).join(", ");
    throw new UsageError(
      `[${TOOL}] Unknown option '--${name}' for --method ${method.name}: it is one of ${names}; see --help`,
    );
  }
}

/** What was asked for on the command line, checked; nothing is filled in. */
function asked(method: Method, given: Given) {
  const { mlm, ...rest } = given;
  if (mlm !== undefined && rest.reader !== undefined) {
    throw new UsageError(`[${TOOL}] --mlm and --reader are one option; give one of them`);
  }
  const renamed = mlm === undefined ? rest : { ...rest, reader: mlm };
  return {
    ...(given.method === undefined ? {} : { method: given.method }),
    ...checkedOptions(TOOL, tableOf(method), renamed),
    ...checkedRelations(TOOL, given.relations),
  };
}

/** The run's folder, which is taken, and options, from the command line or from the run that is resumed. */
async function begin(
  method: Method,
  given: Given,
  saved: RunFile | undefined,
): Promise<Taken & { readonly options: RunOptions }> {
  const wanted = asked(method, given);
  if (given.resume !== undefined && saved) {
    const folder = new RunFolder(resolve(given.resume));
    if (given.out !== undefined && resolve(given.out) !== folder.path) {
      throw new UsageError(
        `[${TOOL}] --out is ${given.out}, but --resume goes on in ${given.resume}; leave --out out`,
      );
    }
    if ("world" in given) {
      throw new UsageError(
        `[${TOOL}] --world chooses options of a new run, but --resume goes on with those of ${given.resume}; leave --world out`,
      );
    }
    const held = await takeFolder(folder.path);
    try {
      const { epochs, ...others } = wanted as { readonly epochs?: number };
      const had = saved.options.own.epochs;
      if (epochs === undefined || !(epochs > Number(had) || (await hasEnded(folder, saved)))) {
        sameConfiguration({ ...flatOptions(saved.options) }, wanted, given.resume);
        return { folder, options: saved.options, held };
      }
      sameConfiguration({ ...flatOptions(saved.options) }, others, given.resume);
      await checkExtension(folder, saved, epochs, given.resume);
      const options = { ...saved.options, own: { ...saved.options.own, epochs } };
      return { folder, options, held };
    } catch (error) {
      held.release();
      throw error;
    }
  }
  const options = runOptions({ ...wanted, method: method.name }, "world" in given);
  if (given.out === undefined) return { ...(await freshFolder(options)), options };
  if (given.out.trim() === "" || isFile(given.out)) {
    throw new UsageError(`[${TOOL}] --out is "${given.out}", which is no folder; name a new one`);
  }
  const folder = new RunFolder(resolve(given.out));
  const held = await takeFolder(folder.path);
  if (folder.exists()) {
    throw new UsageError(
      `[${TOOL}] ${given.out} holds a run already; go on with --resume ${given.out}, or name another --out`,
    );
  }
  return { folder, options, held };
}

const isFile = (path: string): boolean => existsSync(path) && !statSync(path).isDirectory();

async function main(): Promise<number> {
  const first = peek();
  const saved =
    first.resume === undefined ? undefined : await readRun(new RunFolder(resolve(first.resume)));
  const method = methodOf(first.method ?? saved?.options.method ?? "promptgen");
  checkOwner(method);
  const line = commandLine(TOOL, specs(method), help(method));
  if (!line) return 0;
  if (line.positionals.length > 0) {
    throw new UsageError(`[${TOOL}] ${line.positionals[0]} is no option; see --help`);
  }
  const given: Given = line.values;
  const limits = { least: 1, ceiling: 1_000_000, whole: true };
  const saveEvery = numberOf(TOOL, "save-every", given["save-every"] ?? "50", limits);
  checkDevice(TOOL, given);
  const { folder, options, held } = await begin(method, given, saved);
  try {
    if (held.remark !== "") say(`${held.remark}\n`);
    return await trained(given, { folder, options, saved, saveEvery });
  } finally {
    held.release();
  }
}

/** run.json as it is from here on: of a run that begins, goes on, or is extended. */
async function runFileOf(
  run: Prepared,
  folder: RunFolder,
  found: RunFile | undefined,
  versions: Versions,
): Promise<RunFile> {
  if (!found) return beginRun(folder, run, versions);
  const { saved, remark } = await noteVersions(folder, found, versions);
  if (remark !== undefined) console.log(remark);
  await setAside(folder, saved);
  const { epochs } = saved.options.own;
  if (run.options.own.epochs === epochs) return saved;
  const extended = await extend(folder, saved, run);
  const { step } = extended.extended.at(-1) ?? { step: 0 };
  console.log(
    `extended from ${epochs} epochs to ${run.options.own.epochs}, from step ${step} on: the rate falls anew from its peak`,
  );
  return extended;
}

/** Trains in a folder that is taken, and asks the test facts; gives the exit code. */
async function trained(
  given: Given,
  {
    folder,
    options,
    saved,
    saveEvery,
  }: {
    readonly folder: RunFolder;
    readonly options: RunOptions;
    readonly saved: RunFile | undefined;
    readonly saveEvery: number;
  },
): Promise<number> {
  const run = await prepare(options, { locate: (name) => modelDirectory(name) });
  if (saved) {
    checkContents(saved, run);
    for (const remark of await checkFiles(saved, run.benchmark, folder)) console.log(remark);
  }
  const device = await deviceFor(TOOL, given, run);
  console.log(`device: ${device.description}`);
  if (given.mlm !== undefined) console.log("--mlm is taken as --reader");
  console.log(run.benchmark.answers);
  for (const remark of run.remarks) console.log(remark);
  const { relations } = run.benchmark;
  const counts = (["train", "dev", "test"] as const).map(
    (split) => `${itemsOf(relations, split).length} ${split}`,
  );
  console.log(`${relations.length} relations: ${counts.join(", ")} facts`);
  const signal = onSignals();
  const file = await runFileOf(run, folder, saved, versionsOn(device));
  const { identity, earlier } = file;
  const memory = { device: device.stats.bytes };
  let said = "begins";
  if ("watch" in given) {
    const { serveRun } = await import("../lib/watch.ts"); // what draws takes a while to load
    const { url } = await serveRun(folder, rowOf(options), () => said);
    console.log(`follow it at ${url}`);
  }
  const outcome = await trainAll(
    device,
    run,
    {
      folder,
      resume: saved !== undefined,
      saveEvery,
      signal,
      identity,
      earlier,
      tensorboard: "tensorboard" in given,
      examiner: examinerOf(device, run, "dev"),
    },
    memory,
    (what) => {
      said = what;
    },
  );
  said = "asks the test facts";
  const where = relative(process.cwd(), folder.path) || ".";
  const { step, steps, early = 0 } = outcome;
  if (early > 0) {
    console.log(`\nended by --patience ${options.own.patience} after step ${step} of ${steps}`);
  }
  const ended =
    outcome.finished && (await conclude(device, run, { folder, file }, outcome, signal, memory));
  if (!ended) {
    const when = outcome.finished
      ? "while the test facts were asked"
      : `after step ${step} of ${steps}`;
    console.log(`stopped by ${signal.reason} ${when}, saved`);
    console.log(`go on with: npx node tools/train.ts --resume ${where}`);
    return exitCodeOf(signal.reason);
  }
  console.log(`\nsaved in ${where}; the paper's tables: npx node tools/evaluate.ts ${where}`);
  return 0;
}

await runTool(main, { writesFiles: true });
