/**
 * Probing: which of the common words the frozen BERT puts in the object's place, for generated prompts (with the subject and with
 * "None") and for hand-written templates.
 */
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { argmax, topK } from "../engine/ops/argmax.ts";
import { where } from "../engine/ops/elementwise.ts";
import { softmax } from "../engine/ops/softmax.ts";
import { type Tensor, type TypedArray, tensor } from "../engine/tensor.ts";
import type { MaskedLM } from "../models/masked-lm.ts";
import { gatherRows } from "../models/nn.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { Fact } from "./facts/facts.ts";
import { fill } from "./facts/templates.ts";
import {
  assemble,
  type Batch,
  type BatchLayout,
  type Example,
  rightPadded,
  subjectWidth,
} from "./methods/promptgen/batch.ts";
import { type Generator, hardened } from "./methods/promptgen/generator.ts";
import type { Reader } from "./methods/promptgen/objective.ts";
import type { Score } from "./report/report.ts";
import { groups } from "./training/buckets.ts";

/** u32 [vocabulary]: 1 for the ids that an answer is chosen from. */
export function answerMask(ids: ArrayLike<number>, vocabulary: number): Tensor {
  const allowed = new Uint32Array(vocabulary);
  for (const id of Array.from(ids)) allowed[id] = 1;
  return tensor(allowed);
}

/** The most probable allowed id of each row of logits [R, vocabulary]: u32 [R]. */
export const answerOf = (logits: Tensor, allowed: Tensor): Tensor =>
  argmax(where(allowed, logits, -1e30));

/** The k most probable allowed ids u32 [R, k] and their probabilities f32 [R, k] (of the softmax over the whole vocabulary). */
export function topAnswers(logits: Tensor, allowed: Tensor, k: number) {
  const { values, indices } = topK(where(allowed, softmax(logits), -1), k);
  return { probabilities: values, ids: indices };
}

/** An id with its probability. */
export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** What was answered for one example. */
export interface Probed {
  /** BERT's answer, an id. */
  readonly answer: number;
  /** Its answer with "None" for the subject. */
  readonly none: number;
  /** The most probable class of each live slot, before and behind the mask. */
  readonly prompt: { readonly before: readonly number[]; readonly behind: readonly number[] };
}

/** `Probed` with the runners-up: of each live slot (classes) and of both answers (ids). */
export interface Explained extends Probed {
  readonly slots: {
    readonly before: readonly Candidate[][];
    readonly behind: readonly Candidate[][];
  };
  readonly answers: readonly Candidate[];
  readonly noneAnswers: readonly Candidate[];
}

/** What a prompt probe needs beside the models. */
export interface ProbeOptions {
  /** See `answerMask`. */
  readonly allowed: Tensor;
  readonly layout: BatchLayout;
  readonly batchSize: number;
  /** BERT reads the most probable words in place of the mixtures. Default: false. */
  readonly hard?: boolean;
}

/** Generates prompts and asks BERT, without dropout. Plans are made once for each subject width and kept. */
export class PromptProbe {
  readonly #generator: Generator;
  readonly #options: ProbeOptions;
  readonly #answer: (batch: Batch) => Promise<Raw>;
  readonly #explain: (batch: Batch) => Promise<RawTop>;

  /** @param candidates how many runners-up `explain` gives */
  constructor(
    device: Device,
    generator: Generator,
    reader: Reader,
    options: ProbeOptions,
    candidates = 5,
  ) {
    this.#generator = generator;
    this.#options = options;
    const { allowed } = options;
    const run = (batch: Batch) => {
      const prompts = generator.unroll(batch);
      const read = options.hard ? hardened(prompts) : prompts;
      return { prompts, logits: reader.read(batch, read, generator.m) };
    };
    const answer = compile(device, (batch: Batch) => {
      const { prompts, logits } = run(batch);
      return { answer: answerOf(logits, allowed), best: prompts.best, live: prompts.live };
    });
    const explain = compile(device, (batch: Batch) => {
      const { prompts, logits } = run(batch);
      const slots = topK(prompts.distributions, candidates);
      const top = topAnswers(logits, allowed, candidates);
      return {
        answer: answerOf(logits, allowed),
        best: prompts.best,
        live: prompts.live,
        slots,
        top,
      };
    });
    this.#answer = async (batch) => readAll(await answer(batch));
    this.#explain = async (batch) => {
      const { slots, top, ...rest } = await explain(batch);
      return { ...(await readAll(rest)), slots: await readAll(slots), top: await readAll(top) };
    };
  }

  /** One result for each example, in order. */
  probe(examples: readonly Example[]): Promise<Probed[]> {
    return this.#each(examples, this.#answer, (raw, b, rows) => this.#probed(raw, b, rows));
  }

  /** As `probe`, with the runners-up. */
  explain(examples: readonly Example[]): Promise<Explained[]> {
    const { m, n } = this.#generator;
    return this.#each(examples, this.#explain, (raw, b, rows) => {
      const slot = (i: number) =>
        candidatesOf(raw.slots.indices, raw.slots.values, i * rows + b, m + n, rows);
      const answers = (row: number) =>
        candidatesOf(raw.top.ids, raw.top.probabilities, row, 2, rows);
      return {
        ...this.#probed(raw, b, rows),
        slots: this.#segments(raw, b, rows, slot),
        answers: answers(b),
        noneAnswers: answers(rows + b),
      };
    });
  }

  async #each<R, T>(
    examples: readonly Example[],
    run: (batch: Batch) => Promise<R>,
    take: (raw: R, row: number, rows: number) => T,
  ): Promise<T[]> {
    const { batchSize, layout } = this.#options;
    const results = new Array<T>(examples.length);
    const indices = examples.map((_, i) => i);
    const width = (index: number) => subjectWidth(examples[index]);
    for (const group of groups(indices, width, layout.buckets, batchSize)) {
      const rows = group.items.map((index) => examples[index]);
      const raw = await run(assemble(rows, group.width, batchSize, layout));
      group.items.forEach((index, b) => {
        results[index] = take(raw, b, batchSize);
      });
    }
    return results;
  }

  #probed(raw: Raw, b: number, rows: number): Probed {
    const prompt = this.#segments(raw, b, rows, (slot) => raw.best[slot * rows + b]);
    return { answer: raw.answer[b], none: raw.answer[rows + b], prompt };
  }

  /** `of(slot)` for the live slots of row b, before and behind the mask. */
  #segments<T>(raw: Raw, b: number, rows: number, of: (slot: number) => T) {
    const { m, n } = this.#generator;
    const live = Array.from({ length: m + n }, (_, slot) => slot).filter(
      (slot) => raw.live[slot * rows + b] === 1,
    );
    return {
      before: live.filter((slot) => slot < m).map(of),
      behind: live.filter((slot) => slot >= m).map(of),
    };
  }
}

type Raw = { answer: TypedArray; best: TypedArray; live: TypedArray };
type RawTop = Raw & {
  slots: { values: TypedArray; indices: TypedArray };
  top: { probabilities: TypedArray; ids: TypedArray };
};

async function readAll<K extends string>(
  results: Readonly<Record<K, { read(): Promise<TypedArray> }>>,
): Promise<Record<K, TypedArray>> {
  const names = Object.keys(results) as K[];
  const values = await Promise.all(names.map((name) => results[name].read()));
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<K, TypedArray>;
}

/** Row `row` of `groups` x `rows` rows of k candidates each. */
function candidatesOf(
  ids: TypedArray,
  probabilities: TypedArray,
  row: number,
  groups: number,
  rows: number,
): Candidate[] {
  const k = ids.length / (groups * rows);
  return Array.from({ length: k }, (_, i) => ({
    id: ids[row * k + i],
    probability: probabilities[row * k + i],
  }));
}

/** Answers that name the object; `none` counts those given with "None" for the subject. */
export function scoresOf(
  examples: readonly Example[],
  probed: readonly Probed[],
): { subject: Score; none: Score } {
  const total = examples.length;
  const hits = (key: "answer" | "none") =>
    examples.reduce((sum, { object }, i) => sum + (probed[i][key] === object ? 1 : 0), 0);
  return { subject: { correct: hits("answer"), total }, none: { correct: hits("none"), total } };
}

/** The number of different prompts; 1 means that the generator has collapsed. */
export const distinctPrompts = (probed: readonly Probed[]): number =>
  new Set(probed.map(({ prompt }) => `${prompt.before} | ${prompt.behind}`)).size;

/** A prompt in words: `the capital of [MASK] .` */
export function promptText({ prompt }: Probed, words: readonly string[], mask = "[MASK]"): string {
  const [before, behind] = [prompt.before, prompt.behind].map((part) => part.map((c) => words[c]));
  return [...before, mask, ...behind].join(" ");
}

/** A filled template as BERT reads it, and where its [MASK] stands. */
export interface TemplateExample {
  readonly ids: readonly number[];
  readonly place: number;
  readonly object: number;
}

/** `[CLS] sentence [SEP]` with [MASK] for the object. Throws when the object is not one token. */
export function encodeTemplate(fact: Fact, template: string, bert: Tokenizer): TemplateExample {
  const sentence = fill(template, fact.subject, bert.token(bert.mask));
  const ids = [bert.cls, ...bert.encode(sentence), bert.sep];
  // the object's mask, should the subject be spelled like one
  const [first, last] = [ids.indexOf(bert.mask), ids.lastIndexOf(bert.mask)];
  const objectFirst = template.indexOf("[Y]") < template.indexOf("[X]");
  return { ids, place: objectFirst ? first : last, object: bert.wordId(fact.object) };
}

const WIDTH_STEP = 8;

/** Asks BERT alone, with hard tokens. */
export class TemplateProbe {
  readonly #pad: number;
  readonly #limit: number;
  readonly #batchSize: number;
  readonly #answer: (batch: TemplateBatch) => Promise<TypedArray>;

  constructor(device: Device, bert: MaskedLM, allowed: Tensor, pad: number, batchSize = 32) {
    this.#pad = pad;
    this.#limit = bert.positions;
    this.#batchSize = batchSize;
    const answer = compile(device, ({ ids, mask, rows }: TemplateBatch) => {
      const hidden = bert.encode({ ids, mask });
      return { answer: answerOf(bert.logits(gatherRows(hidden, rows)), allowed) };
    });
    this.#answer = async (batch) => (await answer(batch)).answer.read();
  }

  /** BERT's answer for each example, an id. */
  async probe(examples: readonly TemplateExample[]): Promise<number[]> {
    const order = examples
      .map((_, i) => i)
      .sort((a, b) => examples[a].ids.length - examples[b].ids.length);
    const answers = new Array<number>(examples.length);
    for (let start = 0; start < order.length; start += this.#batchSize) {
      const indices = order.slice(start, start + this.#batchSize);
      const filled = Array.from(
        { length: this.#batchSize },
        (_, i) => examples[indices[i] ?? indices[0]],
      );
      const longest = filled.reduce((most, { ids }) => Math.max(most, ids.length), 0);
      const width = Math.max(
        longest,
        Math.min(Math.ceil(longest / WIDTH_STEP) * WIDTH_STEP, this.#limit),
      );
      const { ids, mask } = rightPadded(
        filled.map((row) => row.ids),
        width,
        this.#pad,
      );
      const rows = tensor(Uint32Array.from(filled, ({ place }, b) => b * width + place));
      const found = await this.#answer({ ids, mask, rows });
      indices.forEach((index, b) => {
        answers[index] = found[b];
      });
    }
    return answers;
  }
}

type TemplateBatch = { ids: Tensor; mask: Tensor; rows: Tensor };
