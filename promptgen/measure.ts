/**
 * Facts in, answers and scores out, for any method: asks a prompter about facts with each of some subjects and counts the answers
 * that name the object. Of methods it knows the seam alone.
 */
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { max } from "../engine/ops/reduce.ts";
import { slice } from "../engine/ops/shape.ts";
import { type Tensor, type TypedArray, tensor } from "../engine/tensor.ts";
import { printable } from "../models/errors.ts";
import { bucketWidths, type Group, groups } from "../models/training/buckets.ts";
import { answerOf, logProbability, rankOf, topAnswers } from "./answers.ts";
import { type Benchmark, type Item, itemsOf, NONE, objectIds, SPLITS } from "./benchmark.ts";
import type { Relation } from "./facts/facts.ts";
import { groupBy } from "./facts/group-by.ts";
import type { Asked, Batch, Prompter, Trace } from "./methods/method.ts";
import { means, type Score, type Scores } from "./scores.ts";

/** What stands for the subject in a question. */
export type Filler = {
  /** As results and tables name it. */
  readonly name: string;
  of(item: Item): string;
};

export const OWN: Filler = { name: "own", of: ({ fact }) => fact.subject };
export const NOBODY: Filler = { name: NONE, of: () => NONE };

/** The benchmark's questions: with the fact's own subject, and with nobody's. */
export const FILLERS: readonly Filler[] = [OWN, NOBODY];

/** What the reader answered to one question. */
export type Answer = {
  /** Id of the reader. */
  readonly id: number;
  /** Whether it is the object. */
  readonly right: boolean;
  /** Place of the object among the words that may be answers; 1 where it was named. */
  readonly rank: number;
  /** log P(object), natural. */
  readonly logP: number;
};

/** What was answered about one fact. */
export type Answered = {
  readonly item: Item;
  /** One for each filler. */
  readonly answers: readonly Answer[];
  /** See `Prompter.words`. */
  readonly prompt: string;
  /** See `Prediction.figures`; absent where the prompter gives none. */
  readonly figures?: Readonly<Record<string, number>>;
};

/** An id with its probability. */
export type Candidate = { readonly id: number; readonly probability: number };

/** `Answered` with the most probable answers to each question, or to those with the first fillers. */
export type Explained = Answered & { readonly top: readonly (readonly Candidate[])[] };

/** Answers about some facts, counted. */
export type Measured = {
  readonly answered: readonly Answered[];
  /** By relation, one for each filler. */
  readonly scores: readonly Scores[];
  /** Means over relations, per cent, one for each filler. */
  readonly accuracy: readonly number[];
  /** Different prompts; 1 means that all facts got the same. */
  readonly distinct: number;
};

/** What measuring may be asked. */
export type MeasureOptions = {
  readonly signal?: AbortSignal | undefined;
  onProgress?(done: number): void;
};

/** Plans for each kind of question: one for each bucket. */
const BUCKETS = 3;

/** Bucket widths that hold every fact of the relations with every filler. */
export function bucketsFor(
  prompter: Prompter,
  relations: readonly Relation[],
  fillers: readonly Filler[] = FILLERS,
): number[] {
  const items = SPLITS.flatMap((split) => itemsOf(relations, split));
  return bucketsOf(prompter, items, fillers);
}

/** Bucket widths that hold these facts with every filler. */
export const bucketsOf = (
  prompter: Prompter,
  items: readonly Item[],
  fillers: readonly Filler[] = FILLERS,
): number[] =>
  bucketWidths(
    items.map((item) => prompter.width(askedWith(item, fillers))),
    BUCKETS,
  );

const askedWith = (item: Item, fillers: readonly Filler[]): Asked => ({
  ...item,
  subjects: fillers.map((filler) => filler.of(item)),
});

type Question = Asked & { readonly item: Item };
type Places = { readonly objects: Tensor; readonly places: Tensor };
type Counted = {
  /** The largest logit of each row: NaN where one is. */
  readonly highest: TypedArray;
  readonly answers: TypedArray;
  readonly ranks: TypedArray;
  readonly logP: TypedArray;
  readonly trace: Trace;
  /** Each [B]. */
  readonly figures: Readonly<Record<string, TypedArray>>;
};
type Top = { readonly ids: TypedArray; readonly probabilities: TypedArray };

/** Asks a prompter as it is. Plans are made once for each bucket and kept between calls. */
export class Examiner {
  readonly #device: Device;
  readonly #benchmark: Benchmark;
  readonly #prompter: Prompter;
  readonly #fillers: readonly Filler[];
  readonly #explained: number;
  readonly #buckets: readonly number[];
  readonly #batchSize: number;
  readonly #answer: (batch: Batch, places: Places) => Promise<Counted>;
  readonly #explain: (batch: Batch, places: Places) => Promise<Counted & { readonly top: Top }>;

  /**
   * @param candidates how many answers `explain` gives
   * @param explained to the questions with how many of the fillers, the first ones; all by default
   */
  constructor(
    device: Device,
    benchmark: Benchmark,
    prompter: Prompter,
    options: {
      readonly buckets: readonly number[];
      readonly batchSize?: number;
      readonly fillers?: readonly Filler[];
      readonly candidates?: number;
      readonly explained?: number;
    },
  ) {
    const { batchSize = 32, fillers = FILLERS, candidates = 5, buckets } = options;
    const { explained = fillers.length } = options;
    this.#device = device;
    this.#benchmark = benchmark;
    this.#prompter = prompter;
    this.#fillers = fillers;
    this.#explained = explained;
    this.#buckets = buckets;
    this.#batchSize = batchSize;
    const { allowed } = benchmark;
    const counted = (logits: Tensor, { objects, places }: Places) => ({
      highest: max(logits, 1),
      answers: answerOf(logits, allowed),
      ranks: rankOf(logits, allowed, places),
      logP: logProbability(logits, objects),
    });
    const answer = compile(device, (batch: Batch, places: Places) => {
      const { logits, trace, figures = {} } = prompter.predict(batch);
      return { counts: counted(logits, places), trace, figures };
    });
    const explain = compile(device, (batch: Batch, places: Places) => {
      const { logits, trace, figures = {} } = prompter.predict(batch);
      const top = topAnswers(slice(logits, 0, 0, explained * batchSize), allowed, candidates);
      return { counts: counted(logits, places), trace, figures, top };
    });
    type Answers = Pick<Awaited<ReturnType<typeof answer>>, "counts" | "trace" | "figures">;
    const onHost = async ({ counts, trace, figures }: Answers): Promise<Counted> => ({
      ...(await readAll(counts)),
      trace: { values: await readAll(trace), rows: batchSize },
      figures: await readAll(figures),
    });
    this.#answer = async (batch, places) => onHost(await answer(batch, places));
    this.#explain = async (batch, places) => {
      const { top, ...answers } = await explain(batch, places);
      return { ...(await onHost(answers)), top: await readAll(top) };
    };
  }

  /** The answers about each fact, in order; undefined when the signal came. */
  async ask(items: readonly Item[], options: MeasureOptions = {}): Promise<Answered[] | undefined> {
    return this.#each(items, options, this.#answer, (values, question, row) =>
      this.#answered(values, question, row),
    );
  }

  /** As `ask`, with the most probable answers. */
  async explain(
    items: readonly Item[],
    options: MeasureOptions = {},
  ): Promise<Explained[] | undefined> {
    return this.#each(items, options, this.#explain, (values, question, row) => ({
      ...this.#answered(values, question, row),
      top: Array.from({ length: this.#explained }, (_, s) => {
        const { rows } = values.trace;
        return candidatesOf(values.top, s * rows + row, this.#explained * rows);
      }),
    }));
  }

  /**
   * Asks and counts; undefined when the signal came.
   * @throws for no facts, whose accuracy is no number, and for logits that are not finite
   */
  async measure(
    items: readonly Item[],
    options: MeasureOptions = {},
  ): Promise<Measured | undefined> {
    if (items.length === 0) {
      throw new Error("[measure] there are no facts to ask; see what was left out, and give some");
    }
    const answered = await this.ask(items, options);
    return answered && measuredOf(answered, this.#fillers.length);
  }

  async #each<V, T>(
    items: readonly Item[],
    { signal, onProgress }: MeasureOptions,
    run: (batch: Batch, places: Places) => Promise<V>,
    take: (values: V, question: Question, row: number) => T,
  ): Promise<T[] | undefined> {
    const results = new Map<Item, T>();
    for (const part of this.#parts(items)) {
      if (signal?.aborted) return undefined;
      await this.#prompter.select?.(this.#device, part[0].relation);
      for (const group of this.#groups(part)) {
        if (signal?.aborted) return undefined;
        const batch = this.#prompter.collate(group.items, group.width, this.#batchSize);
        const values = await run(batch, this.#places(group.items));
        group.items.forEach((question, row) => {
          results.set(question.item, take(values, question, row));
        });
        onProgress?.(results.size);
      }
    }
    return items.flatMap((item) => results.get(item) ?? []);
  }

  /** Relation by relation where the prompter has a prompt for each, else all at once. */
  #parts(items: readonly Item[]): readonly (readonly Item[])[] {
    if (items.length === 0) return [];
    if (!this.#prompter.select) return [items];
    return [...groupBy(items, ({ relation }) => relation).values()];
  }

  /** Batches of one width, the longest first. */
  #groups(items: readonly Item[]): readonly Group<Question>[] {
    const questions = items.map((item) => ({ ...askedWith(item, this.#fillers), item }));
    const width = (question: Question) => this.#prompter.width(question);
    return groups(questions, width, this.#buckets, this.#batchSize);
  }

  #places(questions: readonly Question[]): Places {
    const [vocabulary] = this.#benchmark.allowed.shape;
    const own = objectIds(this.#benchmark, questions, this.#batchSize);
    const objects = Uint32Array.from(this.#fillers.flatMap(() => own));
    const places = objects.map((object, row) => row * vocabulary + object);
    return { objects: tensor(objects), places: tensor(places) };
  }

  #answered(values: Counted, question: Question, row: number): Answered {
    const { rows } = values.trace;
    this.#fillers.forEach((filler, s) => {
      // an argmax or a rank among numbers that are none says nothing, and a softmax on a GPU may drop a NaN
      const at = s * rows + row;
      if (Number.isFinite(values.highest[at]) && Number.isFinite(values.logP[at])) return;
      const { relation, fact } = question;
      throw new Error(
        `[measure] the masked LM's logits are not finite for ${relation.id}, ${printable(fact.subject)} > ${printable(fact.object)} ` +
          `asked with ${filler.name === OWN.name ? "its own subject" : `"${filler.name}"`}: a weight is NaN or infinite, in the masked LM or in what was trained; ` +
          "use weights that are numbers, or train anew with a smaller --lr",
      );
    });
    const object = this.#benchmark.tokenizer.wordId(question.fact.object);
    const figures = Object.entries(values.figures).map(([name, own]) => [name, own[row]] as const);
    return {
      item: question.item,
      answers: this.#fillers.map((_, s) => ({
        id: values.answers[s * rows + row],
        right: values.answers[s * rows + row] === object,
        rank: values.ranks[s * rows + row],
        logP: values.logP[s * rows + row],
      })),
      prompt: this.#prompter.words(question, values.trace, row),
      ...(figures.length === 0 ? {} : { figures: Object.fromEntries(figures) }),
    };
  }
}

/** Counts what was answered with the first `fillers` fillers. */
export function measuredOf(answered: readonly Answered[], fillers = FILLERS.length): Measured {
  const scores = Array.from({ length: fillers }, (_, s) => scoresOf(answered, s));
  const relations = [...new Set(answered.map(({ item }) => item.relation))];
  return {
    answered,
    scores,
    accuracy: scores.map((own) => means(relations, own).all),
    distinct: new Set(answered.map(({ prompt }) => prompt)).size,
  };
}

/** Results on the host, in the shapes that they have there. */
async function readAll<K extends string>(
  results: Readonly<Record<K, { read(): Promise<TypedArray> }>>,
): Promise<Record<K, TypedArray>> {
  const names = Object.keys(results) as K[];
  const values = await Promise.all(names.map((name) => results[name].read()));
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<K, TypedArray>;
}

function candidatesOf({ ids, probabilities }: Top, row: number, rows: number): Candidate[] {
  const k = ids.length / rows;
  return Array.from({ length: k }, (_, i) => ({
    id: ids[row * k + i],
    probability: probabilities[row * k + i],
  }));
}

/** Answers to the questions with filler `s` that name the object, by relation. */
function scoresOf(answered: readonly Answered[], s: number): Scores {
  const scores = new Map<string, Score>();
  for (const { item, answers } of answered) {
    const { correct, total } = scores.get(item.relation.id) ?? { correct: 0, total: 0 };
    const hit = answers[s].right ? 1 : 0;
    scores.set(item.relation.id, { correct: correct + hit, total: total + 1 });
  }
  return scores;
}
