/**
 * What the frozen masked LM makes of a prompt, and the loss.
 *
 * BERT reads `[CLS] subject D_1 .. D_m [MASK] D_m+1 .. D_m+n [SEP]` with the expected embedding of each soft word, once with the
 * subject and once with "None" in its place:
 *
 *     L = -mean log P(object | subject) + alpha * mean max(log P(object | None), floor)
 *
 * The floor is where the second term stops to push: below it, its gradient is zero.
 */
import { check } from "../../../engine/errors.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { add, cast, div, maximum, mul, neg } from "../../../engine/ops/elementwise.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { entropy } from "../../../engine/ops/entropy.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { max, sum } from "../../../engine/ops/reduce.ts";
import { concat, permute, slice, stopGradient } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Reader } from "../../reader.ts";
import type { PromptBatch } from "./batch.ts";
import type { Classes, Prompts } from "./generator.ts";

/**
 * Logits at [MASK], [S * B, vocab_size], of the subjects of a batch with the prompts that were written for it.
 * @param m slots before the mask
 */
export function readPrompts(
  reader: Reader,
  batch: Pick<PromptBatch, "readerIds" | "readerMask">,
  prompts: Prompts,
  classes: Classes,
  m: number,
): Tensor {
  const [slots, rows] = prompts.live.shape;
  const table = embedding(reader.lm.wordEmbeddings.weight, tensor(classes.reader));
  const soft = permute(matmul(prompts.distributions, table), [1, 0, 2]); // [B, m+n, d]
  const live = permute(prompts.live, [1, 0]);
  const part = (start: number, end: number) => ({
    embeds: slice(soft, 1, start, end),
    mask: slice(live, 1, start, end),
  });
  const subjects = reader.words({ ids: batch.readerIds, mask: batch.readerMask });
  const behind = m < slots ? [part(m, slots)] : [];
  return reader.read([subjects, part(0, m)], [...behind, reader.word(reader.ids.sep, rows)]);
}

/** The loss and its two terms, each a scalar. */
export type Objective = {
  readonly loss: Tensor;
  /** -mean log P(object | subject). */
  readonly object: Tensor;
  /** mean max(log P(object | None), floor). */
  readonly none: Tensor;
};

/** Below this log-probability (natural) the second term does not push. */
export const FLOOR = -20;

/**
 * The two-term loss of logits [2B, vocab_size], the own subject and then "None"; means are weighted by the batch's weights.
 * Throws for a negative alpha.
 */
export function objective(
  logits: Tensor,
  batch: { readonly objects: Tensor; readonly weights: Tensor },
  alpha: number,
  floor = FLOOR,
): Objective {
  check(alpha >= 0, "objective", () => `alpha is ${alpha}; use 0 or more`);
  const { objects, weights } = batch;
  const [rows] = objects.shape;
  const losses = crossEntropy(logits, concat([objects, objects], 0)); // -log P, [2B]
  const mean = (x: Tensor) => div(sum(mul(x, weights)), sum(weights));
  const object = mean(slice(losses, 0, 0, rows));
  const none = mean(maximum(neg(slice(losses, 0, rows, 2 * rows)), floor));
  return { loss: add(object, mul(none, alpha)), object, none };
}

/** How far the slots are from saturation: means over the live slots of the rows that count. */
export type Diagnostics = {
  /** Mean probability of the most probable class. */
  readonly top: Tensor;
  /** Mean entropy, in nats. */
  readonly entropy: Tensor;
};

export function diagnose(prompts: Prompts, weights: Tensor): Diagnostics {
  const p = stopGradient(prompts.distributions); // [m+n, B, C]
  const counts = mul(cast(prompts.live, "f32"), weights); // [m+n, B]
  const mean = (x: Tensor) => div(sum(mul(x, counts)), maximum(sum(counts), 1e-9));
  return { top: mean(max(p, 2)), entropy: mean(entropy(p)) };
}
