/**
 * Which token follows, of its logits, on the host: the most probable one, or one that is drawn. Temperature, top-k and top-p are
 * applied in transformers' order and with its rules for ties; what is drawn follows a seed.
 */
import { ModelError } from "../errors.ts";
import { Random } from "../training/random.ts";

/** With one of the first three tokens are drawn, else the most probable one is taken each time. */
export type SamplingOptions = {
  /** Divides the logits; default 1. */
  readonly temperature?: number | undefined;
  /** Only so many of the most probable tokens; default: all. */
  readonly topK?: number | undefined;
  /** Only the most probable tokens that together have this probability, 0 to 1; default: all. */
  readonly topP?: number | undefined;
  /** The same one gives the same text; default 0. */
  readonly seed?: number | undefined;
};

export const isSampled = ({ temperature, topK, topP }: SamplingOptions): boolean =>
  temperature !== undefined || topK !== undefined || topP !== undefined;

/** Throws ModelError for values that are none. */
export function checkSampling({ temperature = 1, topK = 1, topP = 1 }: SamplingOptions): void {
  if (!(temperature > 0 && Number.isFinite(temperature))) {
    throw new ModelError(
      `[generate] temperature is ${temperature}; use a number above 0, or leave it out for the most probable token`,
    );
  }
  if (!Number.isSafeInteger(topK) || topK < 1) {
    throw new ModelError(`[generate] topK is ${topK}; use a whole number of 1 or more`);
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new ModelError(`[generate] topP is ${topP}; use a probability above 0, up to 1`);
  }
}

/** The probabilities of tokens, of their logits: what is cut off has 0. */
export function probabilities(
  logits: ArrayLike<number>,
  { temperature = 1, topK, topP }: SamplingOptions,
): Float64Array {
  const scores = Float64Array.from(logits, (x) => x / temperature);
  if (topK !== undefined && topK < scores.length) {
    const least = scores.toSorted()[scores.length - topK];
    for (let i = 0; i < scores.length; i++) if (scores[i] < least) scores[i] = -Infinity;
  }
  const weights = normalised(scores);
  if (topP === undefined || topP >= 1) return weights;
  // from the least probable on, those whose sum leaves topP to the others
  const order = Array.from(weights.keys()).sort((a, b) => weights[a] - weights[b] || a - b);
  let sum = 0;
  for (const id of order.slice(0, -1)) {
    sum += weights[id];
    if (sum > 1 - topP) break;
    scores[id] = -Infinity;
  }
  return normalised(scores);
}

function normalised(scores: Float64Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = scores.map((score) => Math.exp(score - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

const DRAW = 21; // purpose of the seed

/** The token that follows. @param row of the text in its batch @param step from 0 */
export function chosen(
  logits: ArrayLike<number>,
  options: SamplingOptions,
  row: number,
  step: number,
): number {
  if (!isSampled(options)) {
    let best = 0;
    for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
    return best;
  }
  const weights = probabilities(logits, options);
  let left = new Random(options.seed ?? 0, DRAW, row, step).unit();
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id] === 0) continue;
    last = id;
    left -= weights[id];
    if (left < 0) return id;
  }
  return last; // what rounding has left over
}
