/**
 * A run: options choose a method, facts and models; the method is trained into a folder; its best prompter is asked the test
 * facts. What a command line adds (names on the Hub, progress, words) comes from outside.
 */
import { existsSync, readdirSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { type Device, type Precision, precisions } from "../engine/device.ts";
import { printable } from "../models/errors.ts";
import type { Evaluation, Outcome, StepReport } from "../models/training/loop.ts";
import type { Seconds } from "../models/training/pace.ts";
import { type JsonObject, type LogRow, RunFolder } from "../models/training/run-folder.ts";
import {
  type Benchmark,
  type BenchmarkSources,
  type Item,
  itemsOf,
  loadBenchmark,
  OBJECT_SPELLINGS,
  type ObjectSpelling,
  READER_DTYPES,
  READER_WEIGHTS,
  type ReaderDtype,
  type ReaderKind,
  type ReaderWeights,
  SPLITS,
} from "./benchmark.ts";
import type { Fact, Relation, Split } from "./facts/facts.ts";
import { keptFacts, type LeftOut, listed } from "./facts/left-out.ts";
import { bucketsFor, Examiner, FILLERS, type Measured } from "./measure.ts";
import { methodOf } from "./methods/index.ts";
import { Joined, type Method, type Prompter } from "./methods/method.ts";
import { type Options, type OptionTable, optionsOf } from "./methods/options.ts";
import { Curves } from "./training/curves.ts";
import { diagnoses } from "./training/diagnosis.ts";
import { stratified } from "./training/sample.ts";
import { embeddedWorld } from "./world/world.ts";

/** What stands for a place of the embedded world in run.json, so that a run can be moved. */
export const WORLD = "world";

/** Options that every method has. */
export const SHARED_OPTIONS = {
  reader: {
    kind: "model",
    value: "DIR or NAME",
    help: "masked LM that is asked, BERT, RoBERTa or one of their kin, as google-bert/bert-base-cased; it is never changed",
    initial: WORLD,
    embedded: "bert",
  },
  data: {
    kind: "folder",
    value: "DIR",
    help: "facts in the layout of the OptiPrompt archive: autoprompt_data/, LAMA-TREx/, relation_metainfo/, common_vocabs/",
    initial: WORLD,
    embedded: "data",
  },
  objects: {
    kind: "choice",
    value: "CASE",
    help: "as-written, or lowercase: objects and answer words in lower case, which an uncased masked LM needs",
    initial: "as-written",
    choices: OBJECT_SPELLINGS,
  },
  "reader-weights": {
    kind: "choice",
    value: "WHICH",
    help: "trained, or random: a control, in which nobody knows the facts; --seed draws them",
    initial: "trained",
    choices: READER_WEIGHTS,
  },
  "reader-dtype": {
    kind: "choice",
    value: "DTYPE",
    help: "how the masked LM's matrices are kept: f32, or f16 or bf16 in half the memory, rounded; what is computed stays f32",
    initial: "f32",
    choices: READER_DTYPES,
  },
  precision: {
    kind: "choice",
    value: "P",
    help: "f32, or f16 on a GPU: matrix products take operands rounded to f16; weights, moments and sums stay f32, and the loss is scaled",
    initial: "f32",
    choices: precisions,
  },
  seed: {
    kind: "number",
    value: "N",
    help: "decides order, dropout and random starts",
    initial: 1,
    least: 0,
    ceiling: Number.MAX_SAFE_INTEGER,
    whole: true,
  },
} as const satisfies OptionTable;

/** The options that decide a run, by their names on the command line. */
export type RunOptions = {
  readonly method: string;
  /** Folders, or for models names on the Hub; "world" is what comes with the package. */
  readonly reader: string;
  readonly data: string;
  readonly objects: ObjectSpelling;
  readonly "reader-weights": ReaderWeights;
  readonly "reader-dtype": ReaderDtype;
  readonly precision: Precision;
  /** Ids joined by commas; empty for all. */
  readonly relations: string;
  readonly seed: number;
  /** Those of the method. */
  readonly own: Options;
};

/** Checks what was given and fills in the rest. Throws one sentence for what does not fit. */
export function runOptions(given: Options, world = false): RunOptions {
  const { method: name = "promptgen", relations = "", ...rest } = given;
  const method = methodOf(String(name));
  const all = optionsOf({ ...SHARED_OPTIONS, ...method.options }, rest, world);
  const {
    reader,
    data,
    objects,
    "reader-weights": weights,
    "reader-dtype": dtype,
    precision,
    seed,
    ...own
  } = all;
  return {
    method: method.name,
    reader: String(reader),
    data: String(data),
    objects: objects === "lowercase" ? objects : "as-written",
    "reader-weights": weights === "random" ? weights : "trained",
    "reader-dtype": READER_DTYPES.find((known) => known === dtype) ?? "f32",
    precision: precision === "f16" ? precision : "f32",
    relations: [
      ...new Set(
        String(relations)
          .split(",")
          .map((id) => id.trim()),
      ),
    ]
      .sort()
      .join(","),
    seed: Number(seed),
    own,
  };
}

/** As they stand in run.json and on the command line. */
export const flatOptions = ({ own, ...shared }: RunOptions): Options => ({ ...shared, ...own });

/** The seed of the reader's weights where they are random. */
export const readerSeedOf = ({
  "reader-weights": weights,
  seed,
}: RunOptions): number | undefined => (weights === "random" ? seed : undefined);

/** What a run's reader is beside its checkpoint. */
export const readerKindOf = (options: RunOptions): ReaderKind => ({
  readerSeed: readerSeedOf(options),
  readerDtype: options["reader-dtype"],
});

/** A run's row in the tables: its method's, which says so where the reader that it asks is random or rounded, or products are. */
export function rowOf(options: RunOptions): string {
  const method = methodOf(options.method);
  const own = method.row(options.own);
  if (method.readerless) return own;
  const row = options.precision === "f32" ? own : `${own}, products in ${options.precision}`;
  const { readerSeed, readerDtype = "f32" } = readerKindOf(options);
  const kind = [
    ...(readerSeed === undefined ? [] : ["random"]),
    ...(readerDtype === "f32" ? [] : [readerDtype]),
  ];
  return kind.length === 0 ? row : `${row}, ${kind.join(" ")} reader`;
}

/** A directory for the embedded world, a path, or what `locate` makes of another name. */
export type Locate = (name: string) => Promise<string>;
const asItIs: Locate = async (name) => name;

/** A run that can be trained or asked. */
export type Prepared = {
  readonly method: Method;
  readonly options: RunOptions;
  /** With the facts that the prompter can be asked about. */
  readonly benchmark: Benchmark;
  readonly prompter: Prompter;
  /** Widths of batches, see `bucketsFor`. */
  readonly buckets: readonly number[];
  /** Sentences about what was left out. */
  readonly remarks: readonly string[];
  /** Fingerprints of all that was read, by the option that names it. */
  readonly contents: Readonly<Record<string, string>>;
};

/** Where the facts and the reader are. */
export async function sourcesOf(
  options: RunOptions,
  locate: Locate = asItIs,
): Promise<BenchmarkSources> {
  const { data, reader, objects, relations } = options;
  const world = embeddedWorld();
  return {
    data: data === WORLD ? world.data : resolve(data),
    reader: reader === WORLD ? world.bert : await place(reader, locate),
    objects,
    relations: relations === "" ? undefined : relations.split(","),
    ...readerKindOf(options),
  };
}

const place = async (name: string, locate: Locate): Promise<string> =>
  isAbsolute(name) || existsSync(name) ? resolve(name) : locate(name);

/**
 * Loads the facts, the reader and the method's prompter.
 * @param saved where a trained prompter was saved; without it the prompter is that before training
 * @param locate makes a directory of a name on the Hub
 */
export async function prepare(
  options: RunOptions,
  {
    saved,
    locate = asItIs,
  }: { readonly saved?: string | undefined; readonly locate?: Locate } = {},
): Promise<Prepared> {
  return prepareOn(await loadBenchmark(await sourcesOf(options, locate)), options, {
    saved,
    locate,
  });
}

/** As `prepare`, on a benchmark that is loaded. */
export async function prepareOn(
  loaded: Benchmark,
  options: RunOptions,
  {
    saved,
    locate = asItIs,
  }: { readonly saved?: string | undefined; readonly locate?: Locate } = {},
): Promise<Prepared> {
  const method = methodOf(options.method);
  const world = embeddedWorld();
  const own: Record<string, string | number> = { ...options.own };
  for (const [name, option] of Object.entries(method.options)) {
    if ((option.kind !== "model" && option.kind !== "folder") || saved !== undefined) continue;
    const given = String(own[name]);
    const find = option.kind === "model" ? locate : asItIs;
    own[name] = given === WORLD ? world[option.embedded] : await place(given, find);
  }
  const prompter = await method.open(loaded, own, saved);
  const { relations, leftOut, message } = withinLimit(loaded.relations, prompter);
  return {
    method,
    options,
    benchmark: { ...loaded, relations, leftOut: [...loaded.leftOut, ...leftOut] },
    prompter,
    buckets: bucketsFor(prompter, relations),
    remarks: [...loaded.remarks, ...(prompter.remarks ?? []), ...(message === "" ? [] : [message])],
    contents: { ...loaded.contents, ...prompter.contents },
  };
}

/** Leaves out the facts whose question is too long, and the relations that lose a whole split by it. */
function withinLimit(
  relations: readonly Relation[],
  prompter: Prompter,
): {
  readonly relations: readonly Relation[];
  readonly leftOut: readonly LeftOut[];
  readonly message: string;
} {
  const subjects = (item: Item) => FILLERS.map((filler) => filler.of(item));
  const fits = (item: Item) =>
    prompter.width({ ...item, subjects: subjects(item) }) <= prompter.limit;
  const all = SPLITS.flatMap((split) => itemsOf(relations, split));
  const kept = keptFacts(relations, (fact, relation) =>
    fits({ relation, fact }) ? undefined : "tooLong",
  );
  const dropped = kept.leftOut.filter(({ reason }) => reason === "tooLong");
  if (dropped.length === 0) return { ...kept, message: "" };
  const message =
    `[data] ${dropped.length} of ${all.length} facts are too long for the models' positions, more than ` +
    `${prompter.limit} pieces (${printable(dropped[0].fact.subject.slice(0, 40))}, ...); they are left out`;
  if (kept.relations.length === 0) throw new Error(`${message}, and no relation is left`);
  const { emptied } = kept;
  const gone = emptied.length === 0 ? "" : `, and relations ${listed(emptied, 8)} with them`;
  return { ...kept, message: `${message}${gone}` };
}

/** Why a row beside others would be about fewer facts than they are, and is none; undefined where it is about the same. */
export function fewerFacts(run: Prepared, { relations, remarks }: Benchmark): string | undefined {
  const count = (own: readonly Relation[]) => itemsOf(own, "test").length;
  if (count(run.benchmark.relations) === count(relations)) return undefined;
  const said = run.remarks.filter((remark) => !remarks.includes(remark));
  return `${said.join(" ")}; without ${rowOf(run.options)}, for all rows are about the same facts`;
}

/** What of `relations` every one of some runs on one benchmark can be asked about, and the facts that one cannot. */
export function commonFacts(
  relations: readonly Relation[],
  runs: readonly Prepared[],
): ReturnType<typeof keptFacts> {
  const kept = runs.map(
    ({ benchmark }) =>
      new Set(SPLITS.flatMap((split) => itemsOf(benchmark.relations, split)).map((i) => i.fact)),
  );
  return keptFacts(relations, (fact) =>
    kept.every((own) => own.has(fact)) ? undefined : "otherRun",
  );
}

/** An examiner of the facts of a run. */
export const examinerOf = (device: Device, run: Prepared, split: Split = "test"): Examiner => {
  const { benchmark, prompter, buckets } = run;
  return new Examiner(device, benchmark, prompter, { buckets, batchSize: askedAtOnce(run, split) });
};

/** Facts that are asked in one batch: what is asked keeps nothing for gradients, so that small batches are of no use. */
const ASKED = 32;

/**
 * Facts of a split that are asked at a time: as many as a batch of training has, and 32 at least; fewer where facts are asked
 * relation by relation and none has as many.
 */
export function askedAtOnce(
  { benchmark, method, options }: Pick<Prepared, "benchmark" | "method" | "options">,
  split: Split,
): number {
  const own = Number(options.own["batch-size"] ?? ASKED);
  const wanted = Math.max(own, ASKED);
  if (method.scope === "all") return wanted;
  const most = benchmark.relations.reduce((n, relation) => Math.max(n, relation[split].length), 0);
  return Math.min(wanted, 8 * Math.ceil(most / 8));
}

/** What a training may be given beside its run. */
export type TrainOptions = {
  readonly device: Device;
  readonly folder: RunFolder;
  readonly resume?: boolean | undefined;
  readonly saveEvery?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What a checkpoint must share with the run that goes on from it. */
  readonly identity?: string | undefined;
  /** What checkpoints of before the run was extended share with it. */
  readonly earlier?: readonly string[] | undefined;
  /** Writes event files for TensorBoard too. */
  readonly tensorboard?: boolean | undefined;
  /** Asks with the prompter that is trained; one of its own when left out. */
  readonly examiner?: Examiner | undefined;
  /** `relation` where the method trains one after the other. */
  onStep?(report: StepReport, relation?: Relation): void;
  onEvaluation?(row: LogRow, relation?: Relation): void;
  /** While facts are asked between steps: how many of how many are done. */
  onAsked?(done: number, all: number, relation?: Relation): void;
};

/** Trains the method of a run; where it has a prompt for each relation, one after the other in sub-folders. */
export async function trainRun(run: Prepared, options: TrainOptions): Promise<Outcome> {
  const { method, benchmark } = run;
  if (options.resume) await options.folder.tidy();
  const examiner = options.examiner ?? examinerOf(options.device, run, "dev");
  const dev = devFacts(run);
  if (method.scope === "all") {
    // a run that was killed before its first checkpoint begins anew
    const resume = options.resume === true && options.folder.hasStarted();
    return trainOn(run, benchmark.relations, { ...options, resume }, examiner, dev);
  }
  const outcomes: Outcome[] = [];
  for (const relation of benchmark.relations) {
    const folder = relationFolder(options.folder, relation);
    const outcome = await trainOn(
      run,
      [relation],
      {
        ...options,
        folder,
        resume: options.resume === true && folder.hasStarted(),
        onStep: (report) => options.onStep?.(report, relation),
        onEvaluation: (row) => options.onEvaluation?.(row, relation),
        onAsked: (done, all) => options.onAsked?.(done, all, relation),
      },
      examiner,
      dev,
    );
    outcomes.push(outcome);
    if (!outcome.finished) break;
  }
  return together(outcomes);
}

/** The dev facts that are asked while a run trains: those of `--dev-facts`, or all. */
export function devFacts({ benchmark: { relations }, options }: Prepared): ReadonlySet<Fact> {
  const count = Number(options.own["dev-facts"] ?? 0);
  const groups = relations.map(({ id, dev }) => ({ name: id, items: dev }));
  return new Set(
    count > 0 ? stratified(groups, count, options.seed) : groups.flatMap(({ items }) => items),
  );
}

const relationFolder = (folder: RunFolder, { id }: Relation): RunFolder =>
  new RunFolder(folder.file(id));

async function trainOn(
  run: Prepared,
  relations: readonly Relation[],
  options: TrainOptions,
  examiner: Examiner,
  dev: ReadonlySet<Fact>,
): Promise<Outcome> {
  const { method, prompter, buckets } = run;
  const { folder, resume = false, tensorboard = false, signal, onAsked } = options;
  const curves = await Curves.begin(folder, { resume, tensorboard });
  try {
    return await method.train(prompter, {
      ...options,
      relations,
      options: run.options.own,
      seed: run.options.seed,
      buckets,
      onStep(report) {
        curves.step(report);
        options.onStep?.(report);
      },
      onEvaluation(row) {
        curves.evaluation(row);
        options.onEvaluation?.(row);
      },
      async evaluate(split = "dev"): Promise<Evaluation | undefined> {
        const all = itemsOf(relations, split);
        const items = split === "dev" ? all.filter(({ fact }) => dev.has(fact)) : all;
        const onProgress = (done: number) => onAsked?.(done, items.length);
        const measured = await examiner.measure(items, { signal, onProgress });
        return measured && { score: measured.accuracy[0], figures: figuresOf(measured) };
      },
    });
  } finally {
    curves.close();
  }
}

const figuresOf = ({ accuracy, distinct, answered }: Measured): JsonObject => ({
  devAccuracy: accuracy[0],
  devNone: accuracy[1],
  distinctPrompts: distinct,
  devFacts: answered.length,
});

/** The outcomes of relations as one: their steps together, the mean of their best scores. */
function together(outcomes: readonly Outcome[]): Outcome {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((n, o) => n + of(o), 0);
  const best = outcomes.flatMap((outcome) => outcome.best ?? []);
  const score = best.reduce((total, one) => total + one.score, 0) / best.length;
  const early = sum((outcome) => outcome.early ?? 0);
  return {
    step: sum(({ step }) => step),
    steps: sum(({ steps }) => steps),
    finished: outcomes.every(({ finished }) => finished),
    best: best.length === 0 ? undefined : { step: sum(({ best: b }) => b?.step ?? 0), score },
    ...(early > 0 ? { early } : {}),
  };
}

/** What the training of a run took, in all its processes; undefined for one whose method does not say. */
export async function secondsOf(run: Foldered, folder: RunFolder): Promise<Seconds | undefined> {
  const all = await Promise.all(foldersOf(run, folder).map((own) => own.readSeconds()));
  const known = all.filter((seconds) => seconds !== undefined);
  if (known.length === 0) return undefined;
  return {
    training: known.reduce((sum, { training }) => sum + training, 0),
    evaluating: known.reduce((sum, { evaluating }) => sum + evaluating, 0),
  };
}

/** The prompter as a finished run's folder has it. */
export async function bestPrompter(
  { method, prompter }: Prepared,
  device: Device,
  folder: RunFolder,
): Promise<Prompter> {
  if (method.scope === "relation") {
    return new Joined(prompter, (relation) => relationFolder(folder, relation).best);
  }
  await prompter.restore(device, folder.best);
  return prompter;
}

/**
 * Where a trained prompter can be opened from, so that nothing is read that only training needs: of a method with one for each
 * relation any of them, for each is restored before its relation is asked; undefined where none is there.
 */
export function savedPrompter(method: Method, folder: RunFolder): string | undefined {
  if (method.scope === "all") return folder.best;
  if (!existsSync(folder.path)) return undefined;
  return readdirSync(folder.path)
    .map((id) => new RunFolder(folder.file(id)).best)
    .find((best) => existsSync(best));
}

/** What a finished training says about itself, from its log and from what was measured on the test facts. */
export async function warningsOf(
  run: Prepared,
  folder: RunFolder,
  { distinct, answered }: Measured,
): Promise<string[]> {
  const { method, options, benchmark } = run;
  if (options.own.lr === undefined) return []; // they are about the rate
  const warmup = Number(options.own.warmup ?? 0);
  const isOne = method.scope === "all";
  const own = foldersOf(run, folder).map(async (one, i) =>
    diagnoses({
      name: isOne ? "" : benchmark.relations[i].id,
      rows: await one.readLog(),
      warmup,
      prompts: isOne ? { distinct, facts: answered.length } : undefined,
    }),
  );
  return (await Promise.all(own)).flat();
}

/** Runs that may share a prompter: of one method and one reader's weights and dtype, with equal values of all options that it is made of. */
export const prompterKey = (options: RunOptions): string => {
  const { method: name, own } = options;
  const table = methodOf(name).options;
  const structure = Object.entries(own).filter(([option]) => table[option]?.structural);
  const { readerSeed, readerDtype } = readerKindOf(options);
  return JSON.stringify([name, readerSeed ?? "trained", readerDtype, structure]);
};

type Foldered = {
  readonly method: Method;
  readonly benchmark: Pick<Benchmark, "relations">;
};

/** A run's folder for each relation where its method has one. */
export const foldersOf = (run: Foldered, folder: RunFolder): RunFolder[] =>
  run.method.scope === "all"
    ? [folder]
    : run.benchmark.relations.map((relation) => relationFolder(folder, relation));
