/** Trains a method: `node tools/train.ts --help`. */
import { existsSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { FolderTakenError, type Held, takeFolder } from "../../models/training/lock.ts";
import { RunFolder, sameConfiguration } from "../../models/training/run-folder.ts";
import { itemsOf } from "../../promptgen/benchmark.ts";
import { checkExtension, extend, hasEnded, setAside } from "../../promptgen/extension.ts";
import { memoryOf } from "../../promptgen/memory.ts";
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
  SHARED_OPTIONS,
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
import {
  checkDevice,
  DEVICE_OPTIONS,
  exitCodeOf,
  modelDirectory,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  output,
  printResult,
  say,
  UsageError,
} from "../lib/cli.ts";
import type { Command } from "../lib/command.ts";
import { conclude } from "../lib/conclude.ts";
import { twoColumns } from "../lib/help.ts";
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
const FIRST: Record<string, OptionSpec> = {
  method: {
    value: "NAME",
    help: METHODS.map(({ name }) => name).join(", "),
    initial: "promptgen",
    choices: METHODS.map(({ name }) => name),
  },
  world: {
    help: "take what suits the embedded world, which is what is asked where no --data and no model is named; options that are given still count",
  },
  ...specsOf({ data: SHARED_OPTIONS.data, reader: SHARED_OPTIONS.reader }),
  out: { value: "DIR", help: "folder of the run", initial: "a new one in runs/" },
  resume: {
    value: "RUN",
    help: "go on with a run that was stopped, with its own options; one that differs is refused, but more --epochs extend a run that has ended",
  },
};
const LAST = {
  relations: { value: "IDS", help: "relations to use, as in P36,P17", initial: "all" },
  mlm: { value: "DIR or NAME", help: "another name of --reader" },
  "save-every": {
    value: "N",
    help: "steps between two saves of the last checkpoint, beside those at evaluations",
    initial: "50",
  },
  tensorboard: { help: "writes event files for TensorBoard into the run's folder too" },
  ...WATCH_OPTION,
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

type Given = Readonly<Record<string, string | undefined>>;

/** What tells the method from others stands before what it shares with them. */
const specs = (method: Method): Record<string, OptionSpec> => ({
  ...FIRST,
  ...specsOf(method.options),
  ...specsOf(SHARED_OPTIONS),
  ...LAST,
});

const NOTES = `Methods, each with options of its own: npx promptgen train --method NAME --help
${twoColumns(METHODS.map(({ name, summary }) => [name, summary] as const))}

A run's folder holds run.json (options), log.jsonl (one line an evaluation), steps.bin (a record a step), best/ (what was kept),
last.safetensors (for --resume), results.json and, for every test fact, facts.jsonl and facts.csv; where a method has a prompt for
each relation, the second to the fifth stand in a folder for each. A first signal stops and saves, a second one ends the process at once. A run that is resumed
ends in the same bits as one that was never stopped. One process writes into a folder (.lock names it); another one is refused.`;

const examples = ({ name }: Method): Command["examples"] =>
  name === "promptgen"
    ? [
        [
          "--world",
          "PromptGen on the embedded world, in a minute without a GPU; the same as npm start",
        ],
        [
          "--generator facebook/bart-large --reader google-bert/bert-base-cased --data DIR",
          "the paper's models, downloaded once, with facts of your own and the paper's options",
        ],
        ["--world --alpha 0 --seed 2 --out runs/alpha0", 'without the "None" term'],
        ["--resume runs/NAME", "after Ctrl-C, a signal or a crash"],
        ["--resume runs/NAME --epochs 20", "goes on with a run that has ended"],
      ]
    : [
        [`--method ${name} --world`, "on the embedded world"],
        [
          `--method ${name} --reader google-bert/bert-base-cased --data DIR`,
          "the paper's masked LM, downloaded once, with facts of your own",
        ],
      ];

/** The command with the options of a method. @param saved the run that it goes on with */
const commandFor = (method: Method, saved?: RunFile): Command => ({
  name: TOOL,
  about: `Trains a way of asking a frozen masked LM for facts, keeps what is best on the dev facts, and asks the test facts. --method ${method.name}: ${method.summary}.`,
  examples: examples(method),
  options: specs(method),
  allHelp: method.name === "promptgen" ? "--help all" : `--method ${method.name} --help all`,
  notes: NOTES,
  screen: 40,
  writesFiles: true,
  owner: (name) => ownerOf(method, name),
  run: ({ values }) => main(method, values, saved),
});

/** With the options of the method that --method names, else of that of the run that --resume does. */
export const command: Command = {
  ...commandFor(methodOf("promptgen")),
  variant: {
    by: ["method", "resume"],
    async make({ method, resume }) {
      const saved =
        resume === undefined ? undefined : await readRun(new RunFolder(resolve(resume)));
      return commandFor(methodOf(method ?? saved?.options.method ?? "promptgen"), saved);
    },
  },
};

/** Options of all methods. */
export const completions: Command["options"] = Object.assign({}, ...METHODS.map(specs));

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

/** Of which methods an option is, where it is none of this one. */
function ownerOf(method: Method, name: string): string | undefined {
  const others = METHODS.filter(({ options }) => Object.hasOwn(options, name));
  if (others.length === 0) return undefined;
  return ` for --method ${method.name}: it is one of ${others.map((other) => other.name).join(", ")}`;
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

async function main(method: Method, given: Given, saved: RunFile | undefined): Promise<number> {
  const limits = { least: 1, ceiling: 1_000_000, whole: true };
  const saveEvery = numberOf(TOOL, "save-every", given["save-every"] ?? "50", limits);
  const { device } = checkDevice(TOOL, given);
  if (device === "cpu" && given.precision === "f16") {
    throw new UsageError(
      `[${TOOL}] --precision f16 is for GPUs, but --device is cpu; leave one of them out`,
    );
  }
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
  if (remark !== undefined) note(remark);
  await setAside(folder, saved);
  const { epochs } = saved.options.own;
  if (run.options.own.epochs === epochs) return saved;
  const extended = await extend(folder, saved, run);
  const { step } = extended.extended.at(-1) ?? { step: 0 };
  note(
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
    for (const remark of await checkFiles(saved, run.benchmark, folder)) note(remark);
  }
  const device = await deviceFor(TOOL, given, run, () => memoryOf(run), options.precision);
  note(`device: ${device.description}`);
  if (given.mlm !== undefined) note("--mlm is taken as --reader");
  note(run.benchmark.answers);
  for (const remark of run.remarks) note(remark);
  const { relations } = run.benchmark;
  const counts = (["train", "dev", "test"] as const).map(
    (split) => `${itemsOf(relations, split).length} ${split}`,
  );
  note(`${relations.length} relations: ${counts.join(", ")} facts`);
  const signal = onSignals();
  const file = await runFileOf(run, folder, saved, versionsOn(device));
  const { identity, earlier } = file;
  const memory = { device: device.stats.bytes };
  let said = "begins";
  if ("watch" in given) {
    const { serveRun } = await import("../lib/watch.ts"); // what draws takes a while to load
    const { url } = await serveRun(folder, rowOf(options), () => said);
    note(`follow it at ${url}`);
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
    note(`\nended by --patience ${options.own.patience} after step ${step} of ${steps}`);
  }
  const ended =
    outcome.finished && (await conclude(device, run, { folder, file }, outcome, signal, memory));
  if (!ended) {
    const when = outcome.finished
      ? "while the test facts were asked"
      : `after step ${step} of ${steps}`;
    printResult({ folder: where, stopped: signal.reason, step, steps }, () =>
      [
        `stopped by ${signal.reason} ${when}, saved`,
        `go on with: npx promptgen train --resume ${where}`,
      ].join("\n"),
    );
    return exitCodeOf(signal.reason);
  }
  if (output.json) {
    const results = await folder.readJson("results.json");
    console.log(JSON.stringify({ folder: where, ...results }));
  } else console.log(`\nsaved in ${where}; the paper's tables: npx promptgen evaluate ${where}`);
  return 0;
}
