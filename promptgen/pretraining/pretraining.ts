/**
 * Pre-training of the models as problems of the training loop: masked-LM for BERT, denoising by span in-filling for BART, span
 * corruption for T5. Ids are made once for each text; what is masked is drawn anew for each batch.
 */
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { div, mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows } from "../../models/nn.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
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

/** How much of a text is removed. */
export type SpanOptions = {
  /** The share of a text's tokens that is removed is uniform between these. */
  readonly least: number;
  readonly most: number;
  /** Mean length of a span (Poisson). */
  readonly span: number;
};

/** How BART's input is damaged. */
export type InfillOptions = SpanOptions & {
  /** Probability that the input is a statement of the same fact that is drawn anew from `statements`. */
  readonly paraphrase: number;
  readonly statements: (sentence: Sentence) => readonly string[];
};

type BartItem = {
  readonly source: readonly number[];
  readonly target: readonly number[];
};

/** A batch for an encoder-decoder: it reads texts of S tokens and writes those of T, one behind what it has read. */
export type Seq2SeqBatch = {
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
  const fate = fates(ids.length, share, span, random);
  return ids.flatMap((id, i) => (fate[i] === 2 ? [mask] : fate[i] === 1 ? [] : [id]));
}

/** What becomes of each token of a text: 0 stays, 2 begins a span of Poisson length that goes, 1 goes with it. */
function fates(length: number, share: number, span: number, random: Random): Uint8Array {
  const wanted = Math.max(1, Math.round(share * length));
  const fate = new Uint8Array(length);
  let gone = 0;
  for (let tries = 0; gone < wanted && tries < 20; tries++) {
    const own = Math.max(1, Math.min(poisson(span, random), wanted - gone));
    const start = random.below(length - own + 1);
    if (fate.subarray(start, start + own).some((f) => f !== 0)) continue;
    fate.fill(1, start, start + own);
    fate[start] = 2;
    gone += own;
  }
  return fate;
}

/**
 * A text with holes, and what was in them (Raffel et al., 2020): each run of tokens that go is one sentinel in the source; the target
 * has each sentinel with its tokens behind it, and one sentinel more. Runs beyond the sentinels stay.
 *
 * @param sentinels ids in the order in which they are used, at least two
 */
export function corrupt(
  ids: readonly number[],
  share: number,
  span: number,
  sentinels: readonly number[],
  random: Random,
): { source: number[]; target: number[] } {
  const fate = fates(ids.length, share, span, random);
  const source: number[] = [];
  const target: number[] = [];
  let used = 0;
  let isOpen = false;
  ids.forEach((id, i) => {
    const begins = fate[i] !== 0 && (i === 0 || fate[i - 1] === 0);
    if (begins) {
      isOpen = used + 1 < sentinels.length;
      if (isOpen) {
        source.push(sentinels[used]);
        target.push(sentinels[used++]);
      }
    }
    (fate[i] !== 0 && isOpen ? target : source).push(id);
  });
  target.push(sentinels[used]);
  return { source, target };
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
  bart: Seq2Seq,
  tokenizer: Tokenizer,
  epochs: Epochs,
  options: InfillOptions,
  random: (purpose: number, epoch: number) => Random,
  buckets = 3,
): Problem<BartItem, Seq2SeqBatch> {
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
      const texts = batch.map(({ target }) => [eos, bos, ...target, eos]);
      return seq2SeqBatch(sources, texts, length, rows, pad);
    },
    loss: (batch, rng) => written(bart, batch, rng),
  };
}

/**
 * Span corruption of T5 (Raffel et al., 2020). The decoder starts with the padding token, as T5's does.
 * @param sentinels ids in the order in which they are used
 */
export function spanCorruption(
  t5: Seq2Seq,
  tokenizer: Tokenizer,
  epochs: Epochs,
  options: SpanOptions,
  sentinels: readonly number[],
  buckets = 3,
): Problem<readonly number[], Seq2SeqBatch> {
  if (sentinels.length < 2) {
    throw new Error(
      "[pretraining] the tokenizer has fewer than two sentinels (<extra_id_0>, ...); use that of a T5",
    );
  }
  const encode = remembering(tokenizer);
  const items = lastEpoch((epoch) => epochs(epoch).map(({ text }) => encode(text)));
  // the source ends in </s>; the target has a sentinel and </s> beside what is removed, and one sentinel more for each span
  const width = (ids: readonly number[]) => ids.length + 3;
  const { eos, pad } = tokenizer;
  return {
    parameters: t5.parameters,
    decays: t5.decays,
    items,
    width,
    buckets: bucketWidths(items(0).map(width), buckets),
    terms: ["loss"],
    collate(batch, length, rows, draws) {
      const pairs = batch.map((ids) => {
        const share = options.least + (options.most - options.least) * draws.unit();
        return corrupt(ids, share, options.span, sentinels, draws);
      });
      const sources = pairs.map(({ source }) => [...source, eos]);
      const texts = pairs.map(({ target }) => [pad, ...target, eos]);
      return seq2SeqBatch(sources, texts, length, rows, pad);
    },
    loss: (batch, rng) => written(t5, batch, rng),
  };
}

/** Sources and what is written about them, from the token that the decoder starts with to the last; missing rows weigh nothing. */
function seq2SeqBatch(
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

/** The mean loss of the tokens that are written. */
function written(
  model: Seq2Seq,
  batch: Seq2SeqBatch,
  rng: Tensor,
): { loss: Tensor; terms: Tensor } {
  const training = { rng };
  const encoded = model.encode({ ids: batch.ids, mask: batch.mask }, { training });
  const start = model.start(encoded, batch.mask);
  const { hidden } = model.decode({ ids: batch.prefix, mask: batch.keys }, start, { training });
  const logits = model.logits(reshape(hidden, [-1, hidden.shape[2]])); // [T * B, vocab_size]
  const loss = weightedMean(crossEntropy(logits, batch.targets), batch.weights);
  return { loss, terms: reshape(loss, [1]) };
}
