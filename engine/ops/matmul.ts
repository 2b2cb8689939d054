/** Matrix products: plain, batched, and as a linear layer with all that may follow it. */
import { DTYPE } from "../../kernels/codes.ts";
import { check, checkFlag, fail } from "../errors.ts";
import type { GradContext, Launch, Op } from "../op.ts";
import { numel, sameShape, show } from "../shape.ts";
import { apply, apply1, checkHolds, type DType, type Tensor } from "../tensor.ts";
import { type Activation, activations, add, gelu, mul, unaryBackward } from "./elementwise.ts";
import { sumTo } from "./reduce.ts";
import { reshape } from "./shape.ts";

type Stored = keyof typeof DTYPE;
const isStored = (dtype: DType): dtype is Stored => dtype in DTYPE;

/** How a right operand, which `infer` has checked, is stored. */
const storedAs = (b: Tensor): Stored =>
  isStored(b.dtype) ? b.dtype : fail("matmul", `the right operand ${b} must be f32, f16 or bf16`);

export type MatmulOptions = {
  /** a is stored [.., K, M]. */
  readonly transA?: boolean;
  /** b is stored [.., N, K]. */
  readonly transB?: boolean;
  /** Multiplies the product. */
  readonly scale?: number;
};

type MatmulAttrs = Required<MatmulOptions>;

/** Which products a launch makes: `batch` of M x K by K x N; a stride of 0 reads one matrix again. */
type Products = {
  M: number;
  N: number;
  K: number;
  batch: number;
  aStride: number;
  bStride: number;
};

function checkOperands(op: string, a: Tensor, b: Tensor): void {
  check(a.dtype === "f32", op, () => `the left operand ${a} must be f32; use cast()`);
  check(isStored(b.dtype), op, () => `the right operand ${b} must be f32, f16 or bf16; use cast()`);
}

function products(a: Tensor, b: Tensor, { transA, transB }: MatmulAttrs): Products {
  const shapes = () =>
    `${show(a.shape)}${transA ? "ᵀ" : ""} x ${show(b.shape)}${transB ? "ᵀ" : ""}`;
  check(
    a.shape.length >= 2 && b.shape.length >= 2,
    "matmul",
    () => `${shapes()}: both need two axes or more`,
  );
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  const [M, K] = transA ? [a1, a0] : [a0, a1];
  const [KB, N] = transB ? [b1, b0] : [b0, b1];
  check(K === KB, "matmul", () => `${shapes()}: the inner sizes ${K} and ${KB} differ`);
  const leadA = a.shape.slice(0, -2);
  const leadB = b.shape.slice(0, -2);
  if (leadB.length === 0 && !transA) {
    return { M: M * numel(leadA), N, K, batch: 1, aStride: 0, bStride: 0 };
  }
  check(
    leadA.length === 0 || leadB.length === 0 || sameShape(leadA, leadB),
    "matmul",
    () => `${shapes()}: the batches must be equal, or one operand have none`,
  );
  const batch = Math.max(numel(leadA), numel(leadB));
  check(batch <= 65535, "matmul", () => `${shapes()}: a batch of ${batch} is more than 65535`);
  const aStride = leadA.length === 0 ? 0 : M * K;
  const bStride = leadB.length === 0 ? 0 : K * N;
  return { M, N, K, batch, aStride, bStride };
}

/** y = scale * A B, where A is a or its transpose, B likewise. */
export const matmulOp: Op = {
  name: "matmul",
  infer: ([a, b], attrs) => {
    checkOperands("matmul", a, b);
    const options = attrs as MatmulAttrs;
    products(a, b, options);
    const lead = a.shape.length >= b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
    const M = a.shape[a.shape.length - (options.transA ? 1 : 2)];
    const N = b.shape[b.shape.length - (options.transB ? 2 : 1)];
    return [{ shape: [...lead, M, N], dtype: "f32" }];
  },
  grad: ({ node, inputs: [a, b], upstream: [dy], needs }) => {
    if (!dy) return [];
    const { transA, transB, scale } = node.attrs as MatmulAttrs;
    const da = () =>
      transA
        ? matmul(wide(b), dy, { transA: transB, transB: true, scale })
        : matmul(dy, b, { transB: !transB, scale });
    const db = () => {
      // rows on the left of one matrix: all of them are one sum
      if (b.shape.length === 2 && !transA) {
        const pair: readonly [Tensor, Tensor] = transB ? [dy, a] : [a, dy];
        if (scale === 1) return { outer: pair, group: transB ? "matmul transposed" : "matmul" };
        return mul(outer(...pair), scale);
      }
      const each = transB
        ? matmul(dy, a, { transA: true, transB: transA, scale })
        : matmul(a, dy, { transA: !transA, scale });
      return sumTo(each, b.shape);
    };
    return [needs[0] ? sumTo(da(), a.shape) : undefined, needs[1] ? db() : undefined];
  },
  launch: ({ node, inputs: [a, b], outputs: [y] }) => {
    const attrs = node.attrs as MatmulAttrs;
    return [launch(products(a, b, attrs), attrs, { a, b, y })];
  },
};

/** The left operand of a product is f32: a stored half is decoded first. */
const wide = (x: Tensor): Tensor => {
  check(
    x.dtype === "f32",
    "matmul",
    () => `the gradient of a transposed operand needs f32, got ${x}`,
  );
  return x;
};

type Operands = {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly y: Tensor;
  readonly bias?: Tensor | undefined;
  readonly residual?: Tensor | undefined;
  readonly pre?: Tensor | undefined;
};

function launch(products: Products, attrs: MatmulAttrs, t: Operands): Launch {
  const { M, N, K, batch, aStride, bStride } = products;
  const { transA, transB, scale } = attrs;
  return {
    kernel: "matmul",
    constants: {
      TRANS_A: transA ? 1 : 0,
      TRANS_B: transB ? 1 : 0,
      BIAS: t.bias ? 1 : 0,
      ACTIVATION: t.pre ? 1 : 0,
      RESIDUAL: t.residual ? 1 : 0,
      ACCUMULATE: 0,
      B_DTYPE: DTYPE[storedAs(t.b)],
    },
    params: {
      M,
      N,
      K,
      lda: transA ? M : K,
      ldb: transB ? K : N,
      ldc: N,
      aOffset: 0,
      bOffset: 0,
      cOffset: 0,
      batch,
      aBatchStride: aStride,
      bBatchStride: bStride,
      cBatchStride: M * N,
      alpha: scale,
    },
    inputs: [t.a, t.b, t.bias ?? null, t.residual ?? null],
    outputs: [t.y, t.pre ?? null],
  };
}

/**
 * Matrix product scale * a b: [.., M, K] x [.., K, N] -> [.., M, N]. The leading axes are equal, or one operand has none
 * and takes part in every product. b may be a frozen f16 or bf16 table.
 */
export const matmul = (a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor => {
  const { transA = false, transB = false, scale = 1 } = options;
  checkFlag("matmul", "transA", transA);
  checkFlag("matmul", "transB", transB);
  check(Number.isFinite(scale), "matmul", () => `the scale ${scale} must be finite`);
  checkHolds("matmul", scale, "f32");
  return apply1(matmulOp, [a, b], { transA, transB, scale });
};

/** aᵀ b, the leading axes being rows: a [.., N], b [.., K] -> [N, K]. */
export function outer(a: Tensor, b: Tensor): Tensor {
  const flat = (t: Tensor): Tensor => reshape(t, [-1, t.shape[t.shape.length - 1]]);
  return matmul(flat(a), flat(b), { transA: true });
}

export type LinearOptions = {
  /** gelu is applied in the launch of the product, the others in one more. */
  readonly activation?: Activation;
  /** Added last; the shape of the result. */
  readonly residual?: Tensor;
};

type LinearAttrs = { bias: boolean; residual: boolean; gelu: boolean };

function linearParts(inputs: readonly Tensor[], attrs: LinearAttrs) {
  const [x, weight] = inputs;
  const bias = attrs.bias ? inputs[2] : undefined;
  const residual = attrs.residual ? inputs[attrs.bias ? 3 : 2] : undefined;
  return { x, weight, bias, residual };
}

/** y = act(x Wᵀ + bias) + residual; outputs y and, with an activation, what it was applied to. */
export const linearOp: Op = {
  name: "linear",
  infer: (inputs, attrs) => {
    const options = attrs as LinearAttrs;
    const { x, weight, bias, residual } = linearParts(inputs, options);
    checkOperands("linear", x, weight);
    const K = x.shape[x.shape.length - 1];
    check(
      x.shape.length > 0 && weight.shape.length === 2 && weight.shape[1] === K,
      "linear",
      () => `the weight ${show(weight.shape)} must be [N, ${K}] for x ${show(x.shape)}`,
    );
    const N = weight.shape[0];
    check(
      !bias || (bias.dtype === "f32" && sameShape(bias.shape, [N])),
      "linear",
      () => `the bias ${bias} must be f32[${N}], the weight's first axis`,
    );
    const spec = { shape: [...x.shape.slice(0, -1), N], dtype: "f32" as const };
    check(
      !residual || (residual.dtype === "f32" && sameShape(residual.shape, spec.shape)),
      "linear",
      () => `the residual ${residual} must have the result's shape ${show(spec.shape)}`,
    );
    return options.gelu ? [spec, spec] : [spec];
  },
  grad: linearGrad,
  launch: ({ node, inputs, outputs: [y, pre] }) => {
    const { x, weight, bias, residual } = linearParts(inputs, node.attrs as LinearAttrs);
    const [N, K] = weight.shape;
    const one = { M: x.size / K, N, K, batch: 1, aStride: 0, bStride: 0 };
    const attrs = { transA: false, transB: true, scale: 1 };
    return [launch(one, attrs, { a: x, b: weight, y, bias, residual, pre })];
  },
  twin: (inputs, attrs) => {
    const options = attrs as LinearAttrs;
    const { x, weight, bias, residual } = linearParts(inputs, options);
    const rows = reshape(x, [-1, weight.shape[1]]);
    let y = matmul(rows, weight, { transB: true });
    if (bias) y = add(y, bias);
    if (options.gelu) y = gelu(y);
    y = reshape(y, [...x.shape.slice(0, -1), weight.shape[0]]);
    return [residual ? add(y, residual) : y];
  },
};

function linearGrad({ node, inputs, outputs: [, pre], upstream: [dy], needs }: GradContext) {
  if (!dy) return [];
  const attrs = node.attrs as LinearAttrs;
  const { x, weight } = linearParts(inputs, attrs);
  const [N] = weight.shape;
  const inner = needs[0] || needs[1] || (attrs.bias && needs[2]);
  const g = attrs.gelu && inner ? unaryBackward("gelu", dy, pre) : dy;
  const dx = () => reshape(matmul(reshape(g, [-1, N]), weight), x.shape);
  const group = "linear";
  return [
    needs[0] ? dx() : undefined,
    { outer: [g, x] as const, group },
    ...(attrs.bias ? [{ columns: g, group }] : []),
    ...(attrs.residual ? [dy] : []),
  ];
}

/**
 * act(x Wᵀ + bias) + residual, in one launch without an activation or with gelu.
 * @param x f32 [.., K]
 * @param weight [N, K], as PyTorch stores it; f16 and bf16 weights are frozen and decoded as they are read
 * @param bias f32 [N]
 * @returns f32 [.., N]
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { activation, residual }: LinearOptions = {},
): Tensor {
  if (activation !== undefined && activation !== "gelu") {
    check(Object.hasOwn(activations, activation), "linear", () => {
      const names = Object.keys(activations).join(", ");
      return `the activation ${JSON.stringify(activation)} is unknown; use one of ${names}`;
    });
    const y = activations[activation](linear(x, weight, bias));
    return residual ? add(y, residual) : y;
  }
  const inputs = [x, weight, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  const attrs = { bias: !!bias, residual: !!residual, gelu: activation === "gelu" };
  return apply(linearOp, inputs, attrs)[0];
}
