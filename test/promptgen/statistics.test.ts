import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { meanAndDeviation } from "../../promptgen/scores.ts";
import {
  bootstrapMeans,
  bootstrapP,
  mcnemar,
  percentileInterval,
} from "../../promptgen/statistics.ts";

type Sampled = { readonly interval: [number, number]; readonly error: number };
type Golden = {
  readonly mcnemar: readonly (readonly [number, number, number])[];
  readonly percentile: { readonly values: number[]; readonly interval: [number, number] };
  readonly bootstrap: readonly (Sampled & { readonly groups: number[][] })[];
  readonly paired: Sampled & { readonly groups: number[][][] };
  readonly spread: {
    readonly values: number[];
    readonly mean: number;
    readonly deviation: number;
  };
};
const path = new URL("../golden/statistics.json", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(path, "utf8"));

const near = (value: number, wanted: number, by: number, what = ""): void =>
  assert.ok(Math.abs(value - wanted) <= by, `${what}: ${value} and ${wanted}`);

const exact = suite("McNemar");

exact("p is that of statsmodels for counts up to 34,017, either way round", () => {
  for (const [first, second, p] of golden.mcnemar) {
    near(mcnemar(first, second), p, 1e-10 * p + 1e-320, `${first}, ${second}`);
    assert.is(mcnemar(second, first), mcnemar(first, second));
  }
});

exact("p is the sum over all splits that are no more even, counted in whole numbers", () => {
  for (let n = 1; n <= 60; n++) {
    const ways = [1n];
    for (let k = 1; k <= n; k++) ways.push((ways[k - 1] * BigInt(n - k + 1)) / BigInt(k));
    for (let first = 0; first <= n; first++) {
      const all = ways.filter((_, k) => Math.abs(2 * k - n) >= Math.abs(2 * first - n));
      const p = Number(all.reduce((a, b) => a + b)) / 2 ** n;
      near(mcnemar(first, n - first), p, 1e-13 * p, `${first} of ${n}`);
    }
  }
});

const bootstrap = suite("bootstrap");
const MANY = { resamples: 20_000, seed: 5 };

bootstrap("interval and standard error are those of SciPy", () => {
  for (const { groups, interval, error } of golden.bootstrap) {
    const [means] = bootstrapMeans(
      groups.map((values) => [values]),
      MANY,
    );
    compare(means, interval, error);
  }
});

bootstrap("of a difference too, the facts of both drawn together", () => {
  const { groups, interval, error } = golden.paired;
  const [first, second] = bootstrapMeans(groups, MANY);
  compare(
    first.map((value, b) => value - second[b]),
    interval,
    error,
  );
});

/** Both are estimates: an end of an interval by B resamples is off by about 2.7 / sqrt(B) standard errors. */
function compare(means: Float64Array, interval: readonly number[], error: number): void {
  near(meanAndDeviation([...means]).deviation ?? 0, error, 0.03 * error, "error");
  percentileInterval(means).forEach((end, i) => {
    near(end, interval[i], 0.12 * error, `end ${i}`);
  });
}

bootstrap("every resample of tiny groups comes as often as it should", () => {
  const groups = [[[0, 1]], [[0, 0, 3]]];
  const { resamples } = MANY;
  const wanted = new Map<string, number>();
  for (const a of [0, 1])
    for (const b of [0, 1])
      for (const c of [0, 0, 3])
        for (const d of [0, 0, 3])
          for (const e of [0, 0, 3]) {
            const mean = ((a + b) / 2 + (c + d + e) / 3) / 2;
            wanted.set(mean.toFixed(6), (wanted.get(mean.toFixed(6)) ?? 0) + 1 / 108);
          }
  const [means] = bootstrapMeans(groups, MANY);
  const found = Map.groupBy(means, (mean) => mean.toFixed(6));
  assert.equal([...found.keys()].sort(), [...wanted.keys()].sort());
  for (const [mean, share] of wanted) {
    const error = Math.sqrt((share * (1 - share)) / resamples);
    near((found.get(mean)?.length ?? 0) / resamples, share, 4 * error, mean);
  }
});

bootstrap("the seed decides, and a column is drawn the same whatever stands beside it", () => {
  const groups = [[[0, 1, 1, 0, 1]], [[1, 0, 0]]];
  const few = { resamples: 50, seed: 3 };
  const [alone] = bootstrapMeans(groups, few);
  const beside = groups.map(([values]) => [values.map((value) => 1 - value), values]);
  assert.equal(bootstrapMeans(beside, few)[1], alone);
  assert.not.equal(bootstrapMeans(groups, { ...few, seed: 4 })[0], alone);
});

bootstrap("percentiles are numpy's", () => {
  const { values, interval } = golden.percentile;
  percentileInterval(values).forEach((end, i) => {
    near(end, interval[i], 1e-12);
  });
  assert.equal(percentileInterval([3]), [3, 3]);
  assert.throws(() => percentileInterval([]), /no values/);
});

bootstrap("p counts both sides, and differences of 0 for either", () => {
  near(bootstrapP([1, 2, 3, -1, 0, 2, 2, 2, 2]), 2 * (3 / 10), 1e-15);
  near(bootstrapP([-1, -2, -3]), 2 * (1 / 4), 1e-15);
  assert.is(bootstrapP([0, 0, 0]), 1);
  assert.is(bootstrapP(new Float64Array(1999).fill(4)), 2 / 2000);
});

bootstrap("mean and deviation over seeds are numpy's", () => {
  const { values, mean, deviation } = golden.spread;
  const found = meanAndDeviation(values);
  near(found.mean, mean, 1e-12);
  near(found.deviation ?? 0, deviation, 1e-12);
});

for (const one of [exact, bootstrap]) one.run();
