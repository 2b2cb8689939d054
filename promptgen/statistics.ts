/**
 * What chance has to do with a figure: intervals by resampling facts, and tests of the difference between two rows.
 *
 * It knows numbers only: no files, no models, no tables.
 */
import { Random } from "../models/training/random.ts";

/** How often facts are drawn anew, and from which seed. */
export type Resampling = { readonly resamples: number; readonly seed: number };

/** Half of what lies outside an interval of 95 %. */
const TAIL = 0.025;
const BOOTSTRAP = 9; // purpose of the seed

/**
 * McNemar's exact test, two-sided: p of a split at least as uneven as this one among the facts that exactly one of two runs has
 * right, were each as likely to be the one. 1 where no fact is. It underflows to 0 below 1e-308.
 * @param first how many the first alone has right
 * @param second how many the second alone has right
 */
export function mcnemar(first: number, second: number): number {
  const n = first + second;
  const least = Math.min(first, second);
  // P(least) of the binomial distribution, halved on the way so that it neither overflows nor vanishes
  let p = 1;
  let halvings = n;
  for (let i = 1; i <= least; i++) {
    p *= (n - least + i) / i;
    for (; p > 1 && halvings > 0; halvings--) p /= 2;
  }
  // the smaller ones as shares of it
  let sum = 1;
  let share = 1;
  for (let k = least; k > 0 && share > sum * 1e-18; k--) {
    share *= k / (n - k + 1);
    sum += share;
  }
  return Math.min(1, 2 * sum * p * 2 ** -halvings);
}

/**
 * Means over groups of the means within, for facts drawn anew with replacement within each group: f64 [columns][resamples]. One
 * draw serves all columns, so that the difference of two is that of a paired bootstrap.
 * @param groups by group, by column, one value for each of its facts; every group has facts
 */
export function bootstrapMeans(
  groups: readonly (readonly ArrayLike<number>[])[],
  { resamples, seed }: Resampling,
): Float64Array[] {
  const columns = groups[0]?.length ?? 0;
  const means = Array.from({ length: columns }, () => new Float64Array(resamples));
  groups.forEach((group, g) => {
    const count = group[0].length;
    const below = fast(new Random(seed, BOOTSTRAP, g));
    const drawn = new Uint32Array(count);
    for (let b = 0; b < resamples; b++) {
      for (let i = 0; i < count; i++) drawn[i] = below(count);
      group.forEach((values, column) => {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += values[drawn[i]];
        means[column][b] += sum / count / groups.length;
      });
    }
  });
  return means;
}

/**
 * Whole numbers from 0 to below n, several times as fast as `Random` gives them: 34,017 facts are drawn 2,000 times. It is sfc32 of Chris
 * Doty-Humphrey's PractRand, its state drawn from `random`.
 */
function fast(random: Random): (n: number) => number {
  let [a, b, c, count] = Array.from({ length: 4 }, () => random.bits() | 0);
  return (n) => {
    const sum = (((a + b) | 0) + count) | 0;
    count = (count + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return Math.floor(((sum >>> 0) / 2 ** 32) * n);
  };
}

/** The 2.5th and the 97.5th percentile, linear between the two nearest values. Throws for no values. */
export function percentileInterval(values: ArrayLike<number>): [low: number, high: number] {
  if (values.length === 0) throw new Error("[statistics] there are no values to take a range of");
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  };
  return [at(TAIL), at(1 - TAIL)];
}

/**
 * Two-sided p of resampled differences: twice the share on the rarer side of 0, which itself counts for both. One is added to
 * either count, for no number of resamples can say that p is 0.
 */
export function bootstrapP(differences: ArrayLike<number>): number {
  const all = Array.from(differences);
  const share = (count: number): number => (count + 1) / (all.length + 1);
  const notAbove = share(all.filter((one) => one <= 0).length);
  const notBelow = share(all.filter((one) => one >= 0).length);
  return Math.min(1, 2 * Math.min(notAbove, notBelow));
}
