/**
 * The two tasks of pre-training, whatever the texts are and whoever has damaged them: to say what was masked, and to write a text
 * about a damaged one. A task is a batch and its losses; with what is trained on it is a problem of the training loop.
 */
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { div, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows } from "../../models/nn.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import type { Task } from "../../models/training/learner.ts";
import { rightPadded } from "../training/padding.ts";

/** Losses f32 [R] and how much each weighs, f32 [R]. */
export type Losses = { readonly losses: Tensor; readonly weights: Tensor };

/** What is left of a task when its batches are made. */
export type Scored<Batch> = {
  /** Inside `compile`: without `rng` nothing is dropped. */
  losses(batch: Batch, rng?: Tensor): Losses;
};

type Trained<Batch> = Scored<Batch> &
  Pick<Task<unknown, Batch>, "parameters" | "decays" | "terms" | "loss">;

/** Of a model: its parameters, and the mean of the losses by their weights. */
function trained<Batch>(
  model: Pick<Task<unknown, Batch>, "parameters" | "decays">,
  losses: Scored<Batch>["losses"],
): Trained<Batch> {
  return {
    parameters: model.parameters,
    decays: model.decays,
    terms: ["loss"],
    losses,
    loss(batch, rng) {
      const found = losses(batch, rng);
      const loss = div(sum(mul(found.losses, found.weights)), sum(found.weights));
      return { loss, terms: reshape(loss, [1]) };
    },
  };
}

/** A batch of the masked-LM task. R places are predicted; those beyond the masked ones weigh nothing. */
export type MaskedBatch = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  readonly rows: Tensor; // u32 [R], indices into B * T
  readonly targets: Tensor; // u32 [R]
  readonly weights: Tensor; // f32 [R]
};

/** A text with the tokens around it, damaged, and what stood at the places that are asked for. */
export type Masked = {
  readonly ids: readonly number[];
  readonly places: readonly number[];
  readonly targets: readonly number[];
};

/**
 * @param room R; places beyond it are not asked for. Left out: as many as there are, rounded up to a multiple of the rows, so that a
 *   width has few plans
 */
export function maskedBatch(
  drawn: readonly Masked[],
  width: number,
  count: number,
  pad: number,
  room?: number,
): MaskedBatch {
  const asked = drawn.reduce((all, { places }) => all + places.length, 0);
  const size = room ?? count * Math.max(1, Math.ceil(asked / count));
  const rows = new Uint32Array(size);
  const targets = new Uint32Array(size);
  const weights = new Float32Array(size);
  let used = 0;
  drawn.forEach((row, b) => {
    for (let k = 0; k < row.places.length && used < size; k++) {
      rows[used] = b * width + row.places[k];
      targets[used] = row.targets[k];
      weights[used++] = 1;
    }
  });
  const filled = Array.from({ length: count }, (_, i) => (drawn[i] ?? drawn[0]).ids);
  return {
    ...rightPadded(filled, width, pad),
    rows: tensor(rows),
    targets: tensor(targets),
    weights: tensor(weights),
  };
}

/** Masked-LM training (Devlin et al., 2019); the head runs on masked places only. */
export const masking = (model: MaskedLM): Trained<MaskedBatch> =>
  trained<MaskedBatch>(model, ({ ids, mask, rows, targets, weights }, rng) => {
    const hidden = model.encode({ ids, mask }, rng ? { training: { rng } } : {});
    const logits = model.logits(gatherRows(hidden, rows)); // [R, vocab_size]
    return { losses: crossEntropy(logits, targets), weights };
  });

/** A batch for an encoder-decoder: it reads texts of S tokens and writes those of T, one behind what it has read. */
export type Seq2SeqBatch = {
  readonly ids: Tensor; // u32 [B, S]
  readonly mask: Tensor; // u32 [B, S]
  readonly prefix: Tensor; // u32 [T, B]
  readonly keys: Tensor; // u32 [B, T]
  readonly targets: Tensor; // u32 [T * B]
  readonly weights: Tensor; // f32 [T * B]
};

/** Sources and what is written about them, from the token that the decoder starts with to the last; missing rows weigh nothing. */
export function seq2SeqBatch(
  sources: readonly (readonly number[])[],
  texts: readonly (readonly number[])[],
  length: number,
  rows: number,
  pad: number,
): Seq2SeqBatch {
  const filled = Array.from({ length: rows }, (_, i) => sources[i] ?? sources[0]);
  const prefix = new Uint32Array(length * rows).fill(pad);
  const keys = new Uint32Array(rows * length);
  const targets = new Uint32Array(length * rows);
  const weights = new Float32Array(length * rows);
  for (let b = 0; b < rows; b++) {
    const text = texts[b] ?? texts[0];
    for (let t = 0; t + 1 < text.length; t++) {
      prefix[t * rows + b] = text[t];
      keys[b * length + t] = 1;
      targets[t * rows + b] = text[t + 1];
      weights[t * rows + b] = b < texts.length ? 1 : 0;
    }
  }
  return {
    ...rightPadded(filled, length, pad),
    prefix: tensor(prefix, [length, rows]),
    keys: tensor(keys, [rows, length]),
    targets: tensor(targets),
    weights: tensor(weights),
  };
}

/** Writing texts; the loss is the mean of all tokens that are written. */
export const writing = (model: Seq2Seq): Trained<Seq2SeqBatch> =>
  trained<Seq2SeqBatch>(model, ({ ids, mask, prefix, keys, targets, weights }, rng) => {
    const options = rng ? { training: { rng } } : {};
    const encoded = model.encode({ ids, mask }, options);
    const start = model.start(encoded, mask);
    const { hidden } = model.decode({ ids: prefix, mask: keys }, start, options);
    const logits = model.logits(reshape(hidden, [-1, hidden.shape[2]])); // [T * B, vocab_size]
    return { losses: crossEntropy(logits, targets), weights };
  });
