/**
 * Unary ops and their slopes over all sizes that f32 has, 1e-40 to 3e38 with both signs, beside float64: no NaN where the function is
 * finite, infinite only where f32 ends. A number below the least normal one may count as 0.
 */
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import * as e from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { onDevices } from "../devices.ts";
import { bell, share } from "../normal.ts";

const test = await onDevices("extremes of unary ops");

const LEAST = 2 ** -126; // the least normal number
const MOST = 2 ** 128 * (1 - 2 ** -24);

const sizes = Array.from({ length: 79 }, (_, i) => i - 40).flatMap((power) =>
  [1, 1.7, 3.1, 6.4].map((x) => x * 10 ** power),
);
const near = Array.from({ length: 1201 }, (_, i) => i / 60);
const positive = Float32Array.from(
  [...sizes, ...near.slice(1), LEAST, MOST].filter((x) => x <= MOST),
);
const both = Float32Array.from([0, -0, ...positive, ...positive.map((x) => -x)]);

type Bound = { readonly relative: number; readonly absolute: number };
const bound = (relative: number, absolute = 0): Bound => ({ relative, absolute });

type Case = {
  readonly op: (x: Tensor) => Tensor;
  readonly xs: Float32Array;
  readonly f: (x: number) => number;
  readonly slope: (x: number) => number;
  readonly forward: Bound;
  readonly backward: Bound;
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const gate = (x: number): number => 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const gateSlope = (x: number): number => 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
/** s (1 + c (1 - s)) where s or 1 - s is 0: c may be infinite there. */
const gated = (z: number, c: number): number => {
  if (Math.abs(z) > 700) return z > 0 ? 1 : 0;
  return sigmoid(z) * (1 + c * sigmoid(-z));
};

const gelu = (x: number): number => x * share(x);
const geluSlope = (x: number): number => share(x) + x * bell(x);

const cases: Record<string, Case> = {
  neg: {
    op: e.neg,
    xs: both,
    f: (x) => -x,
    slope: () => -1,
    forward: bound(0),
    backward: bound(0),
  },
  exp: {
    op: e.exp,
    xs: both,
    f: Math.exp,
    slope: Math.exp,
    forward: bound(1e-5),
    backward: bound(1e-5),
  },
  log: {
    op: e.log,
    xs: both,
    f: (x) => Math.log(Math.max(x, LEAST)),
    slope: (x) => (x >= LEAST ? 1 / x : 0),
    forward: bound(1e-6, 1e-6),
    backward: bound(1e-6),
  },
  sqrt: {
    op: e.sqrt,
    xs: positive,
    f: Math.sqrt,
    slope: (x) => 0.5 / Math.sqrt(x),
    forward: bound(1e-6),
    backward: bound(1e-6),
  },
  rsqrt: {
    op: e.rsqrt,
    xs: positive,
    f: (x) => 1 / Math.sqrt(x),
    slope: (x) => -0.5 / x ** 1.5,
    forward: bound(1e-6),
    backward: bound(2e-6),
  },
  reciprocal: {
    op: e.reciprocal,
    xs: both,
    f: (x) => 1 / x,
    slope: (x) => -1 / x ** 2,
    forward: bound(1e-6),
    backward: bound(2e-6),
  },
  tanh: {
    op: e.tanh,
    xs: both,
    f: Math.tanh,
    slope: (x) => 1 - Math.tanh(x) ** 2,
    forward: bound(5e-7),
    backward: bound(0, 1e-6),
  },
  square: {
    op: e.square,
    xs: both,
    f: (x) => x * x,
    slope: (x) => 2 * x,
    forward: bound(1e-6),
    backward: bound(0),
  },
  abs: {
    op: e.abs,
    xs: both,
    f: Math.abs,
    slope: Math.sign,
    forward: bound(0),
    backward: bound(0),
  },
  sigmoid: {
    op: e.sigmoid,
    xs: both,
    f: sigmoid,
    slope: (x) => sigmoid(x) * sigmoid(-x),
    forward: bound(1e-5),
    backward: bound(0, 5e-7),
  },
  gelu: {
    op: e.gelu,
    xs: both.filter((x) => x > -1),
    f: gelu,
    slope: geluSlope,
    forward: bound(1e-6),
    backward: bound(0, 1e-6),
  },
  // WebGPU rounds the square in exp(-x^2 / 2), and keeps it from 1e-35
  "gelu of what is below -1": {
    op: e.gelu,
    xs: both.filter((x) => x <= -1),
    f: gelu,
    slope: geluSlope,
    forward: bound(1e-3, 1e-34),
    backward: bound(0, 1e-6),
  },
  relu: {
    op: e.relu,
    xs: both,
    f: (x) => Math.max(x, 0),
    slope: (x) => (x > 0 ? 1 : 0),
    forward: bound(0),
    backward: bound(0),
  },
  geluTanh: {
    op: e.geluTanh,
    xs: both,
    f: (x) => (gate(x) < -700 ? 0 : x * sigmoid(gate(x))),
    slope: (x) => gated(gate(x), x * gateSlope(x)),
    forward: bound(2e-5, 1e-36),
    backward: bound(0, 2e-6),
  },
  silu: {
    op: e.silu,
    xs: both,
    f: (x) => (x < -700 ? 0 : x * sigmoid(x)),
    slope: (x) => gated(x, x),
    forward: bound(1e-5, 1e-36),
    backward: bound(0, 1e-6),
  },
};

/** Whether f32 arithmetic may give this for the number. */
function close(got: number, want: number, { relative, absolute }: Bound): boolean {
  // what is within an error of the end of f32 may be on either side of it
  if (Math.abs(want) > MOST && got === Math.sign(want) * Infinity) return true;
  const error = relative * Math.abs(want) + absolute + LEAST;
  return Math.abs(got - want) <= error && !Number.isNaN(got);
}

for (const [name, { op, xs, f, slope, forward, backward }] of Object.entries(cases)) {
  test(name, async (device) => {
    const x = tensor(xs);
    const y = op(x);
    const [values, slopes] = await read(device, [y, grad(sum(y), [x])[0]]);
    const wrong: string[] = [];
    xs.forEach((at, i) => {
      const places = Math.abs(at) < LEAST ? [at, 0, -0] : [at];
      if (!places.some((p) => close(values[i], f(p), forward)))
        wrong.push(`${name}(${at}) is ${values[i]}, not ${f(at)}`);
      if (!places.some((p) => close(slopes[i], slope(p), backward)))
        wrong.push(`the slope of ${name} at ${at} is ${slopes[i]}, not ${slope(at)}`);
    });
    assert.equal(wrong.slice(0, 5), [], `${wrong.length} are wrong`);
  });
}

test.run();
