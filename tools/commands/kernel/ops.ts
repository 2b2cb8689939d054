/** Ops whose kernels can be looked at alone: what they compute, in plain float64, row by row, and what they take. */
import { attention } from "../../../engine/ops/attention.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { add, gelu, tanh } from "../../../engine/ops/elementwise.ts";
import { layerNorm } from "../../../engine/ops/layernorm.ts";
import { linear, matmul } from "../../../engine/ops/matmul.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { rmsNorm } from "../../../engine/ops/rms-norm.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import type { Tensor } from "../../../engine/tensor.ts";

/** An operand: f32 in (-1, 1), or with `below` u32 that are less than that. */
export type Operand = { readonly shape: readonly number[]; readonly below?: number };

/** A row of the first operand, or what it makes of the result. */
type Row = Float64Array;
type Values = ArrayLike<number>;

export type KernelOp = {
  /** What the numbers of --shape are. */
  readonly axes: readonly string[];
  readonly operands: (shape: readonly number[], heads: number) => readonly Operand[];
  readonly apply: (operands: readonly Tensor[], heads: number) => Tensor;
  /** Row `r` of the result, of row `r` of the first operand and of the others whole. */
  readonly row: (
    x: Row,
    others: readonly Values[],
    at: { readonly r: number; readonly shape: readonly number[]; readonly heads: number },
  ) => Row;
  /** Of a product, forward. */
  readonly flops?: (shape: readonly number[]) => number;
};

const EPS = 1e-5;
const total = (x: Row): number => {
  let all = 0;
  for (const v of x) all += v;
  return all;
};
const each = (x: Row, fn: (v: number, i: number) => number): Float64Array =>
  Float64Array.from(x, fn);
const exponents = (x: Row): Float64Array => {
  const most = x.reduce((a, b) => Math.max(a, b), -Infinity);
  return each(x, (v) => Math.exp(v - most));
};
const normal = (x: Row): Float64Array => {
  const e = exponents(x);
  const all = total(e);
  return each(e, (v) => v / all);
};

/** The error function to 1e-15: its series, and a continued fraction where that would cancel. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = x;
    let all = x;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-x * x) / n;
      all += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * all;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (a + fraction) / Math.sqrt(Math.PI));
}

/** x [K] times w [K, N], or with `transposed` w [N, K]. */
function product(x: Row, w: Values, columns: number, transposed: boolean): Float64Array {
  const y = new Float64Array(columns);
  for (let k = 0; k < x.length; k++) {
    const v = x[k];
    for (let n = 0; n < columns; n++)
      y[n] += v * w[transposed ? n * x.length + k : k * columns + n];
  }
  return y;
}

const elementwise = (apply: (x: Tensor) => Tensor, value: (x: number) => number): KernelOp => ({
  axes: ["rows", "columns"],
  operands: (shape) => [{ shape }],
  apply: ([x]) => apply(x),
  row: (x) => each(x, value),
});

export const KERNEL_OPS: Readonly<Record<string, KernelOp>> = {
  add: {
    axes: ["rows", "columns"],
    operands: (shape) => [{ shape }, { shape }],
    apply: ([x, y]) => add(x, y),
    row: (x, [y], { r }) => each(x, (v, i) => v + y[r * x.length + i]),
  },
  attention: {
    axes: ["batch", "tokens", "width"],
    operands: (shape) => [{ shape }, { shape }, { shape }],
    apply: ([q, k, v], heads) =>
      attention(q, k, v, undefined, { heads, scale: 1 / Math.sqrt(q.shape[2] / heads) }),
    row(q, [k, v], { r, shape: [, tokens, width], heads }) {
      const first = Math.floor(r / tokens) * tokens * width;
      const size = width / heads;
      const y = new Float64Array(width);
      for (let h = 0; h < heads; h++) {
        const at = (t: number, i: number): number => first + t * width + h * size + i;
        const scores = Float64Array.from({ length: tokens }, (_, t) => {
          let dot = 0;
          for (let i = 0; i < size; i++) dot += q[h * size + i] * k[at(t, i)];
          return dot / Math.sqrt(size);
        });
        normal(scores).forEach((p, t) => {
          for (let i = 0; i < size; i++) y[h * size + i] += p * v[at(t, i)];
        });
      }
      return y;
    },
    flops: ([batch, tokens, width]) => 4 * batch * tokens * tokens * width,
  },
  crossEntropy: {
    axes: ["rows", "columns"],
    operands: ([rows, columns]) => [{ shape: [rows, columns] }, { shape: [rows], below: columns }],
    apply: ([x, targets]) => crossEntropy(x, targets),
    row: (x, [targets], { r }) => Float64Array.of(-Math.log(normal(x)[targets[r]])),
  },
  gelu: elementwise(gelu, (v) => (v / 2) * (1 + erf(v / Math.SQRT2))),
  layerNorm: {
    axes: ["rows", "columns"],
    operands: ([rows, columns]) => [
      { shape: [rows, columns] },
      { shape: [columns] },
      { shape: [columns] },
    ],
    apply: ([x, weight, bias]) => layerNorm(x, weight, bias, EPS),
    row(x, [weight, bias]) {
      const mean = total(x) / x.length;
      const variance = total(each(x, (v) => (v - mean) ** 2)) / x.length;
      return each(x, (v, i) => ((v - mean) / Math.sqrt(variance + EPS)) * weight[i] + bias[i]);
    },
  },
  linear: {
    axes: ["rows", "inputs", "outputs"],
    operands: ([rows, inputs, outputs]) => [
      { shape: [rows, inputs] },
      { shape: [outputs, inputs] },
      { shape: [outputs] },
    ],
    apply: ([x, weight, bias]) => linear(x, weight, bias),
    row: (x, [weight, bias]) => each(product(x, weight, bias.length, true), (v, n) => v + bias[n]),
    flops: ([rows, inputs, outputs]) => 2 * rows * inputs * outputs,
  },
  matmul: {
    axes: ["rows", "inner", "columns"],
    operands: ([rows, inner, columns]) => [{ shape: [rows, inner] }, { shape: [inner, columns] }],
    apply: ([a, b]) => matmul(a, b),
    row: (x, [b]) => product(x, b, b.length / x.length, false),
    flops: ([rows, inner, columns]) => 2 * rows * inner * columns,
  },
  rmsNorm: {
    axes: ["rows", "columns"],
    operands: ([rows, columns]) => [{ shape: [rows, columns] }, { shape: [columns] }],
    apply: ([x, weight]) => rmsNorm(x, weight, EPS),
    row(x, [weight]) {
      const scale = 1 / Math.sqrt(total(each(x, (v) => v * v)) / x.length + EPS);
      return each(x, (v, i) => v * scale * weight[i]);
    },
  },
  softmax: {
    axes: ["rows", "columns"],
    operands: (shape) => [{ shape }],
    apply: ([x]) => softmax(x),
    row: normal,
  },
  sum: {
    axes: ["rows", "columns"],
    operands: (shape) => [{ shape }],
    apply: ([x]) => sum(x, 1),
    row: (x) => Float64Array.of(total(x)),
  },
  tanh: elementwise(tanh, Math.tanh),
};
