/** Initial values: their bounds and moments by counting, PyTorch's bounds by its formulas written out. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { kaimingUniform, normal, uniform, xavierUniform } from "../../engine/init.ts";
import { philox } from "../../engine/philox.ts";

const momentsOf = (values: Float32Array) => {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const spread = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  return { mean, spread };
};

test("uniform: within its bound, flat, each value one word of Philox", () => {
  const values = uniform(40_000, 0.5, 7, 3);
  assert.ok(values.every((x) => x >= -0.5 && x < 0.5));
  const { mean, spread } = momentsOf(values);
  assert.ok(Math.abs(mean) < 0.01 && Math.abs(spread - 0.5 / Math.sqrt(3)) < 0.005);
  const tenths = new Array(10).fill(0);
  for (const x of values) tenths[Math.floor((x + 0.5) * 10)]++;
  assert.ok(
    tenths.every((n) => Math.abs(n - 4000) < 300),
    tenths.join(),
  );
  const words = philox([1, 0, 3, 0], [7, 0]); // of the places 4 to 7
  for (const [j, word] of words.entries()) {
    assert.is(values[4 + j], Math.fround(0.5 * (word / 2 ** 31 - 1)));
  }
});

test("a shorter tensor is the beginning of a longer one; streams and seeds differ", () => {
  for (const make of [normal, uniform]) {
    const long = make(11, 1, 5, 0);
    for (const n of [0, 1, 2, 3, 6, 10]) assert.equal(make(n, 1, 5, 0), long.slice(0, n));
    assert.is.not(make(1, 1, 5, 1)[0], long[0]);
    assert.is.not(make(1, 1, 6, 0)[0], long[0]);
    assert.is.not(make(1, 1, 5 + 2 ** 32, 0)[0], long[0]);
    assert.throws(() => make(1, 1, -1, 0), /-1 is no seed/);
    assert.throws(() => make(1, 1, 0.5, 0), /0.5 is no seed/);
  }
});

test("the bounds of Glorot and of He, of PyTorch's Linear and of a convolution", () => {
  const most = (values: Float32Array) => values.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const near = (values: Float32Array, bound: number, what: string) => {
    assert.ok(most(values) <= bound && most(values) > 0.98 * bound, `${what}: ${most(values)}`);
  };
  near(xavierUniform([30, 20], 1, 0), Math.sqrt(6 / 50), "Glorot");
  near(xavierUniform([30, 20], 1, 0, 2), 2 * Math.sqrt(6 / 50), "Glorot with a gain");
  near(kaimingUniform([30, 25], 1, 0), 1 / 5, "Linear of 25 inputs");
  near(kaimingUniform([30, 24], 1, 0, 0), 0.5, "in front of a ReLU");
  near(kaimingUniform([8, 4, 3, 2], 1, 0, 0), 0.5, "a kernel of 3 x 2 over 4 channels");
  assert.is(kaimingUniform([30, 25], 1, 0).length, 750);
  assert.throws(() => xavierUniform([30], 1, 0), /a weight of shape \[30\] has no two axes/);
});

test.run();
