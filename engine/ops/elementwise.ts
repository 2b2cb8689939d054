/** Arithmetic, functions, comparisons, choices and casts, element by element. */
import { BINARY, NUMBER, SLOPES, TYPE, UNARY, WORD } from "../../kernels/codes.ts";
import { kernelOperands } from "../../kernels/manifest.ts";
import { check, fail } from "../errors.ts";
import { endsGradient, type GradContext, type Launch, nondifferentiable, type Op } from "../op.ts";
import { broadcastShapes, sameShape, show } from "../shape.ts";
import { apply1, checkHolds, type DType, Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";
import { addressable, broadcastParams, wordOf } from "./strided.ts";

/** How a number takes part in a binary op. */
type Side = (typeof NUMBER)[keyof typeof NUMBER];
type BinaryBackward = (
  dy: Tensor,
  a: Operand,
  b: Operand,
  y: Tensor,
) => { readonly a: () => Tensor; readonly b: () => Tensor };

/** An operand that broadcasts; a number becomes a parameter of the kernel, no memory. */
export type Operand = Tensor | number;

type Word = keyof typeof WORD;
const isWord = (dtype: DType): dtype is Word => dtype in WORD;

/** The dtype, which `infer` has checked. */
const wordOfTensor = (op: string, x: Tensor): Word =>
  isWord(x.dtype) ? x.dtype : fail(op, `${x} must be f32, i32 or u32; use cast()`);

function checkType(op: string, x: Tensor, only?: DType): void {
  const allowed = only === undefined ? isWord(x.dtype) : x.dtype === only;
  check(allowed, op, () => `${x} must be ${only ?? "f32, i32 or u32"}; use cast()`);
}

/** The operands as the gradient rule sees them: numbers are back in their places. */
function operandsOf({ node, inputs }: GradContext): [Operand, Operand] {
  const { number, side } = node.attrs;
  if (side === NUMBER.right) return [inputs[0], number as number];
  if (side === NUMBER.left) return [number as number, inputs[0]];
  return [inputs[0], inputs[1]];
}

/**
 * y = a OP b with broadcasting; `rule` gives the gradients before they are summed to the operands'
 * shapes.
 */
function binaryOp(name: keyof typeof BINARY, rule: BinaryBackward | undefined, only?: DType): Op {
  const isTest = BINARY[name] >= BINARY.greater;
  return {
    name,
    infer: (inputs) => {
      for (const x of inputs) checkType(name, x, only);
      const [a, b] = inputs;
      check(
        inputs.length === 1 || a.dtype === b.dtype,
        name,
        () => `${a.dtype}${show(a.shape)} and ${b.dtype}${show(b.shape)} do not mix; use cast()`,
      );
      const shape = broadcastShapes(name, ...inputs.map((x) => x.shape));
      return [addressable(name, { shape, dtype: isTest ? "u32" : a.dtype })];
    },
    grad: rule
      ? (ctx) => {
          const { inputs, needs, node } = ctx;
          const [dy] = ctx.upstream;
          if (!dy) return [];
          const [a, b] = operandsOf(ctx);
          const made = rule(dy, a, b, ctx.outputs[0]);
          const parts = node.attrs.side === NUMBER.left ? [made.b] : [made.a, made.b];
          return inputs.map((x, i) => (needs[i] ? sumTo(parts[i](), x.shape) : undefined));
        }
      : endsGradient("a comparison is constant almost everywhere"),
    launch: ({ node, inputs, outputs: [y] }) => {
      const [a, b] = inputs;
      const side = node.attrs.side as Side;
      const shapes = { a: a.shape, b: side === NUMBER.neither ? b.shape : a.shape };
      const { constants, params } = broadcastParams(name, y.shape, shapes);
      const value = side === NUMBER.neither ? 0 : wordOf(node.attrs.number as number, a.dtype);
      return [
        {
          kernel: "binary",
          constants: {
            OP: BINARY[name],
            TYPE: WORD[wordOfTensor(name, a)],
            NUMBER: side,
            ...constants,
          },
          params: { n: y.size, ...params, value },
          inputs: [a, side === NUMBER.neither ? b : null],
          outputs: [y],
        },
      ];
    },
  };
}

function applyBinary(op: Op, a: Operand, b: Operand): Tensor {
  if (a instanceof Tensor) {
    if (b instanceof Tensor) return apply1(op, [a, b], { side: NUMBER.neither });
    return apply1(op, [a], { side: NUMBER.right, number: asNumber(op.name, b, a.dtype) });
  }
  if (b instanceof Tensor)
    return apply1(op, [b], { side: NUMBER.left, number: asNumber(op.name, a, b.dtype) });
  return fail(op.name, "two numbers need no tensor; compute them on the host");
}

/** The number that takes part in an op on tensors of this dtype. */
function asNumber(op: string, value: unknown, dtype: DType): number {
  check(
    typeof value === "number",
    op,
    () => `expected a Tensor or a number, got ${value === null ? "null" : typeof value}`,
  );
  // plans are cached by text, in which NaN and the infinities all read the same
  check(Number.isFinite(value), op, () => `the number ${value} is not finite; pass a tensor`);
  checkHolds(op, value, dtype);
  return value === 0 ? 0 : value; // and so do 0 and -0
}

export const addOp = binaryOp("add", (dy) => ({ a: () => dy, b: () => dy }));
export const subOp = binaryOp("sub", (dy) => ({ a: () => dy, b: () => neg(dy) }));
export const mulOp = binaryOp("mul", (dy, a, b) => ({
  a: () => mul(dy, b),
  b: () => mul(dy, a),
}));
// y = a / b: da = dy / b, db = -dy y / b
export const divOp = binaryOp("div", (dy, _, b, y) => ({
  a: () => div(dy, b),
  b: () => neg(div(mul(dy, y), b)),
}));
// the gradient goes to one operand: to a where both are equal
export const maximumOp = binaryOp("maximum", (dy, a, b) => ({
  a: () => where(greaterEqual(a, b), dy, 0),
  b: () => where(greaterEqual(a, b), 0, dy),
}));
export const minimumOp = binaryOp("minimum", (dy, a, b) => ({
  a: () => where(lessEqual(a, b), dy, 0),
  b: () => where(lessEqual(a, b), 0, dy),
}));
export const greaterOp = binaryOp("greater", undefined);
export const lessOp = binaryOp("less", undefined);
export const greaterEqualOp = binaryOp("greaterEqual", undefined);
export const lessEqualOp = binaryOp("lessEqual", undefined);
export const equalOp = binaryOp("equal", undefined);
export const notEqualOp = binaryOp("notEqual", undefined);
export const logicalAndOp = binaryOp("logicalAnd", undefined, "u32");
export const logicalOrOp = binaryOp("logicalOr", undefined, "u32");

/**
 * a + b. Operands of all binary ops: tensors of one dtype (f32, i32, u32) that broadcast, or one a
 * number that the dtype holds: a whole one in range beside integers.
 */
export const add = (a: Operand, b: Operand): Tensor => applyBinary(addOp, a, b);
/** a - b; integers wrap. */
export const sub = (a: Operand, b: Operand): Tensor => applyBinary(subOp, a, b);
/** a * b; integers wrap. */
export const mul = (a: Operand, b: Operand): Tensor => applyBinary(mulOp, a, b);
/** a / b; integers are truncated towards zero, and a / 0 = a for them. */
export const div = (a: Operand, b: Operand): Tensor => applyBinary(divOp, a, b);
/** The larger of a and b, NaN if either is; where equal, the gradient goes to a. */
export const maximum = (a: Operand, b: Operand): Tensor => applyBinary(maximumOp, a, b);
/** The smaller of a and b, NaN if either is; where equal, the gradient goes to a. */
export const minimum = (a: Operand, b: Operand): Tensor => applyBinary(minimumOp, a, b);
/** a > b as u32, 1 or 0. Comparisons with NaN are 0, except notEqual. */
export const greater = (a: Operand, b: Operand): Tensor => applyBinary(greaterOp, a, b);
export const less = (a: Operand, b: Operand): Tensor => applyBinary(lessOp, a, b);
export const greaterEqual = (a: Operand, b: Operand): Tensor => applyBinary(greaterEqualOp, a, b);
export const lessEqual = (a: Operand, b: Operand): Tensor => applyBinary(lessEqualOp, a, b);
export const equal = (a: Operand, b: Operand): Tensor => applyBinary(equalOp, a, b);
export const notEqual = (a: Operand, b: Operand): Tensor => applyBinary(notEqualOp, a, b);
/** Both nonzero; u32 in and out. */
export const logicalAnd = (a: Operand, b: Operand): Tensor => applyBinary(logicalAndOp, a, b);
/** Either nonzero; u32 in and out. */
export const logicalOr = (a: Operand, b: Operand): Tensor => applyBinary(logicalOrOp, a, b);
/** 1 where x is 0, else 0; u32 in and out. */
export function logicalNot(x: Tensor): Tensor {
  checkType("logicalNot", x, "u32");
  return equal(x, 0);
}

/** dx = dy * f'(x); the second input is x or y, whichever f' is cheaper in. */
const unaryBackwardOp: Op = {
  name: "unaryBackward",
  infer: ([dy]) => [dy],
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ node, inputs, outputs: [dx] }) => [
    {
      kernel: "unary_backward",
      constants: { OP: SLOPES[node.attrs.of as keyof typeof SLOPES] },
      params: { n: dx.size },
      inputs,
      outputs: [dx],
    },
  ],
};

/** dx = dy * f'(r) for the function called `of`; r is its x or y, whichever f' is cheaper in. */
export const unaryBackward = (of: keyof typeof SLOPES, dy: Tensor, r: Tensor): Tensor =>
  apply1(unaryBackwardOp, [dy, r], { of });

function unaryOp(name: keyof typeof UNARY, ref: "x" | "y"): Op {
  return {
    name,
    infer: ([x]) => {
      checkType(name, x, "f32");
      return [x];
    },
    grad: ({ inputs: [x], outputs: [y], upstream: [dy] }) => {
      if (!dy) return [];
      if (name === "neg") return [neg(dy)];
      return [unaryBackward(name, dy, ref === "x" ? x : y)];
    },
    launch: ({ inputs: [x], outputs: [y] }) => [
      {
        kernel: "unary",
        constants: { OP: UNARY[name] },
        params: { n: y.size },
        inputs: [x],
        outputs: [y],
      },
    ],
  };
}

export const negOp = unaryOp("neg", "x");
export const expOp = unaryOp("exp", "y");
export const logOp = unaryOp("log", "x");
export const sqrtOp = unaryOp("sqrt", "y");
export const rsqrtOp = unaryOp("rsqrt", "y");
export const reciprocalOp = unaryOp("reciprocal", "y");
export const tanhOp = unaryOp("tanh", "y");
export const squareOp = unaryOp("square", "x");
export const absOp = unaryOp("abs", "x");
export const sigmoidOp = unaryOp("sigmoid", "y");
export const geluOp = unaryOp("gelu", "x");
export const reluOp = unaryOp("relu", "y");
export const geluTanhOp = unaryOp("geluTanh", "x");
export const siluOp = unaryOp("silu", "x");
export const sinOp = unaryOp("sin", "x");
export const cosOp = unaryOp("cos", "x");

/** Unary ops take and give f32 of one shape; NaN stays NaN. */
export const neg = (x: Tensor): Tensor => apply1(negOp, [x]);
export const exp = (x: Tensor): Tensor => apply1(expOp, [x]);
/** log(max(x, 1.2e-38)): finite for every finite x. */
export const log = (x: Tensor): Tensor => apply1(logOp, [x]);
export const sqrt = (x: Tensor): Tensor => apply1(sqrtOp, [x]);
/** 1 / sqrt(x). */
export const rsqrt = (x: Tensor): Tensor => apply1(rsqrtOp, [x]);
/** 1 / x. */
export const reciprocal = (x: Tensor): Tensor => apply1(reciprocalOp, [x]);
export const tanh = (x: Tensor): Tensor => apply1(tanhOp, [x]);
export const square = (x: Tensor): Tensor => apply1(squareOp, [x]);
/** |x|; the gradient at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply1(absOp, [x]);
/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: Tensor): Tensor => apply1(sigmoidOp, [x]);
/**
 * x (1 + erf(x / sqrt 2)) / 2, the exact form that BERT and BART use (Hendrycks and Gimpel, 2016).
 */
export const gelu = (x: Tensor): Tensor => apply1(geluOp, [x]);
/** max(x, 0); the gradient at 0 is 0. */
export const relu = (x: Tensor): Tensor => apply1(reluOp, [x]);
/**
 * x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the approximation of `gelu` that GPT-2 uses: "gelu_new" and
 * "gelu_pytorch_tanh" in config.json.
 */
export const geluTanh = (x: Tensor): Tensor => apply1(geluTanhOp, [x]);
/** x / (1 + exp(-x)), also called swish. */
export const silu = (x: Tensor): Tensor => apply1(siluOp, [x]);

/** The sine of x in radians, within 2e-7 for |x| <= 8192 and 4e-6 up to 1e5; NaN beyond, where f32 tells no angle to speak of. */
export const sin = (x: Tensor): Tensor => apply1(sinOp, [x]);
/** The cosine, likewise. */
export const cos = (x: Tensor): Tensor => apply1(cosOp, [x]);

/** What a layer may apply to its product, by the names that `linear` knows. */
export const activations = { relu, gelu, geluTanh, silu, tanh };
export type Activation = keyof typeof activations;

/**
 * y = c ? a : b with broadcasting; attrs `a` and `b` hold numbers where the operand is no tensor.
 */
export const whereOp: Op = {
  name: "where",
  infer: (inputs) => {
    const [c, ...rest] = inputs;
    check(c.dtype === "u32", "where", () => `the condition ${c} must be u32; use a comparison`);
    for (const x of rest) checkType("where", x);
    const [a, b] = rest;
    check(
      rest.length < 2 || a.dtype === b.dtype,
      "where",
      () => `${a.dtype}${show(a.shape)} and ${b.dtype}${show(b.shape)} do not mix; use cast()`,
    );
    const shape = broadcastShapes("where", ...inputs.map((x) => x.shape));
    return [addressable("where", { shape, dtype: a?.dtype ?? "f32" })];
  },
  grad: ({ node, inputs, needs, upstream: [dy] }) => {
    if (!dy) return [];
    const c = inputs[0];
    const sides = [node.attrs.a, node.attrs.b];
    const parts = [() => where(c, dy, 0), () => where(c, 0, dy)];
    const tensors = parts.filter((_, i) => sides[i] === undefined);
    return inputs.map((x, i) => (i > 0 && needs[i] ? sumTo(tensors[i - 1](), x.shape) : undefined));
  },
  launch: ({ node, inputs, outputs: [y] }) => {
    const { a: left, b: right } = node.attrs;
    const rest = inputs.slice(1);
    const a = left === undefined ? rest.shift() : undefined;
    const b = right === undefined ? rest.shift() : undefined;
    const c = inputs[0];
    const shapes = { c: c.shape, a: (a ?? c).shape, b: (b ?? c).shape };
    const { constants, params } = broadcastParams("where", y.shape, shapes);
    const word = (value: unknown) => (value === undefined ? 0 : wordOf(value as number, y.dtype));
    return [
      {
        kernel: "where",
        constants: { ...constants, A_NUMBER: a ? 0 : 1, B_NUMBER: b ? 0 : 1 },
        params: { n: y.size, ...params, avalue: word(left), bvalue: word(right) },
        inputs: [c, a ?? null, b ?? null],
        outputs: [y],
      },
    ];
  },
};

/**
 * condition ? a : b, elementwise with broadcasting; condition u32 (0 is false), a and b of one
 * dtype or numbers.
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const tensors = [a, b].filter((x) => x instanceof Tensor);
  const dtype = tensors[0]?.dtype ?? "f32";
  const numbers: { a?: number; b?: number } = {};
  if (!(a instanceof Tensor)) numbers.a = asNumber("where", a, dtype);
  if (!(b instanceof Tensor)) numbers.b = asNumber("where", b, dtype);
  return apply1(whereOp, [condition, ...tensors], numbers);
}

export const castOp: Op = {
  name: "cast",
  infer: ([x], attrs) => {
    const dtype = attrs.dtype as DType;
    check(isWord(dtype), "cast", () => `${dtype} is not computed with; cast to f32, i32 or u32`);
    const half = x.dtype === "f16" || x.dtype === "bf16";
    check(!half || dtype === "f32", "cast", () => `${x} casts to f32 only`);
    return [{ shape: x.shape, dtype }];
  },
  grad: endsGradient("integers and frozen halves carry no gradient"),
  launch: ({ inputs: [x], outputs: [y] }) => [
    {
      kernel: "cast",
      constants: { FROM: TYPE[x.dtype], TO: WORD[wordOfTensor("cast", y)] },
      params: { n: y.size },
      inputs: [x],
      outputs: [y],
    },
  ],
};

/**
 * x as another dtype: floats to integers drop the fraction and saturate (NaN is 0), integers to f32
 * round to the nearest, i32 and u32 keep their bits, f16 and bf16 are decoded to f32. Ends a
 * gradient, unless it changes nothing.
 */
export const cast = (x: Tensor, dtype: DType): Tensor =>
  x.dtype === dtype ? x : apply1(castOp, [x], { dtype });

const MOST_ADDED = kernelOperands("add_n").filter((o) => o.list === "inputs").length;

/** y = x0 + x1 + ..., two to six of them. */
export const addNOp: Op = {
  name: "addN",
  infer: (inputs) => {
    const [first] = inputs;
    for (const x of inputs) {
      checkType("addN", x, "f32");
      check(
        sameShape(x.shape, first.shape),
        "addN",
        () => `shapes ${show(first.shape)} and ${show(x.shape)} differ; use add() to broadcast`,
      );
    }
    return [first];
  },
  grad: ({ inputs, upstream: [dy] }) => inputs.map(() => dy),
  launch: ({ inputs, outputs: [y] }): Launch[] => {
    const unused = new Array<null>(MOST_ADDED - inputs.length).fill(null);
    return [
      {
        kernel: "add_n",
        constants: { COUNT: inputs.length },
        params: { n: y.size },
        inputs: [...inputs, ...unused],
        outputs: [y],
      },
    ];
  },
};

/** The sum of one or more f32 tensors of one shape, from the first to the last, six a launch. */
export function addN(tensors: readonly Tensor[]): Tensor {
  check(tensors.length > 0, "addN", () => "needs one tensor or more, got none");
  let total = tensors[0];
  for (let i = 1; i < tensors.length; i += MOST_ADDED - 1) {
    total = apply1(addNOp, [total, ...tensors.slice(i, i + MOST_ADDED - 1)]);
  }
  return total;
}
