/** Ops that move elements and compute nothing: reshape, slice, concat, permute, expand. Many cost no launch. */
import { check } from "../errors.ts";
import { ALIGNMENT, endsGradient, type Launch, type Op } from "../op.ts";
import {
  checkShape,
  normalizeAxis,
  numel,
  type Shape,
  sameShape,
  show,
  stridesOf,
} from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";
import { addressable, strided } from "./strided.ts";

const isHalf = (x: Tensor): boolean => x.dtype === "f16" || x.dtype === "bf16";

function checkWords(op: string, x: Tensor): void {
  check(!isHalf(x), op, () => `${x} is packed and cannot be copied by element; cast() it first`);
}

const copyAll = (x: Tensor, y: Tensor): Launch => copyStrided("copy", x, y, x.shape, {});

type Window = { xfrom?: number; s?: readonly number[]; yfrom?: number; t?: readonly number[] };

/**
 * Copies elements over `shape`: x is read with strides `s` from `xfrom` on, y written with `t` from
 * `yfrom` on.
 */
function copyStrided(op: string, x: Tensor, y: Tensor, shape: Shape, w: Window): Launch {
  const own = stridesOf(shape);
  const { constants, params } = strided(op, shape, { s: w.s ?? own, t: w.t ?? own });
  const from = { xfrom: w.xfrom ?? 0, yfrom: w.yfrom ?? 0 };
  return {
    kernel: "copy",
    constants,
    params: { n: numel(shape), ...params, ...from },
    inputs: [x],
    outputs: [y],
  };
}

/** [outer, size, inner] around an axis. */
function around(shape: Shape, axis: number): { outer: number; size: number; inner: number } {
  return {
    outer: numel(shape.slice(0, axis)),
    size: shape[axis],
    inner: numel(shape.slice(axis + 1)),
  };
}

const replaced = (shape: Shape, axis: number, size: number): number[] =>
  shape.map((d, i) => (i === axis ? size : d));

export const reshapeOp: Op = {
  name: "reshape",
  infer: ([x], { shape }) => [{ shape: shape as Shape, dtype: x.dtype }],
  grad: ({ inputs: [x], upstream: [dy] }) => [dy && reshape(dy, x.shape)],
  view: () => ({ input: 0, byteOffset: 0 }),
  launch: ({ inputs: [x], outputs: [y] }) => [copyAll(x, y)],
};

/** The same elements in another shape, at no cost. One size may be -1 and is computed. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const open = shape.indexOf(-1);
  const rest = numel(shape.filter((_, i) => i !== open));
  const full = open < 0 ? shape : replaced(shape, open, x.size / rest);
  check(
    full.every((d) => Number.isInteger(d) && d >= 0) && numel(full) === x.size,
    "reshape",
    () => `shape ${show(shape)} does not hold the ${x.size} elements of ${show(x.shape)}`,
  );
  return sameShape(full, x.shape) ? x : apply1(reshapeOp, [x], { shape: full });
}

export const stopGradientOp: Op = {
  name: "stopGradient",
  infer: ([x]) => [x],
  grad: endsGradient("stopGradient"),
  view: () => ({ input: 0, byteOffset: 0 }),
  launch: ({ inputs: [x], outputs: [y] }) => [copyAll(x, y)],
};

/** x, through which no gradient passes. */
export const stopGradient = (x: Tensor): Tensor => apply1(stopGradientOp, [x]);

type SliceAttrs = { readonly axis: number; readonly start: number; readonly end: number };

export const sliceOp: Op = {
  name: "slice",
  infer: ([x], attrs) => {
    const { axis, start, end } = attrs as SliceAttrs;
    return [{ shape: replaced(x.shape, axis, end - start), dtype: x.dtype }];
  },
  grad: ({ node, inputs: [x], upstream: [dy] }) => {
    const { axis, start } = node.attrs as SliceAttrs;
    return [dy && apply1(padOp, [dy], { axis, start, size: x.shape[axis] })];
  },
  view: ({ inputs: [x], attrs }) => {
    const { axis, start } = attrs as SliceAttrs;
    const { outer, inner } = around(x.shape, axis);
    const byteOffset = start * inner * (isHalf(x) ? 2 : 4);
    return outer === 1 && byteOffset % ALIGNMENT === 0 ? { input: 0, byteOffset } : undefined;
  },
  launch: ({ node, inputs: [x], outputs: [y] }) => {
    const { axis, start } = node.attrs as SliceAttrs;
    checkWords("slice", x);
    const s = stridesOf(x.shape);
    return [copyStrided("slice", x, y, y.shape, { xfrom: start * s[axis], s })];
  },
};

/**
 * Elements start to end - 1 along an axis. Leading rows that start at a multiple of 256 bytes cost
 * nothing.
 */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const a = normalizeAxis("slice", axis, x.shape);
  check(
    Number.isInteger(start) &&
      Number.isInteger(end) &&
      start >= 0 &&
      start < end &&
      end <= x.shape[a],
    "slice",
    () => `${start} to ${end} is not a range of axis ${axis} of shape ${show(x.shape)}`,
  );
  if (start === 0 && end === x.shape[a]) return x;
  return apply1(sliceOp, [x], { axis: a, start, end });
}

/** y = 0 but for y[.., start + i, ..] = x[.., i, ..]: the transpose of a slice. */
export const padOp: Op = {
  name: "pad",
  infer: ([x], { axis, size }) => [
    { shape: replaced(x.shape, axis as number, size as number), dtype: x.dtype },
  ],
  grad: ({ node, inputs: [x], upstream: [dy] }) => {
    const { axis, start } = node.attrs as SliceAttrs;
    return [dy && slice(dy, axis, start, start + x.shape[axis])];
  },
  launch: ({ node, inputs: [x], outputs: [y] }) => {
    const { axis, start } = node.attrs as SliceAttrs;
    const t = stridesOf(y.shape);
    return [
      { kernel: "fill", params: { n: y.size, bits: 0 }, inputs: [], outputs: [y] },
      copyStrided("pad", x, y, x.shape, { yfrom: start * t[axis], t }),
    ];
  },
};

export const concatOp: Op = {
  name: "concat",
  infer: (inputs, attrs) => {
    const axis = attrs.axis as number;
    const [first] = inputs;
    let size = 0;
    for (const x of inputs) {
      checkWords("concat", x);
      check(
        x.dtype === first.dtype &&
          sameShape(replaced(x.shape, axis, 1), replaced(first.shape, axis, 1)),
        "concat",
        () =>
          `${x.dtype}${show(x.shape)} does not fit ${first.dtype}${show(first.shape)}: ` +
          `only axis ${axis} may differ`,
      );
      size += x.shape[axis];
    }
    return [
      addressable("concat", { shape: replaced(first.shape, axis, size), dtype: first.dtype }),
    ];
  },
  grad: ({ node, inputs, needs, upstream: [dy] }) => {
    const axis = node.attrs.axis as number;
    let start = 0;
    return inputs.map((x, i) => {
      const end = start + x.shape[axis];
      const part = dy && needs[i] ? slice(dy, axis, start, end) : undefined;
      start = end;
      return part;
    });
  },
  stacks: true,
  // one launch for each input, in their order: the planner leaves out those that are already in
  // place
  launch: ({ node, inputs, outputs: [y] }) => {
    const axis = node.attrs.axis as number;
    const t = stridesOf(y.shape);
    let row = 0;
    return inputs.map((x) => {
      const yfrom = row * t[axis];
      row += x.shape[axis];
      return copyStrided("concat", x, y, x.shape, { yfrom, t });
    });
  },
};

/**
 * Joins tensors along an axis; all other sizes and the dtype are equal. Along axis 0 producers may
 * write in place.
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  check(tensors.length > 0, "concat", () => "needs one tensor or more, got none");
  const [first] = tensors;
  const a = normalizeAxis("concat", axis, first.shape);
  for (const x of tensors) {
    check(
      x.shape.length === first.shape.length,
      "concat",
      () => `shapes ${show(first.shape)} and ${show(x.shape)} differ in rank; reshape`,
    );
  }
  return tensors.length === 1 ? first : apply1(concatOp, tensors, { axis: a });
}

/**
 * Stacks tensors of one shape and dtype along an axis that is new: tensors [A, B] become [n, A, B], or [A, n, B] along axis 1. A
 * negative axis counts from the end of the result's.
 */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  check(tensors.length > 0, "stack", () => "needs one tensor or more, got none");
  const [{ shape, dtype }] = tensors;
  const a = normalizeAxis("stack", axis, [...shape, 1]);
  const odd = tensors.find((x) => x.dtype !== dtype || !sameShape(x.shape, shape));
  check(odd === undefined, "stack", () => {
    return `${dtype}${show(shape)} and ${odd?.dtype}${show(odd?.shape ?? [])} differ; give tensors of one shape and dtype, or concat them`;
  });
  return concat(
    tensors.map((x) => reshape(x, shape.toSpliced(a, 0, 1))),
    a,
  );
}

export const permuteOp: Op = {
  name: "permute",
  infer: ([x], { axes }) => {
    checkWords("permute", x);
    return [{ shape: (axes as number[]).map((a) => x.shape[a]), dtype: x.dtype }];
  },
  grad: ({ node, upstream: [dy] }) => {
    const axes = node.attrs.axes as number[];
    return [
      dy &&
        permute(
          dy,
          axes.map((_, i) => axes.indexOf(i)),
        ),
    ];
  },
  launch: ({ node, inputs: [x], outputs: [y] }) => {
    const own = stridesOf(x.shape);
    const s = (node.attrs.axes as number[]).map((a) => own[a]);
    return [copyStrided("permute", x, y, y.shape, { s })];
  },
};

/**
 * Reorders the axes: axis i of the result is axis axes[i] of x. Moving axes of size 1 costs
 * nothing.
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const full = axes.map((a) => normalizeAxis("permute", a, x.shape));
  check(
    full.length === x.shape.length && new Set(full).size === full.length,
    "permute",
    () => `axes ${show(axes)} are not an order of the ${x.shape.length} axes of ${show(x.shape)}`,
  );
  const moving = full.filter((a) => x.shape[a] !== 1);
  if (moving.every((a, i) => i === 0 || moving[i - 1] < a)) {
    return reshape(
      x,
      full.map((a) => x.shape[a]),
    );
  }
  return apply1(permuteOp, [x], { axes: full });
}

/** Swaps two axes. */
export function transpose(x: Tensor, a: number, b: number): Tensor {
  const from = normalizeAxis("transpose", a, x.shape);
  const to = normalizeAxis("transpose", b, x.shape);
  const axes = x.shape.map((_, i) => (i === from ? to : i === to ? from : i));
  return permute(x, axes);
}

export const expandOp: Op = {
  name: "expand",
  infer: ([x], attrs) => {
    checkWords("expand", x);
    return [addressable("expand", { shape: attrs.shape as Shape, dtype: x.dtype })];
  },
  grad: ({ inputs: [x], upstream: [dy] }) => [dy && sumTo(dy, x.shape)],
  launch: ({ inputs: [x], outputs: [y] }) => {
    const own = stridesOf(y.shape);
    const lead = y.shape.length - x.shape.length;
    const xs = stridesOf(x.shape);
    const s = own.map((_, i) => (i < lead || x.shape[i - lead] === 1 ? 0 : xs[i - lead]));
    return [copyStrided("expand", x, y, y.shape, { s })];
  },
};

/** Repeats axes of size 1 (and missing leading ones) to fill `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  checkShape("expand", shape);
  const lead = shape.length - x.shape.length;
  check(
    lead >= 0 && x.shape.every((d, i) => d === shape[i + lead] || d === 1),
    "expand",
    () => `shape ${show(x.shape)} does not expand to ${show(shape)}: sizes must be equal or 1`,
  );
  if (sameShape(x.shape, shape)) return x;
  return x.size === numel(shape) ? reshape(x, shape) : apply1(expandOp, [x], { shape });
}
