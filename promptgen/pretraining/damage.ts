/**
 * What pre-training does to a text, as lists of ids without the tokens around it: masking of whole words, in-filling, permuted
 * sentences, span corruption. Knows no model; a draw is decided by its `Random`.
 */
import type { Random } from "../../models/training/random.ts";
import type { Masked } from "./tasks.ts";

/** A text as tokens, without those around it. */
export type Tokens = {
  readonly ids: readonly number[];
  /** Whether a token begins a word. */
  readonly starts: readonly boolean[];
  /** Whether it is marked as an object's. */
  readonly marked: readonly boolean[];
};

/** What of a vocabulary damage is made of. */
export type Words = {
  /** Id of the mask. */
  readonly mask: number;
  /** Ids of the tokens that stand for others at random: all but special ones. */
  readonly ordinary: readonly number[];
  isSpecial(id: number): boolean;
};

export type WordMaskingOptions = {
  /** Share of a text's tokens that is masked, those around it counted. */
  readonly rate: number;
  /** Probability that a marked run of words is masked, as a whole and always by the mask; 0: as other words. */
  readonly object: number;
};

/**
 * Whole words are masked in random order up to the share of the tokens, at least one of them; 80 % of their tokens become the mask,
 * 10 % another token, 10 % stay (Devlin et al., 2019, and their whole-word masking: a word that is too long for what is left of the
 * share is passed over). Objects come first. Special tokens are never masked. `places` count from the first token.
 */
export function maskWords(
  { ids, starts, marked }: Tokens,
  { rate, object }: WordMaskingOptions,
  words: Words,
  random: Random,
): Masked {
  const begins = ids.flatMap((_, i) => (i === 0 || starts[i] ? [i] : []));
  const runs = begins.map((from, k) => ({
    from,
    to: begins[k + 1] ?? ids.length,
    candidate: true,
    chosen: false,
    isObject: false,
  }));
  for (const run of runs) {
    run.candidate = ids.slice(run.from, run.to).some((id) => !words.isSpecial(id));
  }
  const budget = Math.max(1, Math.round(rate * (ids.length + 2)));
  let used = 0;
  if (object > 0) {
    let drawn = false;
    runs.forEach((run, k) => {
      if (!marked[run.from] || !run.candidate) return;
      const before = runs[k - 1];
      const goesOn = before?.candidate && marked[before.from];
      if (!goesOn) drawn = random.unit() < object;
      if (!drawn) return;
      run.chosen = true;
      run.isObject = true;
      used += run.to - run.from;
    });
  }
  const order = random.shuffled(runs.filter((run) => run.candidate && !run.chosen));
  for (const run of order) {
    if (used + run.to - run.from > budget) continue;
    run.chosen = true;
    used += run.to - run.from;
  }
  if (used === 0 && order.length > 0) order[0].chosen = true;
  const damaged = [...ids];
  const places: number[] = [];
  for (const { from, to, chosen, isObject } of runs) {
    for (let i = from; chosen && i < to; i++) {
      if (words.isSpecial(ids[i])) continue;
      places.push(i);
      const fate = isObject ? 0 : random.unit();
      if (fate < 0.8) damaged[i] = words.mask;
      else if (fate < 0.9) damaged[i] = words.ordinary[random.below(words.ordinary.length)];
    }
  }
  return { ids: damaged, places, targets: places.map((place) => ids[place]) };
}

export type InfillingOptions = {
  /** Share of a text's words that is removed. */
  readonly rate: number;
  /** Mean number of words in a span (Poisson). */
  readonly span: number;
  /** Share of the masks in whose place another token stands. */
  readonly other: number;
};

/**
 * Text in-filling of BART (Lewis et al., 2020) as fairseq's denoising computes it: spans of whole words, of Poisson length until the
 * share of the words is reached, begin at words drawn without repetition; each becomes one mask, and where two overlap they may become
 * one. Spans of no words are masks put between tokens; those beyond the text's own length are left out. An inserted token is a mask
 * like any other (fairseq rounds the share of other tokens up, so that there a single one never is).
 */
export function fillText(
  { ids, starts }: Pick<Tokens, "ids" | "starts">,
  { rate, span, other }: InfillingOptions,
  words: Words,
  random: Random,
): number[] {
  const begins = ids.flatMap((_, i) => (i === 0 || starts[i] ? [i] : []));
  const budget = Math.ceil(rate * begins.length);
  const lengths: number[] = [];
  let inserted = 0;
  for (let reached = 0; reached < budget; ) {
    const length = Math.min(poisson(span, random), budget - reached);
    if (length === 0) inserted++;
    else lengths.push(length);
    reached += length;
  }
  const blank = (): number =>
    random.unit() < other ? words.ordinary[random.below(words.ordinary.length)] : words.mask;
  const order = random.shuffled(begins.map((_, k) => k));
  const kept: (number | undefined)[] = [...ids];
  const spans = lengths.map((length, k) => ({ first: order[k], last: order[k] + length }));
  for (const { first } of spans) kept[begins[first]] = blank();
  for (const { first, last } of spans) {
    kept.fill(undefined, begins[first] + 1, begins[last] ?? ids.length);
  }
  const source = kept.filter((id) => id !== undefined);
  inserted = Math.min(inserted, ids.length - source.length);
  for (let k = 0; k < inserted; k++) source.splice(random.below(source.length + 1), 0, blank());
  return source;
}

/** The sentences of a text in random order; a sentence ends with a full stop that none follows. */
export function permuteSentences(
  { ids, starts }: Pick<Tokens, "ids" | "starts">,
  isStop: (id: number) => boolean,
  random: Random,
): Pick<Tokens, "ids" | "starts"> {
  const sentences: number[][] = [[]];
  ids.forEach((id, i) => {
    if (i > 0 && isStop(ids[i - 1]) && !isStop(id)) sentences.push([]);
    sentences[sentences.length - 1].push(i);
  });
  if (sentences.length === 1) return { ids, starts };
  const order = random.shuffled(sentences).flat();
  return { ids: order.map((i) => ids[i]), starts: order.map((i) => i === 0 || starts[i]) };
}

/** How much of a text is removed. */
export type SpanOptions = {
  /** The share of a text's tokens that is removed is uniform between these. */
  readonly least: number;
  readonly most: number;
  /** Mean length of a span (Poisson). */
  readonly span: number;
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
export function poisson(mean: number, random: Random): number {
  const u = random.unit();
  let count = 0;
  let p = Math.exp(-mean);
  for (let reached = p; u > reached && count < 100; reached += p) p *= mean / ++count;
  return count;
}
