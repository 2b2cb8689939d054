/**
 * Pre-training of the two models as problems of the training loop: masked-LM for BERT, denoising by span in-filling for BART.
 * Ids are made once for each text; what is masked is drawn anew for each batch.
 */
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { div, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { BartForConditionalGeneration } from "../../models/bart.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows } from "../../models/nn.ts";
import { remembering, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { bucketWidths } from "../training/buckets.ts";
import type { Problem } from "../training/loop.ts";
import { rightPadded } from "../training/padding.ts";
import type { Random } from "../training/random.ts";
import type { Sentence } from "../world/world.ts";

/** Texts for each epoch. */
export type Epochs = (epoch: number) => readonly Sentence[];

/** Makes an epoch's items once, as long as the same epoch is asked for. */
function lastEpoch<T>(make: (epoch: number) => readonly T[]): (epoch: number) => readonly T[] {
  let kept: { epoch: number; items: readonly T[] } | undefined;
  return (epoch) => {
    if (kept?.epoch !== epoch) kept = { epoch, items: make(epoch) };
    return kept.items;
  };
}

/** Mean of the losses [R] by weights f32 [R]. */
const weightedMean = (losses: Tensor, weights: Tensor): Tensor =>
  div(sum(mul(losses, weights)), sum(weights));

/** How BERT's tokens are masked. */
export type MaskingOptions = {
  /** Probability that the object is masked, wherever it stands and always by [MASK]. */
  readonly object: number;
  /** Probability that one place of an object that stands twice is left as it is: what can be copied. */
  readonly copy: number;
  /** Probability of any other token; 80 % become [MASK], 10 % a random token, 10 % stay. */
  readonly other: number;
};

type BertItem = {
  readonly ids: readonly number[]; // with [CLS] and [SEP]
  readonly object: ReadonlySet<number>;
};

/** A batch of the masked-LM task. R places are predicted; those beyond the masked ones weigh nothing. */
export type MaskedBatch = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  readonly rows: Tensor; // u32 [R], indices into B * T
  readonly targets: Tensor; // u32 [R]
  readonly weights: Tensor; // f32 [R]
};

/** Masked-LM training of BERT (Devlin et al., 2019); the head runs on masked places only. */
export function maskedLM(
  bert: MaskedLM,
  tokenizer: Tokenizer,
  epochs: Epochs,
  masking: MaskingOptions,
  buckets = 3,
): Problem<BertItem, MaskedBatch> {
  const encode = remembering(tokenizer);
  const items = lastEpoch((epoch) =>
    epochs(epoch).map(({ text, object }) => ({
      ids: [tokenizer.cls, ...encode(text), tokenizer.sep],
      object: new Set(encode(object)),
    })),
  );
  const ordinary = [...tokenizer.vocabulary.values()].filter(
    (id) =>
      ![tokenizer.cls, tokenizer.sep, tokenizer.mask, tokenizer.pad, tokenizer.unk].includes(id),
  );
  /** Masked places of one text; at least one. */
  const draw = (item: BertItem, random: Random): { ids: number[]; places: number[] } => {
    const ids = [...item.ids];
    const places: number[] = [];
    const whole = random.unit() < masking.object;
    const held = ids.flatMap((id, i) => (item.object.has(id) ? [i] : []));
    const copied = held.length > 1 && random.unit() < masking.copy;
    const left = copied ? held[random.below(held.length)] : -1;
    for (let i = 1; i < ids.length - 1; i++) {
      if (i === left) continue;
      const isObject = whole && item.object.has(ids[i]);
      if (!isObject && random.unit() >= masking.other) continue;
      places.push(i);
      const fate = isObject ? 0 : random.unit();
      if (fate < 0.8) ids[i] = tokenizer.mask;
      else if (fate < 0.9) ids[i] = ordinary[random.below(ordinary.length)];
    }
    if (places.length > 0) return { ids, places };
    const place = 1 + random.below(ids.length - 2);
    ids[place] = tokenizer.mask;
    return { ids, places: [place] };
  };
  return {
    parameters: bert.parameters,
    decays: bert.decays,
    items,
    width: (item) => item.ids.length,
    buckets: bucketWidths(
      items(0).map((item) => item.ids.length),
      buckets,
    ),
    terms: ["loss"],
    collate(batch, width, rows, random) {
      const drawn = batch.map((item) => draw(item, random));
      const filled = Array.from({ length: rows }, (_, i) => (drawn[i] ?? drawn[0]).ids);
      // all masked places fit with a probability of all but 1e-6 (mean and five standard deviations)
      const each = masking.object + masking.other * (width - 3);
      const room = 8 * Math.ceil((rows * each + 5 * Math.sqrt(rows * each)) / 8);
      const places = new Uint32Array(room);
      const targets = new Uint32Array(room);
      const weights = new Float32Array(room);
      let used = 0;
      drawn.forEach((row, b) => {
        for (const place of row.places) {
          if (used === room) return;
          places[used] = b * width + place;
          targets[used] = batch[b].ids[place];
          weights[used++] = 1;
        }
      });
      return {
        ...rightPadded(filled, width, tokenizer.pad),
        rows: tensor(places),
        targets: tensor(targets),
        weights: tensor(weights),
      };
    },
    loss(batch, rng) {
      const hidden = bert.encode({ ids: batch.ids, mask: batch.mask }, { training: { rng } });
      const logits = bert.logits(gatherRows(hidden, batch.rows)); // [R, vocab_size]
      const loss = weightedMean(crossEntropy(logits, batch.targets), batch.weights);
      return { loss, terms: reshape(loss, [1]) };
    },
  };
}

/** How BART's input is damaged. */
export type InfillOptions = {
  /** The share of a text's tokens that is removed is uniform between these. */
  readonly least: number;
  readonly most: number;
  /** Mean length of a span (Poisson). */
  readonly span: number;
  /** Probability that the input is a statement of the same fact that is drawn anew from `statements`. */
  readonly paraphrase: number;
  readonly statements: (sentence: Sentence) => readonly string[];
};

type BartItem = {
  readonly source: readonly number[];
  readonly target: readonly number[];
};

/** A batch of the denoising task; T is target length + 1. */
export type InfillBatch = {
  readonly ids: Tensor; // u32 [B, S]
  readonly mask: Tensor; // u32 [B, S]
  readonly prefix: Tensor; // u32 [T, B]
  readonly keys: Tensor; // u32 [B, T]
  readonly targets: Tensor; // u32 [T * B]
  readonly weights: Tensor; // f32 [T * B]
};

/** Spans of Poisson length become one mask each, until a `share` of the tokens is gone (Lewis et al., 2020). */
export function infill(
  ids: readonly number[],
  share: number,
  span: number,
  mask: number,
  random: Random,
): number[] {
  const wanted = Math.max(1, Math.round(share * ids.length));
  const fate = new Uint8Array(ids.length); // 0 stays, 1 goes, 2 becomes the mask
  let gone = 0;
  for (let tries = 0; gone < wanted && tries < 20; tries++) {
    const length = Math.max(1, Math.min(poisson(span, random), wanted - gone));
    const start = random.below(ids.length - length + 1);
    if (fate.subarray(start, start + length).some((f) => f !== 0)) continue;
    fate.fill(1, start, start + length);
    fate[start] = 2;
    gone += length;
  }
  return ids.flatMap((id, i) => (fate[i] === 2 ? [mask] : fate[i] === 1 ? [] : [id]));
}

/** Inversion by sequential search. */
function poisson(mean: number, random: Random): number {
  const u = random.unit();
  let count = 0;
  let p = Math.exp(-mean);
  for (let reached = p; u > reached && count < 100; reached += p) p *= mean / ++count;
  return count;
}

const PARAPHRASE = 5; // purpose of the seed

/** Denoising training of BART (Lewis et al., 2020). */
export function denoising(
  bart: BartForConditionalGeneration,
  tokenizer: Tokenizer,
  epochs: Epochs,
  options: InfillOptions,
  random: (purpose: number, epoch: number) => Random,
  buckets = 3,
): Problem<BartItem, InfillBatch> {
  const encode = remembering(tokenizer);
  const items = lastEpoch((epoch) => {
    const draws = random(PARAPHRASE, epoch);
    return epochs(epoch).map((sentence) => {
      const target = encode(sentence.text);
      if (draws.unit() >= options.paraphrase) return { source: target, target };
      const same = options.statements(sentence);
      return { source: encode(same[draws.below(same.length)]), target };
    });
  });
  const width = ({ source, target }: BartItem) => 2 + Math.max(source.length, target.length);
  const { bos, eos, pad, mask } = tokenizer;
  return {
    parameters: bart.parameters,
    decays: bart.decays,
    items,
    width,
    buckets: bucketWidths(items(0).map(width), buckets),
    terms: ["loss"],
    collate(batch, length, rows, draws) {
      const sources = batch.map(({ source }) => {
        const share = options.least + (options.most - options.least) * draws.unit();
        return [bos, ...infill(source, share, options.span, mask, draws), eos];
      });
      const filled = Array.from({ length: rows }, (_, i) => sources[i] ?? sources[0]);
      const prefix = new Uint32Array(length * rows).fill(pad);
      const keys = new Uint32Array(rows * length);
      const targets = new Uint32Array(length * rows);
      const weights = new Float32Array(length * rows);
      for (let b = 0; b < rows; b++) {
        const text = [eos, bos, ...(batch[b] ?? batch[0]).target, eos];
        for (let t = 0; t + 1 < text.length; t++) {
          prefix[t * rows + b] = text[t];
          keys[b * length + t] = 1;
          targets[t * rows + b] = text[t + 1];
          weights[t * rows + b] = b < batch.length ? 1 : 0;
        }
      }
      return {
        ...rightPadded(filled, length, pad),
        prefix: tensor(prefix, [length, rows]),
        keys: tensor(keys, [rows, length]),
        targets: tensor(targets),
        weights: tensor(weights),
      };
    },
    loss(batch, rng) {
      const training = { rng };
      const encoded = bart.encode({ ids: batch.ids, mask: batch.mask }, { training });
      const start = bart.start(encoded, batch.mask);
      const { hidden } = bart.decode({ ids: batch.prefix, mask: batch.keys }, start, { training });
      const logits = bart.logits(reshape(hidden, [-1, hidden.shape[2]])); // [T * B, vocab_size]
      const loss = weightedMean(crossEntropy(logits, batch.targets), batch.weights);
      return { loss, terms: reshape(loss, [1]) };
    },
  };
}
