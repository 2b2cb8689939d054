/** Trains a method: `node tools/train.ts --help`. */
import { existsSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { type Item, itemsOf } from "../../promptgen/benchmark.ts";
import type { Relation } from "../../promptgen/facts/facts.ts";
import { countLeftOut } from "../../promptgen/facts/left-out.ts";
import type { Measured } from "../../promptgen/measure.ts";
import { memoryOf } from "../../promptgen/memory.ts";
import { METHODS, methodOf } from "../../promptgen/methods/index.ts";
import type { Method } from "../../promptgen/methods/method.ts";
import { comparison } from "../../promptgen/report/comparison.ts";
import { factFigures, writeFactRows } from "../../promptgen/report/fact-rows.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import { resultsOf } from "../../promptgen/report/results.ts";
import { printTable } from "../../promptgen/report/table.ts";
import {
  bestPrompter,
  examinerOf,
  fewerFacts,
  flatOptions,
  type Prepared,
  prepare,
  prepareOn,
  type RunOptions,
  rowOf,
  runOptions,
  SHARED_OPTIONS,
  secondsOf,
  trainRun,
  WORLD,
  warningsOf,
} from "../../promptgen/run.ts";
import {
  beginRun,
  checkContents,
  checkFiles,
  type RunFile,
  readRun,
} from "../../promptgen/run-file.ts";
import { resultsOfFacts, TestAsker } from "../../promptgen/test-facts.ts";
import { FolderTakenError, type Held, takeFolder } from "../../promptgen/training/lock.ts";
import type { Outcome } from "../../promptgen/training/loop.ts";
import { type Estimate, secondsLeft } from "../../promptgen/training/pace.ts";
import { RunFolder, sameConfiguration } from "../../promptgen/training/run-folder.ts";
import {
  checkDevice,
  DEVICE_OPTIONS,
  duration,
  exitCodeOf,
  modelDirectory,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  output,
  Progress,
  printResult,
  Rate,
  say,
  UsageError,
} from "../lib/cli.ts";
import type { Command } from "../lib/command.ts";
import { twoColumns } from "../lib/help.ts";
import {
  checkedOptions,
  checkedRelations,
  deviceFor,
  specsOf,
  tableOf,
} from "../lib/run-options.ts";
import { explanation } from "../lib/summary.ts";

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
    help: "go on with a run that was stopped, with its own options; one that differs is refused",
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

A run's folder holds run.json (options), log.jsonl (one line an evaluation), best/ (what was kept), last.safetensors (for
--resume), results.json and, for every test fact, facts.jsonl and facts.csv; where a method has a prompt for each relation, the
first four stand in a folder for each. A first signal stops and saves, a second one ends the process at once. A run that is resumed
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
    sameConfiguration({ ...flatOptions(saved.options) }, wanted, given.resume);
    return { folder, options: saved.options, held: await takeFolder(folder.path) };
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
  checkDevice(TOOL, given);
  const { folder, options, held } = await begin(method, given, saved);
  try {
    if (held.remark !== "") say(`${held.remark}\n`);
    return await trained(given, { folder, options, saved, saveEvery });
  } finally {
    held.release();
  }
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
  const device = await deviceFor(TOOL, given, run, () => memoryOf(run));
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
  const { identity } = saved ?? (await beginRun(folder, run));
  const memory = { device: device.stats.bytes };
  const outcome = await trainAll(
    device,
    run,
    {
      folder,
      resume: saved !== undefined,
      saveEvery,
      signal,
      identity,
      examiner: examinerOf(device, run, "dev"),
    },
    memory,
  );
  const where = relative(process.cwd(), folder.path) || ".";
  const ended = outcome.finished && (await conclude(device, run, folder, outcome, signal, memory));
  if (!ended) {
    const { step, steps, finished } = outcome;
    const when = finished ? "while the test facts were asked" : `after step ${step} of ${steps}`;
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

/** What the run says while it trains; the most bytes that the device held are noted in `memory`. */
async function trainAll(
  device: Device,
  run: Prepared,
  options: Omit<Parameters<typeof trainRun>[1], "device">,
  memory: { device: number },
): Promise<Outcome> {
  const [rate, asking] = [new Rate(), new Rate()];
  const { relations } = run.benchmark;
  let bar: Progress | undefined;
  let current: string | undefined;
  let dev = "";
  let asked = 0;
  let isSaid = false;
  /** Whether evaluations have a bar, for which that of the training goes away. */
  let hasBars = false;
  const close = (): void => {
    bar?.stop();
    bar = undefined;
  };
  try {
    return await trainRun(run, {
      ...options,
      device,
      onStep({ step, steps, items, terms, seconds, first, left }, relation) {
        memory.device = Math.max(memory.device, device.stats.bytes);
        if (relation?.id !== current) {
          close();
          current = relation?.id;
        }
        const place = relations.findIndex(({ id }) => id === relation?.id) + 1;
        const whole = left && wholeRun(left, steps, relations.slice(place - 1), relation);
        if (whole && !isSaid) {
          close();
          say(`${estimate(whole)}\n`);
          isSaid = true;
        }
        const what = relation ? `${relation.id} (${place} of ${relations.length})` : "training";
        bar ??= new Progress(what, steps, step - 1, "facts/s", hasBars);
        const losses = Object.entries(terms).map(([name, value]) => `${name} ${value.toFixed(2)}`);
        // a step in which a plan is made says nothing of the others
        const pace = first ? rate.text : rate.add(items, seconds);
        const rest = whole && duration(secondsLeft(whole));
        bar.update(step, `${losses.join(" ")}${dev}`, pace, rest);
      },
      onAsked(done, all, relation) {
        hasBars = all >= SHOWN;
        if (!hasBars) return;
        if (asked === 0) {
          close();
          const what = relation ? `${relation.id}, dev facts` : "dev facts";
          bar = new Progress(what, all, 0, "facts/s", true);
          asking.restart();
        } else bar?.update(done, "", asking.add(done - asked));
        asked = done < all ? done : 0;
        if (asked === 0) close();
      },
      onEvaluation({ devAccuracy, devNone }) {
        memory.device = Math.max(memory.device, device.stats.bytes);
        dev = ` dev ${Number(devAccuracy).toFixed(1)} "None" ${Number(devNone).toFixed(1)}`;
      },
    });
  } finally {
    close();
  }
}

/** Facts from which on asking them is long enough for a bar of its own. */
const SHOWN = 2000;

/**
 * What is left of all trainings where that is known of one: the relations behind it have as many steps as their facts make.
 * @param rest that relation and those behind it
 */
function wholeRun(
  left: Estimate,
  steps: number,
  rest: readonly Relation[],
  relation: Relation | undefined,
): Estimate {
  if (relation === undefined) return left;
  const ratio = (of: (one: Relation) => number) =>
    rest.slice(1).reduce((sum, one) => sum + of(one), 0) / of(relation);
  const evaluations = 1 + 3 * Math.ceil(left.evaluations / 3);
  return {
    ...left,
    steps: left.steps + Math.round(steps * ratio(({ train }) => train.length)),
    evaluations: left.evaluations + Math.round(evaluations * ratio(({ dev }) => dev.length)),
  };
}

/** The rest of a run in one line. */
function estimate(left: Estimate): string {
  const each = (seconds: number) =>
    seconds < 10 ? `${seconds.toPrecision(2)} s` : duration(seconds);
  const evaluations =
    left.evaluation === undefined
      ? `${left.evaluations} evaluations, of which none was timed yet`
      : `${left.evaluations} evaluations of ${each(left.evaluation)}`;
  return `about ${duration(secondsLeft(left))} left: ${left.steps} steps of ${each(left.step)}, ${evaluations}`;
}

/** Asks the test facts with the best prompter; saves what came out and prints it. False when the signal came. */
async function conclude(
  device: Device,
  run: Prepared,
  folder: RunFolder,
  outcome: Outcome,
  signal: AbortSignal,
  memory: { readonly device: number },
): Promise<boolean> {
  const { benchmark, method, options } = run;
  const { relations } = benchmark;
  const test = itemsOf(relations, "test");
  const asker = TestAsker.ofRun(device, run, await bestPrompter(run, device, folder));
  let bar: Progress | undefined;
  const asked = await asker.ask(options.seed, {
    signal,
    onProgress(done) {
      if (test.length < SHOWN) return;
      bar ??= new Progress("test facts", test.length, 0, "facts/s");
      bar.update(done, "", "");
    },
  });
  bar?.stop();
  if (!asked) return false;
  const { measured } = asked;
  for (const remark of asked.remarks) note(remark);
  const row = rowOf(options);
  const others = await baselines(device, run, signal);
  const shown = new Set(
    pick(
      relations,
      asked.facts.map(({ item }) => item),
    ),
  );
  if (signal.aborted) return false;
  const { best } = outcome;
  const alpha = typeof options.own.alpha === "number" ? options.own.alpha : undefined;
  const rows = [
    ...others.map((other) => resultOf(other.row, other.measured)),
    { row, ...resultsOfFacts(asked.rows), alpha },
  ];
  const warnings = await warningsOf(run, folder, measured);
  const results = resultsOf({
    method: method.name,
    row,
    options: flatOptions(options),
    best,
    distinctPrompts: measured.distinct,
    warnings,
    rows,
    leftOut: countLeftOut(benchmark.leftOut),
    remarks: run.remarks,
    seconds: await secondsOf(run, folder),
    memory: {
      resident: process.resourceUsage().maxRSS * 1024,
      device: Math.max(memory.device, device.stats.bytes),
    },
  });
  await writeFactRows(folder.path, asked.rows);
  await folder.writeJson("results.json", results);
  if (output.json) return true;
  const chosen = best
    ? `best dev accuracy ${best.score.toFixed(1)} after step ${best.step} of ${outcome.steps}. `
    : "";
  console.log(`\n${chosen}Accuracy on ${test.length} test facts, per cent:\n`);
  const columns = [
    ...others.map((other) => ({
      title: other.row.toLowerCase(),
      scores: other.measured.scores[0],
    })),
    { title: row, scores: measured.scores[0] },
    { title: '"None"', scores: measured.scores[1] },
  ];
  console.log(printTable(comparison(relationRows(relations), columns)));
  const { subjectEarned, mrr, precisionAt10 } = factFigures(asked.rows);
  console.log(
    `\nsubject-earned ${subjectEarned.toFixed(1)}: right with the own subject and with nothing else in its place. ` +
      `MRR ${mrr.toFixed(1)}, P@10 ${precisionAt10.toFixed(1)}`,
  );
  console.log(
    `\n${measured.distinct} different prompts for ${test.length} facts. Some of them, in words (the most probable of each slot):`,
  );
  for (const one of asked.facts) {
    if (shown.has(one.item)) console.log(`\n${explanation(one, benchmark)}`);
  }
  if (warnings.length > 0) console.log(`\n${warnings.join("\n")}`);
  return true;
}

const resultOf = (row: string, { scores: [own, none] }: Measured) => ({
  row,
  own,
  fillers: { None: none },
});

/** The majority object and the manual template on the test facts, beside a method that is neither. */
async function baselines(
  device: Device,
  { benchmark, method, options }: Prepared,
  signal: AbortSignal,
): Promise<{ readonly row: string; readonly measured: Measured }[]> {
  const { own: _, ...shared } = options;
  const found: { row: string; measured: Measured }[] = [];
  for (const name of ["majority", "template"]) {
    if (name === method.name) continue;
    const other = await prepareOn(benchmark, runOptions({ ...shared, method: name }));
    const fewer = fewerFacts(other, benchmark);
    if (fewer !== undefined) {
      note(fewer);
      continue;
    }
    const test = itemsOf(benchmark.relations, "test");
    const measured = await examinerOf(device, other).measure(test, { signal });
    if (measured) found.push({ row: rowOf(other.options), measured });
  }
  return found;
}

/** One test fact of each of five relations, of different types where there are some. */
function pick(relations: Prepared["benchmark"]["relations"], test: readonly Item[]): Item[] {
  const step = Math.max(1, Math.floor(relations.length / 5));
  const chosen = relations.filter((_, i) => i % step === 0).slice(0, 5);
  return chosen.flatMap(({ id }) => test.filter((item) => item.relation.id === id).slice(0, 1));
}
