/** The CPU's elementary functions beside float64: the errors that kernels/cpu/lib/math.ts states, in both builds. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import {
  cos,
  exp,
  gelu,
  geluTanh,
  log,
  relu,
  sigmoid,
  silu,
  sin,
  tanh,
} from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { bell, erfc, share } from "../normal.ts";

const builds = ["relaxed", "plain"] as const;
const devices = await Promise.all(
  builds.map(async (simd) => ({
    simd,
    device: await openDevice({ device: "cpu", threads: 2, simd }),
  })),
);
const test = suite("elementary functions on cpu");

const LEAST = 2 ** -126; // the least normal number
const MOST = 2 ** 128 * (1 - 2 ** -24);

/** Distance between the f32 numbers around a normal number. */
function ulp(value: number): number {
  const size = Math.abs(value);
  let power = Math.floor(Math.log2(size));
  if (2 ** power > size) power--;
  else if (2 ** (power + 1) <= size) power++;
  return 2 ** (power - 23);
}

test("the references themselves", () => {
  // values of erfc from Abramowitz and Stegun, table 7.1, and from its expansion for large z
  for (const [z, want] of [
    [0, 1],
    [0.5, 0.4795001222],
    [1, 0.1572992071],
    [2, 0.004677734981],
  ]) {
    assert.ok(Math.abs(erfc(z) - want) < 1e-10, `erfc(${z}) is ${erfc(z)}`);
  }
  const z = 9;
  const large =
    (Math.exp(-z * z) / (z * Math.sqrt(Math.PI))) *
    (1 - 1 / (2 * z * z) + 3 / (4 * z ** 4) - 15 / (8 * z ** 6));
  assert.ok(Math.abs(erfc(z) / large - 1) < 1e-6);
  assert.ok(Math.abs(erfc(2 - 1e-13) / erfc(2) - 1) < 1e-11, "the two halves meet");
  assert.equal([1, 1.5, 2 - 2 ** -23, 2, LEAST].map(ulp), [
    2 ** -23,
    2 ** -23,
    2 ** -23,
    2 ** -22,
    2 ** -149,
  ]);
});

/** f32 numbers: evenly from `from` to `to`, and both signs of every size that f32 has. */
function grid(from: number, to: number, count = 100_000): Float32Array {
  const even = Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
  const sizes: number[] = [];
  for (let power = -149; power < 128; power += 1 / 64) sizes.push(2 ** power, -(2 ** power));
  const edges = [0, -0, LEAST, -LEAST, MOST, -MOST, 88.72283, 88.7229, -87.3365, -87.34, -88, -104];
  return Float32Array.from([...even, ...sizes, ...edges].filter((x) => Math.abs(x) <= MOST));
}

type Bound = { relaxed: number; plain: number };
type Judge = (x: number, got: number, want: number) => number;

const inUlps: Judge = (_, got, want) => Math.abs(got - want) / ulp(want);
const relative: Judge = (_, got, want) => Math.abs(got / want - 1);
const absolute: Judge = (_, got, want) => Math.abs(got - want);

/**
 * Compares f on every build; `bounds` are the largest errors where the result is a normal number. A smaller result may be
 * anything from 0 to the least normal number, one that is too large for f32 is infinite.
 */
async function compare(
  f: (x: Tensor) => Tensor,
  reference: (x: number) => number,
  xs: Float32Array,
  bounds: readonly { judge: Judge; most: Bound; where?: (x: number) => boolean }[],
): Promise<void> {
  for (const { simd, device } of devices) {
    const result = await compile(device, f)(tensor(xs, [xs.length]));
    const got = await result.read();
    const worst = bounds.map(() => ({ error: 0, x: 0 }));
    xs.forEach((x, i) => {
      const want = reference(x);
      if (Math.abs(want) > MOST * (1 + 2 ** -25)) {
        assert.is(got[i], want > 0 ? Infinity : -Infinity, `${simd}: f(${x})`);
        return;
      }
      if (Math.abs(want) < LEAST) {
        assert.ok(Math.abs(got[i]) <= LEAST, `${simd}: f(${x}) is ${got[i]}, not ${want}`);
        return;
      }
      bounds.forEach(({ judge, where }, b) => {
        if (where && !where(x)) return;
        const error = judge(x, got[i], want);
        if (!(error <= worst[b].error)) worst[b] = { error, x };
      });
    });
    bounds.forEach(({ most }, b) => {
      const { error, x } = worst[b];
      const limit = most[simd];
      assert.ok(error <= limit, `${simd}: error ${error} at ${x}, the bound is ${limit}`);
      assert.ok(error > limit / 4, `${simd}: the largest error is ${error}, the bound ${limit}`);
    });
  }
}

const both = (relaxed: number, plain = relaxed): Bound => ({ relaxed, plain });

test("exp", async () => {
  await compare(exp, Math.exp, grid(-104, 90), [{ judge: inUlps, most: both(0.9, 1.2) }]);
});

test("log", async () => {
  const xs = [...grid(0, 8), ...grid(0.9, 1.1)].filter((x) => x >= LEAST);
  await compare(log, Math.log, Float32Array.from(xs), [{ judge: inUlps, most: both(0.9) }]);
});

test("tanh", async () => {
  await compare(tanh, Math.tanh, grid(-12, 12), [{ judge: inUlps, most: both(2.5) }]);
});

test("sigmoid", async () => {
  const reference = (x: number) => 1 / (1 + Math.exp(-x));
  // below about -87.3 e^-x is infinite in f32
  await compare(sigmoid, reference, grid(-90, 90), [{ judge: inUlps, most: both(2.4) }]);
});

test("gelu", async () => {
  const reference = (x: number) => x * share(x);
  await compare(gelu, reference, grid(-14, 14, 200_000), [
    { judge: inUlps, most: both(6.3, 7.5) },
    { judge: relative, most: both(4.2e-7, 4.8e-7) },
    { judge: absolute, most: both(2.4e-7), where: (x) => Math.abs(x) <= 8 },
  ]);
});

test("the gradient of gelu", async () => {
  const slope = (x: Tensor) => grad(sum(gelu(x)), [x])[0];
  const reference = (x: number) => share(x) + x * bell(x);
  await compare(slope, reference, grid(-14, 14, 200_000), [
    { judge: absolute, most: both(1.4e-7) },
    // from -13.2 on exp(-x^2 / 2) leaves the normal numbers before the slope does
    { judge: relative, most: both(5e-7, 6e-7), where: (x) => (x > -13.2 && x < -1) || x > -0.5 },
  ]);
});

test("silu and its gradient", async () => {
  // below -87 e^-x is infinite in f32
  const xs = grid(-87, 20).filter((x) => x > -87);
  const reference = (x: number) => x / (1 + Math.exp(-x));
  await compare(silu, reference, xs, [{ judge: inUlps, most: both(2.4) }]);
  const slope = (x: Tensor) => grad(sum(silu(x)), [x])[0];
  const slopeOf = (x: number) => {
    const s = 1 / (1 + Math.exp(-x));
    return s + (x * s) / (1 + Math.exp(x));
  };
  await compare(slope, slopeOf, xs, [{ judge: absolute, most: both(2.2e-7) }]);
});

test("the tanh approximation of gelu and its gradient", async () => {
  const xs = grid(-9.9, 12).filter((x) => x > -9.9);
  const gate = (x: number) => 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
  const reference = (x: number) => x / (1 + Math.exp(-gate(x)));
  await compare(geluTanh, reference, xs, [
    { judge: relative, most: both(1.4e-5) },
    { judge: absolute, most: both(5.4e-7), where: (x) => Math.abs(x) <= 8 },
  ]);
  const slope = (x: Tensor) => grad(sum(geluTanh(x)), [x])[0];
  const slopeOf = (x: number) => {
    if (x > 1e3) return 1;
    const s = 1 / (1 + Math.exp(-gate(x)));
    const dz = 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
    return s + (x * s * dz) / (1 + Math.exp(gate(x)));
  };
  await compare(slope, slopeOf, xs, [{ judge: absolute, most: both(2.6e-7) }]);
});

test("sin and cos and their gradients", async () => {
  const within = (most: number) => grid(-most, most, 100_000).filter((x) => Math.abs(x) <= most);
  const slopeOf = (f: (x: Tensor) => Tensor) => (x: Tensor) => grad(sum(f(x)), [x])[0];
  for (const [f, reference] of [
    [sin, Math.sin],
    [cos, Math.cos],
    [slopeOf(sin), Math.cos],
    [slopeOf(cos), (x: number) => -Math.sin(x)],
  ] as const) {
    await compare(f, reference, within(8192), [{ judge: absolute, most: both(1e-7) }]);
    await compare(f, reference, within(1e5), [{ judge: absolute, most: both(1.1e-7, 1.2e-6) }]);
  }
  for (const { device } of devices) {
    const far = Float32Array.of(1.1e5, -1e9, Infinity, -Infinity, Number.NaN);
    const got = await (await compile(device, sin)(tensor(far))).read();
    assert.ok(got.every(Number.isNaN), `${got}`);
  }
});

test("NaN stays NaN; infinities have their limits", async () => {
  const xs = Float32Array.of(Number.NaN, Infinity, -Infinity, 1, Number.NaN);
  const limits: [(x: Tensor) => Tensor, number, number | undefined][] = [
    [exp, Infinity, 0],
    [log, Infinity, undefined],
    [tanh, 1, -1],
    [sigmoid, 1, 0],
    [gelu, Infinity, undefined],
    [relu, Infinity, 0],
    [geluTanh, Infinity, 0],
    [silu, Infinity, 0],
  ];
  for (const { simd, device } of devices) {
    for (const [f, above, below] of limits) {
      const got = await (await compile(device, f)(tensor(xs, [xs.length]))).read();
      assert.ok(Number.isNaN(got[0]) && Number.isNaN(got[4]), `${simd}: ${f.name}, ${got}`);
      assert.is(got[1], above, `${simd}: ${f.name}(Infinity)`);
      if (below !== undefined) assert.is(got[2], below, `${simd}: ${f.name}(-Infinity)`);
    }
  }
});

test.run();
