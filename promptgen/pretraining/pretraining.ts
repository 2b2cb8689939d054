/**
 * Pre-training on sentences in memory, as problems of the training loop: masked-LM for BERT, denoising by span in-filling for BART,
 * span corruption for T5. This is what a world's models learn from; a corpus is read in texts.ts. Ids are made once for each text;
 * what is masked is drawn anew for each batch.
 */
import type { MaskedLM } from "../../models/masked-lm.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import { remembering, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { bucketWidths } from "../../models/training/buckets.ts";
import type { Problem } from "../../models/training/loop.ts";
import type { Random } from "../../models/training/random.ts";
import type { Sentence } from "../world/world.ts";
import { corrupt, infill, type SpanOptions } from "./damage.ts";
import {
  type Masked,
  type MaskedBatch,
  maskedBatch,
  masking as maskedTask,
  type Seq2SeqBatch,
  seq2SeqBatch,
  writing,
} from "./tasks.ts";

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
  const draw = (item: BertItem, random: Random): Masked => {
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
    if (places.length === 0) {
      places.push(1 + random.below(ids.length - 2));
      ids[places[0]] = tokenizer.mask;
    }
    return { ids, places, targets: places.map((place) => item.ids[place]) };
  };
  return {
    ...maskedTask(bert),
    items,
    width: (item) => item.ids.length,
    buckets: bucketWidths(
      items(0).map((item) => item.ids.length),
      buckets,
    ),
    collate(batch, width, rows, random) {
      // all masked places fit with a probability of all but 1e-6 (mean and five standard deviations)
      const each = masking.object + masking.other * (width - 3);
      const room = 8 * Math.ceil((rows * each + 5 * Math.sqrt(rows * each)) / 8);
      const drawn = batch.map((item) => draw(item, random));
      return maskedBatch(drawn, width, rows, tokenizer.pad, room);
    },
  };
}

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
    ...writing(bart),
    items,
    width,
    buckets: bucketWidths(items(0).map(width), buckets),
    collate(batch, length, rows, draws) {
      const sources = batch.map(({ source }) => {
        const share = options.least + (options.most - options.least) * draws.unit();
        return [bos, ...infill(source, share, options.span, mask, draws), eos];
      });
      const texts = batch.map(({ target }) => [eos, bos, ...target, eos]);
      return seq2SeqBatch(sources, texts, length, rows, pad);
    },
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
    ...writing(t5),
    items,
    width,
    buckets: bucketWidths(items(0).map(width), buckets),
    collate(batch, length, rows, draws) {
      const pairs = batch.map((ids) => {
        const share = options.least + (options.most - options.least) * draws.unit();
        return corrupt(ids, share, options.span, sentinels, draws);
      });
      const sources = pairs.map(({ source }) => [...source, eos]);
      const texts = pairs.map(({ target }) => [pad, ...target, eos]);
      return seq2SeqBatch(sources, texts, length, rows, pad);
    },
  };
}
