/**
 * Pre-training on a corpus as problems of the training loop: masked LMs by whole words (Devlin et al., 2019), encoder-decoders by
 * in-filling and permuted sentences (Lewis et al., 2020). Texts are read as they are needed; their order, what is masked in them and
 * which of them share a batch are functions of the seed, the epoch and the step.
 */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, reshape } from "../../engine/ops/shape.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { bucketWidthsOf, type Group } from "../../models/training/buckets.ts";
import type { Evaluation, StoredProblem } from "../../models/training/loop.ts";
import { Permutation } from "../../models/training/permutation.ts";
import { Random } from "../../models/training/random.ts";
import type { Side, TextCache } from "./corpus/cache.ts";
import { unpacked } from "./corpus/texts.ts";
import {
  fillText,
  type InfillingOptions,
  maskWords,
  permuteSentences,
  type Tokens,
  type WordMaskingOptions,
  type Words,
} from "./damage.ts";
import {
  type MaskedBatch,
  maskedBatch,
  masking,
  type Scored,
  type Seq2SeqBatch,
  seq2SeqBatch,
  writing,
} from "./tasks.ts";

/** Tokens that both kinds of model put around a text. */
export const AROUND = 2;

const [ORDER, BATCHES, VALIDATION] = [1, 2, 7]; // purposes of the seed

/** Texts of one bucket: places of a side. */
type Bucket = { readonly width: number; readonly first: number; readonly count: number };

/** The texts of one side in batches. */
export class TextGroups {
  readonly #cache: TextCache;
  readonly #side: Side;
  readonly #buckets: readonly Bucket[]; // longest first
  /** Places before each length, to find the length of a place. */
  readonly #starts: readonly { readonly length: number; readonly first: number }[];
  #orders: { readonly of: string; readonly orders: readonly Permutation[] } | undefined;

  constructor(cache: TextCache, side: Side, buckets: number) {
    this.#cache = cache;
    this.#side = side;
    let first = 0;
    this.#starts = side.lengths.map(([length, count]) => {
      first += count;
      return { length, first: first - count };
    });
    const widths = bucketWidthsOf(new Map(side.lengths), buckets);
    this.#buckets = widths
      .map((most, i) => {
        const own = this.#starts.find(({ length }) => length > (widths[i - 1] ?? 0))?.first ?? 0;
        const end = this.#starts.find(({ length }) => length > most)?.first ?? side.count;
        return { width: most + AROUND, first: own, count: end - own };
      })
      .reverse();
  }

  groupsOf(size: number): number {
    return this.#buckets.reduce((all, { count }) => all + Math.ceil(count / size), 0);
  }

  /** The first epoch begins with one group of each bucket, longest first: the memory that the plans share then grows once. */
  group(size: number, seed: number, epoch: number, position: number): Group<Tokens> {
    const [batches, ...texts] = this.#ordered(size, seed, epoch);
    const head = epoch === 0 ? this.#buckets.length : 0;
    let number = position < head ? 0 : batches.at(position - head);
    let k = position < head ? position : 0;
    if (position >= head) {
      for (const { count } of this.#buckets) {
        const own = Math.ceil(count / size) - Math.min(head, 1);
        if (number < own) break;
        number -= own;
        k++;
      }
      number += Math.min(head, 1);
    }
    const bucket = this.#buckets[k];
    const from = number * size;
    const items = Array.from({ length: Math.min(size, bucket.count - from) }, (_, i) =>
      this.#text(bucket.first + texts[k].at(from + i)),
    );
    return { width: bucket.width, items };
  }

  /** The order of the groups, and that of the texts of each bucket. */
  #ordered(size: number, seed: number, epoch: number): readonly Permutation[] {
    const of = `${size} ${seed} ${epoch}`;
    if (this.#orders?.of !== of) {
      const head = epoch === 0 ? this.#buckets.length : 0;
      const batches = new Permutation(this.groupsOf(size) - head, new Random(seed, BATCHES, epoch));
      const texts = this.#buckets.map(
        ({ count }, k) => new Permutation(count, new Random(seed, ORDER, epoch, k)),
      );
      this.#orders = { of, orders: [batches, ...texts] };
    }
    return this.#orders.orders;
  }

  #text(place: number): Tokens {
    // binary search for the length that the place has
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle].first <= place) low = middle;
      else high = middle - 1;
    }
    return unpacked(this.#cache.read(this.#side, place, this.#starts[low].length));
  }
}

/** A problem over a corpus, and how its held-out texts are asked. */
export type TextProblem<Batch> = StoredProblem<Tokens, Batch> & Scored<Batch>;

function wordsOf(tokenizer: Tokenizer): Words {
  const isSpecial = (id: number): boolean => tokenizer.isSpecial(id);
  const ordinary = [...tokenizer.vocabulary.values()].filter((id) => !isSpecial(id));
  return { mask: tokenizer.mask, ordinary, isSpecial };
}

/** Training of a masked LM on the texts of a cache. */
export function textMasking(
  model: MaskedLM,
  tokenizer: Tokenizer,
  groups: TextGroups,
  options: WordMaskingOptions,
): TextProblem<MaskedBatch> {
  const words = wordsOf(tokenizer);
  const { cls, sep, pad } = tokenizer;
  return {
    ...masking(model),
    groupsOf: (size) => groups.groupsOf(size),
    group: (...asked) => groups.group(...asked),
    collate(texts, width, rows, random) {
      const drawn = texts.map((text) => {
        const { ids, places, targets } = maskWords(text, options, words, random);
        return { ids: [cls, ...ids, sep], places: places.map((place) => 1 + place), targets };
      });
      return maskedBatch(drawn, width, rows, pad);
    },
  };
}

export type DenoisingOptions = InfillingOptions & {
  /** Whether the sentences of a text are put in random order before words are removed. */
  readonly permute: boolean;
};

/** Training of an encoder-decoder on the texts of a cache: it reads a damaged text and writes the text. */
export function textDenoising(
  model: Seq2Seq,
  tokenizer: Tokenizer,
  groups: TextGroups,
  options: DenoisingOptions,
): TextProblem<Seq2SeqBatch> {
  const words = wordsOf(tokenizer);
  const { bos, eos, pad } = tokenizer;
  const { decoder_start_token_id: given } = model.json;
  const start = typeof given === "number" ? given : eos;
  const stop = tokenizer.idOrUndefined(".");
  return {
    ...writing(model),
    groupsOf: (size) => groups.groupsOf(size),
    group: (...asked) => groups.group(...asked),
    collate(texts, width, rows, random) {
      const sources = texts.map((text) => {
        const ordered = options.permute
          ? permuteSentences(text, (id) => id === stop, random)
          : text;
        return [bos, ...fillText(ordered, options, words, random), eos];
      });
      const targets = texts.map(({ ids }) => [start, bos, ...ids, eos]);
      return seq2SeqBatch(sources, targets, width, rows, pad);
    },
  };
}

/**
 * Asks texts that are held out, damaged alike at each call and for each seed; the score is the negative mean loss of what was asked.
 * @param most texts that are asked, whole batches; those are the same at each call
 */
export function validation<Batch>(
  device: Device,
  problem: TextProblem<Batch>,
  groups: TextGroups,
  batchSize: number,
  most: number,
  signal?: AbortSignal,
): () => Promise<Evaluation | undefined> {
  const ask = compile(device, (batch: Batch) => {
    const { losses, weights } = problem.losses(batch);
    const sums = [sum(mul(losses, weights)), sum(weights)].map((one) => reshape(one, [1]));
    return { sums: concat(sums, 0) };
  });
  return async () => {
    const count = Math.min(groups.groupsOf(batchSize), Math.ceil(most / batchSize));
    let [loss, asked] = [0, 0];
    for (let k = 0; k < count; k++) {
      if (signal?.aborted) return undefined;
      const { items, width } = groups.group(batchSize, 0, 1, k);
      const batch = problem.collate(items, width, batchSize, new Random(0, VALIDATION, k));
      const { sums } = await ask(batch as Parameters<typeof ask>[0]);
      const [own, weight] = await sums.read();
      loss += own;
      asked += weight;
    }
    const mean = loss / asked;
    return { score: -mean, figures: { validationLoss: mean } };
  };
}
