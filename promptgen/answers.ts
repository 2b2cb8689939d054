/**
 * What a reader's logits say: the answer among the words that may be one, the rank of the right word, its probability. All of it
 * inside a compiled function, so that logits of thousands of facts never meet the host.
 */
import { argmax, topK } from "../engine/ops/argmax.ts";
import { crossEntropy } from "../engine/ops/cross-entropy.ts";
import { add, cast, greater, logicalAnd, neg, where } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { sum } from "../engine/ops/reduce.ts";
import { reshape } from "../engine/ops/shape.ts";
import { softmax } from "../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { printable } from "../models/errors.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { lowercased, type WordSource } from "./facts/facts.ts";
import { listed } from "./facts/left-out.ts";

/** u32 [vocabulary]: 1 for the ids that an answer is chosen from. */
export function answerMask(ids: ArrayLike<number>, vocabulary: number): Tensor {
  const allowed = new Uint32Array(vocabulary);
  for (const id of Array.from(ids)) allowed[id] = 1;
  return tensor(allowed);
}

/** The most probable allowed id of each row of logits [R, vocabulary]: u32 [R]. */
export const answerOf = (logits: Tensor, allowed: Tensor): Tensor =>
  argmax(where(allowed, logits, -1e30));

/** log P of each row's object u32 [R], in the softmax over the whole vocabulary: f32 [R]. */
export const logProbability = (logits: Tensor, objects: Tensor): Tensor =>
  neg(crossEntropy(logits, objects));

/**
 * The place of each row's object among the allowed ids, the most probable being 1: f32 [R]. Ids of equal logits share the best
 * place.
 * @param places u32 [R]: row * vocabulary + object
 */
export function rankOf(logits: Tensor, allowed: Tensor, places: Tensor): Tensor {
  const [rows] = logits.shape;
  const own = reshape(embedding(reshape(logits, [-1, 1]), places), [rows, 1]);
  const above = logicalAnd(greater(logits, own), allowed); // [R, vocabulary]
  return add(sum(cast(above, "f32"), 1), 1);
}

/** The k most probable allowed ids u32 [R, k] and their probabilities f32 [R, k] (of the softmax over the whole vocabulary). */
export function topAnswers(logits: Tensor, allowed: Tensor, k: number) {
  const { values, indices } = topK(where(allowed, softmax(logits), -1), k);
  return { probabilities: values, ids: indices };
}

/** The words that an answer is chosen from, as ids, and those that are not one token of the reader. */
export type CommonWords = {
  /** Ids of the reader, [W], in the order of the words. */
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly missing: readonly string[];
  /** One line about the missing ones; empty when there are none. */
  readonly message: string;
};

/** The argmax set of the benchmark, as ids of the reader's tokenizer. Throws when no word is a token. */
export function commonWordIds(reader: Tokenizer, words: readonly string[]): CommonWords {
  const has = (word: string) => reader.wordIdOrUndefined(word) !== undefined;
  const missing = words.filter((word) => !has(word));
  const found = words.filter(has);
  const lower = missing.filter((word) => has(lowercased(word, has))).length;
  const inLower =
    lower === 0 || 2 * lower < missing.length
      ? ""
      : `; ${lower} of them are one in lower case, which --objects lowercase takes`;
  const message =
    missing.length === 0
      ? ""
      : `[vocabulary] ${missing.length} of ${words.length} common words are not one token of the masked LM ` +
        `and cannot be answers (${listed(missing.map(printable), 8)})${inLower}`;
  if (found.length === 0) {
    throw new Error(`${message || "[vocabulary] there are no common words"}; no answer is left`);
  }
  return { ids: Uint32Array.from(found, (word) => reader.wordId(word)), missing, message };
}

/** How many words an answer is chosen from, the file that they stand in, and what became of its other lines. */
export function answersLine({ ids, missing }: CommonWords, source: WordSource): string {
  const { from, lines, empty, repeated, trimmed } = source;
  const parts: [count: number, what: string][] = [
    [empty, "empty"],
    [repeated, "repeated"],
    [missing.length, "not one token of the masked LM"],
    [trimmed, "taken without the blanks around them"],
  ];
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const others = said.length === 0 ? "" : `: ${said.join(", ")}`;
  return `answers: ${new Set(ids).size} words of ${from} (${lines} ${lines === 1 ? "line" : "lines"}${others})`;
}
