/** Trains PromptGen: `node tools/train.ts --help`. */
import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { loadSystem, type System } from "../../promptgen/methods/promptgen/system.ts";
import {
  Examiner,
  templateScores,
  trainPromptGen,
} from "../../promptgen/methods/promptgen/trainer.ts";
import { majorityScores } from "../../promptgen/report/report.ts";
import type { Outcome } from "../../promptgen/training/loop.ts";
import { RunFolder, sameConfiguration } from "../../promptgen/training/run-folder.ts";
import {
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  numberOf,
  type OptionSpec,
  onSignals,
  optionHelp,
  optionsOnly,
  Progress,
  Rate,
  runTool,
  UsageError,
} from "../lib/cli.ts";
import { comparison, explanation } from "../lib/summary.ts";
import {
  CHOICES,
  copyTokenizer,
  identityOf,
  loadGenerator,
  located,
  type RunFile,
  type RunOptions,
  readRun,
  settingsOf,
  sourcesOf,
  WORLD,
} from "./runs.ts";

const TOOL = "train";

/** The paper's options; batch size and epochs are ours. */
const PAPER = {
  alpha: 0.3,
  m: 10,
  n: 5,
  lr: 5e-5,
  warmup: 0.1,
  "weight-decay": 1e-3,
  "batch-size": 32,
  epochs: 10,
  seed: 1,
};

/** What suits the embedded world; the rest is as in the paper. */
const SMALL: Partial<typeof PAPER> = { lr: 1e-4, epochs: 12 };

const shown = (name: keyof typeof PAPER): string =>
  name in SMALL ? `${PAPER[name]}; with --world ${SMALL[name]}` : String(PAPER[name]);

const OPTIONS = {
  world: { help: "train on the embedded world with what suits it; other options still count" },
  generator: {
    value: "DIR or NAME",
    help: "BART checkpoint that writes prompts: a directory with config.json, weights and tokenizer, or a name on the Hugging Face Hub as facebook/bart-large",
    initial: "the embedded tiny one",
  },
  mlm: {
    value: "DIR or NAME",
    help: "BERT or RoBERTa checkpoint that reads them, as google-bert/bert-base-cased; it is never changed",
    initial: "the embedded tiny one",
  },
  data: {
    value: "DIR",
    help: "facts in the layout of the OptiPrompt archive: autoprompt_data/, LAMA-TREx/, relation_metainfo/, common_vocabs/",
    initial: "the embedded facts",
  },
  relations: { value: "IDS", help: "relations to use, as in P36,P17", initial: "all" },
  alpha: {
    value: "X",
    help: 'weight of the term that punishes answers that need no subject: log P(object | "None")',
    initial: shown("alpha"),
  },
  m: { value: "N", help: "soft words before the mask", initial: shown("m") },
  n: { value: "N", help: "soft words behind the mask", initial: shown("n") },
  lr: { value: "X", help: "peak learning rate of AdamW", initial: shown("lr") },
  warmup: {
    value: "X",
    help: "share of the steps in which the rate rises; it then falls to 0",
    initial: shown("warmup"),
  },
  "weight-decay": { value: "X", help: "decoupled decay", initial: shown("weight-decay") },
  "batch-size": { value: "N", help: "facts a step", initial: shown("batch-size") },
  epochs: { value: "N", help: "passes over the training facts", initial: shown("epochs") },
  seed: { value: "N", help: "decides order and dropout", initial: shown("seed") },
  out: { value: "DIR", help: "folder of the run", initial: "a new one in runs/" },
  "save-every": {
    value: "N",
    help: "steps between two saves of the last checkpoint, beside those at evaluations",
    initial: "50",
  },
  resume: {
    value: "RUN",
    help: "go on with a run that was stopped, with its own options; one that differs is refused",
  },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

const HELP = `Trains PromptGen: a BART writes m + n soft words around [MASK] for each fact, a frozen BERT reads them and names the object.
All relations are trained together. Three times an epoch the dev facts are asked; the best generator is kept.

  npx node tools/train.ts --world
      the embedded world, in some minutes without a GPU; the same as npm start
  npx node tools/train.ts --world --alpha 0 --seed 2 --out runs/alpha0
      without the "None" term
  npx node tools/train.ts --generator facebook/bart-large --mlm google-bert/bert-base-cased --data DIR
      the paper's models, downloaded once, with facts of your own and the paper's options
  npx node tools/train.ts --resume runs/alpha0
      after Ctrl-C, SIGTERM or a crash: ends in the same bits as a run that was never stopped

Options
${optionHelp(OPTIONS)}

A run's folder holds run.json (options), log.jsonl (one line an evaluation), best/ (a checkpoint directory that --generator
takes), last.safetensors (for --resume) and results.json. Exit code 0: done; 1: an error, in one sentence (DEBUG=1 adds the
stack); 130 or 143: stopped by a signal, saved.
`;

type Given = Partial<Record<keyof typeof OPTIONS, string>>;

const LIMITS: Readonly<
  Record<keyof typeof PAPER, { least: number; most?: number; whole?: boolean }>
> = {
  alpha: { least: 0 },
  m: { least: 1, whole: true },
  n: { least: 0, whole: true },
  lr: { least: 0 },
  warmup: { least: 0, most: 1 },
  "weight-decay": { least: 0 },
  "batch-size": { least: 1, whole: true },
  epochs: { least: 1, whole: true },
  seed: { least: 0, whole: true },
};

/** The options that were given, checked; nothing is filled in. */
function checked(given: Given): Partial<RunOptions> {
  const numbers = (Object.keys(LIMITS) as (keyof typeof PAPER)[]).flatMap((name) => {
    const text = given[name];
    return text === undefined ? [] : [[name, numberOf(TOOL, name, text, LIMITS[name])]];
  });
  const folders = (["generator", "mlm", "data"] as const).flatMap((name) => {
    const folder = given[name];
    if (folder === undefined) return [];
    if (existsSync(folder)) return [[name, resolve(folder)]];
    if (name !== "data" && /^\w[\w.-]*\/\w[\w.-]*$/.test(folder)) return [[name, folder]];
    const remedy = name === "data" ? "name a folder" : "name a folder, or a model as owner/name";
    throw new UsageError(`[${TOOL}] --${name} is ${folder}, which does not exist; ${remedy}`);
  });
  const relations = given.relations?.split(",").map((id) => id.trim());
  if (relations?.includes("")) {
    throw new UsageError(`[${TOOL}] --relations is "${given.relations}"; write ids as in P36,P17`);
  }
  return {
    ...Object.fromEntries([...numbers, ...folders]),
    ...(relations ? { relations: [...new Set(relations)].sort().join(",") } : {}),
  };
}

/** A folder in runs/ that is not there yet. */
function freshFolder({ alpha, seed, data }: RunOptions): string {
  const name = `${data === WORLD ? "world" : "run"}-alpha${alpha}-seed${seed}`;
  for (let i = 1; ; i++) {
    const path = resolve("runs", i === 1 ? name : `${name}-${i}`);
    if (!existsSync(path)) return path;
  }
}

/** The run's folder and options, from the command line or from the run that is resumed. */
async function prepare(
  given: Given,
): Promise<{ folder: RunFolder; saved?: RunFile; options: RunOptions }> {
  const asked = checked(given);
  if (given.resume !== undefined) {
    const folder = new RunFolder(resolve(given.resume));
    if (given.out !== undefined && resolve(given.out) !== folder.path) {
      throw new UsageError(
        `[${TOOL}] --out is ${given.out}, but --resume goes on in ${given.resume}; leave --out out`,
      );
    }
    const saved = await readRun(folder);
    sameConfiguration({ ...saved.options }, { ...asked }, given.resume);
    return { folder, saved, options: saved.options };
  }
  const folders = { generator: WORLD, mlm: WORLD, data: WORLD, relations: "" };
  const world = "world" in given ? SMALL : {};
  const options: RunOptions = { ...folders, ...PAPER, ...world, ...asked };
  const folder = new RunFolder(given.out === undefined ? freshFolder(options) : resolve(given.out));
  if (folder.exists()) {
    throw new UsageError(
      `[${TOOL}] ${given.out} holds a run already; go on with --resume ${given.out}, or name another --out`,
    );
  }
  return { folder, options };
}

/** Throws when the data or a model is not what the run was started with. */
function checkContents(saved: RunFile, { contents }: System): void {
  for (const name of Object.keys(contents) as (keyof typeof contents)[]) {
    if (saved.contents[name] === contents[name]) continue;
    throw new UsageError(
      `[resume] --${name}: the contents of ${saved.options[name]} have changed since the run was started; restore them or start another run`,
    );
  }
}

async function main(): Promise<number> {
  const values = optionsOnly(TOOL, OPTIONS, HELP);
  if (!values) return 0;
  const every = numberOf(TOOL, "save-every", values["save-every"] ?? "50", {
    least: 1,
    whole: true,
  });
  const { folder, saved, options } = await prepare(values);
  const sources = sourcesOf(await located(options));
  const system = await loadSystem(sources);
  if (saved) checkContents(saved, system);
  const signal = onSignals();
  const device = await deviceOf(TOOL, values);
  console.log(`device: ${device.description}`);
  for (const remark of system.remarks) console.log(remark);
  const { train, dev, test } = system.items;
  console.log(
    `${system.relations.length} relations: ${train.length} train, ${dev.length} dev, ${test.length} test facts; ` +
      `${system.vocabulary.size} common words`,
  );
  if (!saved) {
    await folder.begin({ options: { ...options }, contents: system.contents, choices: CHOICES });
    await copyTokenizer(sources.generator, folder.best);
  }
  const examiner = new Examiner(device, system, options["batch-size"]);
  const resume = saved !== undefined;
  const outcome = await trainAll(device, system, options, folder, resume, signal, examiner, every);
  const where = relative(process.cwd(), folder.path) || ".";
  if (!outcome.finished) {
    console.log(
      `stopped by ${signal.reason} after step ${outcome.step} of ${outcome.steps}, saved`,
    );
    console.log(`go on with: npx node tools/train.ts --resume ${where}`);
    return exitCodeOf(signal.reason);
  }
  await loadGenerator(device, system, folder.best);
  await conclude(device, system, options, folder, outcome, examiner);
  console.log(`\nsaved in ${where}; the paper's tables: npx node tools/evaluate.ts ${where}`);
  return 0;
}

async function trainAll(
  device: Device,
  system: System,
  options: RunOptions,
  folder: RunFolder,
  resume: boolean,
  signal: AbortSignal,
  examiner: Examiner,
  saveEvery: number,
): Promise<Outcome> {
  const rate = new Rate();
  let bar: Progress | undefined;
  let dev = "";
  try {
    return await trainPromptGen({
      device,
      system,
      examiner,
      folder,
      resume,
      signal,
      identity: identityOf(options, system),
      saveEvery,
      settings: settingsOf(options),
      onStep({ step, steps, items, terms }) {
        bar ??= new Progress("training", steps, step - 1, "facts/s");
        const losses = `object ${terms.object.toFixed(2)} none ${terms.none.toFixed(2)}`;
        bar.update(step, `${losses}${dev}`, rate.add(items));
      },
      onEvaluation({ devAccuracy, devNone }) {
        dev = ` dev ${Number(devAccuracy).toFixed(1)} "None" ${Number(devNone).toFixed(1)}`;
      },
    });
  } finally {
    bar?.stop();
  }
}

/** Asks the test facts with the best generator; prints and saves what came out. */
async function conclude(
  device: Device,
  system: System,
  options: RunOptions,
  folder: RunFolder,
  outcome: Outcome,
  examiner: Examiner,
): Promise<void> {
  const { relations, items } = system;
  let bar: Progress | undefined;
  const measured = await examiner.measure(items.test, {
    onProgress(done) {
      if (items.test.length < 2000) return;
      bar ??= new Progress("test facts", items.test.length, 0, "facts/s");
      bar.update(done, "", "");
    },
  });
  bar?.stop();
  if (!measured) return;
  const majority = majorityScores(relations);
  const manual = await templateScores(device, system);
  const { best } = outcome;
  console.log(
    `\nbest dev accuracy ${best?.score.toFixed(1)} after step ${best?.step} of ${outcome.steps}. ` +
      `Accuracy on ${items.test.length} test facts, per cent:\n`,
  );
  const columns = [
    { title: "majority", scores: majority },
    { title: "manual", scores: manual },
    { title: "PromptGen", scores: measured.scores },
    { title: '"None"', scores: measured.none },
  ];
  console.log(comparison(relations, columns));
  console.log(
    `\n${measured.distinct} different prompts for ${items.test.length} facts. Some of them, in words (the most probable of each slot):`,
  );
  const examples = pick(system);
  const explained = await examiner.probe.explain(examples.map(({ example }) => example));
  examples.forEach((item, i) => {
    console.log(`\n${explanation(item, explained[i], system)}`);
  });
  const scores = (column: (typeof columns)[number]) => Object.fromEntries(column.scores);
  await folder.writeJson("results.json", {
    options: { ...options },
    best,
    test: Object.fromEntries(
      columns.map((column) => [column.title.replaceAll('"', ""), scores(column)]),
    ),
    distinctPrompts: measured.distinct,
  });
}

/** One test fact of each of five relations, of different types where there are some. */
function pick({ relations, items }: System): System["items"]["test"] {
  const step = Math.max(1, Math.floor(relations.length / 5));
  const chosen = relations.filter((_, i) => i % step === 0).slice(0, 5);
  return chosen.flatMap((relation) =>
    items.test.filter((item) => item.relation.id === relation.id).slice(0, 1),
  );
}

await runTool(main);
