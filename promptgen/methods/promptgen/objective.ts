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
import { add, cast, div, log, maximum, mul, neg } from "../../../engine/ops/elementwise.ts";
import { embedding } from "../../../engine/ops/embedding.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { max, sum } from "../../../engine/ops/reduce.ts";
import {
  concat,
  expand,
  permute,
  reshape,
  slice,
  stopGradient,
} from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { MaskedLM } from "../../../models/masked-lm.ts";
import { runningSum } from "../../../models/nn.ts";
import type { Batch } from "./batch.ts";
import type { Classes, Prompts } from "./generator.ts";

/** Ids of BERT's own tokens in a prompt. */
export interface ReaderIds {
  readonly mask: number;
  readonly sep: number;
}

/** The frozen masked LM as a reader of soft prompts. */
export class Reader {
  readonly bert: MaskedLM;
  readonly classes: Classes;
  readonly #ids: ReaderIds;
  constructor(bert: MaskedLM, classes: Classes, ids: ReaderIds) {
    this.bert = bert;
    this.classes = classes;
    this.#ids = ids;
  }

  /**
   * Logits at [MASK], [R, vocab_size]. The batch's R = k B rows of BERT ids are k subjects for each of B prompts (2 as
   * `assemble` makes them: the subject, then "None").
   * @param m slots before the mask
   */
  read(batch: Pick<Batch, "bertIds" | "bertMask">, prompts: Prompts, m: number): Tensor {
    const { bert } = this;
    const [slots, rows] = prompts.live.shape;
    const [all, head] = batch.bertIds.shape;
    check(all % rows === 0, "reader", () => `${all} subjects do not share ${rows} prompts evenly`);
    const copies = all / rows;
    const table = embedding(bert.wordEmbeddings.weight, tensor(this.classes.bert));
    const soft = permute(matmul(prompts.distributions, table), [1, 0, 2]); // [B, m+n, d]
    const one = tensor(new Uint32Array(rows).fill(1), [rows, 1]);
    const tail = (x: Tensor, mask: Tensor, sep: Tensor) => {
      const parts = [slice(x, 1, 0, m), mask, slice(x, 1, m, slots), sep];
      const own = concat(
        parts.filter((part) => part.shape[1] > 0),
        1,
      );
      return concat(new Array<Tensor>(copies).fill(own), 0); // [R, m+n+2, ...]
    };
    const embeds = concat(
      [bert.embed(batch.bertIds), tail(soft, this.#word("mask", rows), this.#word("sep", rows))],
      1,
    );
    const mask = concat([batch.bertMask, tail(permute(prompts.live, [1, 0]), one, one)], 1);
    const hidden = bert.encode({ embeds, mask, positions: positionsOf(mask) }, {}, head + m);
    return reshape(bert.logits(hidden), [all, -1]);
  }

  /** The embedding of a special token in every row, [B, 1, d]. */
  #word(token: keyof ReaderIds, rows: number): Tensor {
    const row = this.bert.embed(tensor(Uint32Array.of(this.#ids[token]), [1, 1]));
    return expand(row, [rows, 1, row.shape[2]]);
  }
}

/** Positions u32 [R, T] that count the live places only (a dead one repeats the position before it). */
export function positionsOf(mask: Tensor): Tensor {
  return cast(maximum(add(runningSum(cast(mask, "f32")), -1), 0), "u32");
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
 * The two-term loss of logits [2B, vocab_size] as `Reader.read` gives them; means are weighted by the batch's weights.
 * Throws for a negative alpha.
 */
export function objective(
  logits: Tensor,
  batch: Pick<Batch, "objects" | "weights">,
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
  const entropy = neg(sum(mul(p, log(maximum(p, 1e-30))), 2)); // [m+n, B]
  return { top: mean(max(p, 2)), entropy: mean(entropy) };
}
