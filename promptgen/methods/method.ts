/**
 * The seam between what asks a language model and what measures the answers.
 *
 * A *method* becomes a *prompter* by training on facts. A prompter is asked about a fact, with one or more subjects in the
 * question (the fact's own, "None", any other), and answers inside the graph with logits over the reader's vocabulary. The prompt is
 * always the one that was written for the fact's own subject. Nothing here knows a method; measuring, audits and reports know nothing
 * else of one.
 */
import type { Device } from "../../engine/device.ts";
import type { Tensor, TypedArray } from "../../engine/tensor.ts";
import type { Evaluation, Outcome, StepReport } from "../../models/training/loop.ts";
import type { JsonObject, LogRow, RunFolder } from "../../models/training/run-folder.ts";
import type { Benchmark, Item } from "../benchmark.ts";
import type { Relation, Split } from "../facts/facts.ts";
import type { Options, OptionTable } from "./options.ts";

/** A fact, and the subjects that stand in the question, one after the other. */
export type Asked = Item & { readonly subjects: readonly string[] };

/** What a compiled function takes: tensors by name. */
export type Batch = Readonly<Record<string, Tensor>>;

/** What a prompter makes of a batch of B facts with S subjects each. */
export type Prediction = {
  /** f32 [S * B, vocab_size] at the object's place: all facts with their first subject, then all with the second, ... */
  readonly logits: Tensor;
  /** What `words` reads. */
  readonly trace: Readonly<Record<string, Tensor>>;
  /** Where the prompt is made of distributions over C words. */
  readonly slots?: {
    /** f32 [slots, B, C]. */
    readonly distributions: Tensor;
    /** u32 [slots, B]: 1 where the slot is part of the prompt. */
    readonly live: Tensor;
  };
  /** What the method has to tell of each fact beside its answers, by name, each f32 [B]. */
  readonly figures?: Readonly<Record<string, Tensor>>;
};

/** Values of `Prediction.trace` on the host, for a batch of `rows` facts. */
export type Trace = {
  readonly values: Readonly<Record<string, TypedArray>>;
  readonly rows: number;
};

/** A way of asking that is ready to ask. */
export type Prompter = {
  /** The largest width that the models' positions allow. */
  readonly limit: number;
  /** Fingerprints of what it was made of beside the benchmark, by the option that names it. */
  readonly contents: Readonly<Record<string, string>>;
  /** Sentences about how that was read. */
  readonly remarks?: readonly string[];

  /** What a question is put into a bucket by; all of a batch have one width. */
  width(asked: Asked): number;

  /** The host's side of a batch: `rows` facts of one width with as many subjects each; missing rows repeat the first. */
  collate(asked: readonly Asked[], width: number, rows: number): Batch;

  /** Inside `compile`; without dropout. */
  predict(batch: Batch): Prediction;

  /** The prompt of row `row` as a person reads it: [X] where the subject stands, [Y] where the object does. */
  words(asked: Asked, trace: Trace, row: number): string;

  /** Writes what training changed, whole or not at all, into a folder of its own. */
  save(device: Device, folder: string): Promise<void>;

  /** Takes over what `save` wrote. Throws one sentence for a folder that does not fit. */
  restore(device: Device, folder: string): Promise<void>;

  /** Where it has a prompt for each relation: makes that of `relation` the one that is asked with. */
  select?(device: Device, relation: Relation): Promise<void>;
};

/** What a method is given to train with. */
export type Training = {
  readonly device: Device;
  readonly relations: readonly Relation[];
  readonly options: Options;
  readonly seed: number;
  /** Widths of batches, ascending; they hold every fact of every split. */
  readonly buckets: readonly number[];
  /** Where checkpoints go; without it nothing is written. */
  readonly folder?: RunFolder | undefined;
  /** Go on from the folder's last checkpoint. */
  readonly resume?: boolean | undefined;
  readonly saveEvery?: number | undefined;
  /** What a checkpoint must share with the run that goes on from it. */
  readonly identity?: string | undefined;
  /** What checkpoints of before the run was extended share with it. */
  readonly earlier?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Asks the facts of a split of `relations`, dev by default; the score is the mean over them. Undefined when the signal came. */
  evaluate(split?: Split): Promise<Evaluation | undefined>;
  onStep?(report: StepReport): void;
  onEvaluation?(row: LogRow): void;
};

/** One way of asking: one file, and one row in the list of `methods/index.ts`. */
export type Method = {
  /** On the command line. */
  readonly name: string;
  /** One sentence for the help. */
  readonly summary: string;
  /** A prompt for each relation, trained one after the other, or one model for all. */
  readonly scope: "relation" | "all";
  readonly options: OptionTable;
  /** What the method's source leaves open and what is done here; goes into run.json. */
  readonly choices: JsonObject;
  /**
   * What its prompts are outside of a run: words, which are those of `Prompter.words` and can be asked of any reader, or vectors of
   * each relation, which are `vectors` [k, hidden_size] of best/vectors.safetensors and stand in `Prompter.words` as `<word>`, one
   * after the other, among tokens of the reader. Left out where they are neither.
   */
  readonly prompts?: "words" | "vectors";

  /** Answers without the reader, so that its row is the same whichever is there. Default: false. */
  readonly readerless?: boolean;

  /** Its row in the tables: the paper's name where it is one of the paper's. */
  row(options: Options): string;

  /**
   * The prompter before training.
   * @param saved a folder of `Prompter.save`: what is in it, or what only training needs, need not be at the places that the options
   * name. Where there is a prompter for each relation it is that of any, for each is restored before its relation is asked about
   */
  open(benchmark: Benchmark, options: Options, saved?: string): Promise<Prompter>;

  /** Trains; the folder's best/ holds the best prompter afterwards. A method without training is finished after 0 steps. */
  train(prompter: Prompter, training: Training): Promise<Outcome>;
};

/** The outcome of a method that needs no steps; its prompter is saved at once. */
export async function untrained(prompter: Prompter, training: Training): Promise<Outcome> {
  const { device, folder } = training;
  if (folder) await prompter.save(device, folder.best);
  return { step: 0, steps: 0, finished: true, best: undefined };
}

/** A prompter for each relation as one: each is restored from its folder before its relation is asked about. */
export class Joined implements Prompter {
  readonly #one: Prompter;
  readonly #folder: (relation: Relation) => string;

  constructor(one: Prompter, folder: (relation: Relation) => string) {
    this.#one = one;
    this.#folder = folder;
  }

  get limit(): number {
    return this.#one.limit;
  }
  get contents(): Readonly<Record<string, string>> {
    return this.#one.contents;
  }
  width(asked: Asked): number {
    return this.#one.width(asked);
  }
  collate(asked: readonly Asked[], width: number, rows: number): Batch {
    return this.#one.collate(asked, width, rows);
  }
  predict(batch: Batch): Prediction {
    return this.#one.predict(batch);
  }
  words(asked: Asked, trace: Trace, row: number): string {
    return this.#one.words(asked, trace, row);
  }
  async save(): Promise<void> {
    throw new Error(
      "[prompter] the prompters of relations are saved one by one, in their own folders",
    );
  }
  async restore(): Promise<void> {
    // each is restored when its relation is selected
  }
  select(device: Device, relation: Relation): Promise<void> {
    return this.#one.restore(device, this.#folder(relation));
  }
}

/** The report of a step of a search that began at `start`, of performance.now(); what is counted beside it comes on top. */
export const searched = (start: number, step: number) => ({
  step,
  epoch: 0,
  seconds: (performance.now() - start) / 1000,
  first: step === 1,
  left: undefined,
});
