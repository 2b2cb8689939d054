/** Sums, means, maxima and minima over axes. */
import { REDUCE } from "../../kernels/codes.ts";
import { check, checkFlag } from "../errors.ts";
import type { Launch, LaunchContext, Op } from "../op.ts";
import { normalizeAxis, numel, type Shape, show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { cast, div, equal, mul, neg } from "./elementwise.ts";
import { expand, reshape } from "./shape.ts";

/**
 * x seen as [outer, n, inner] gives [outer, inner], times `scale`; `shape` is what that is called.
 */
type ReduceAttrs = {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly scale: number;
  readonly shape: Shape;
};

/**
 * Columns of a reduction below which more threads are wanted, and the least rows that are worth one
 * of them.
 */
const ENOUGH_COLUMNS = 16384;
const LEAST_ROWS = 128;
/** Likewise where a whole workgroup may share a row. */
const ENOUGH_ROWS = 512;
const LEAST_COLUMNS = 2048;

/**
 * How many parts n is cut into: a matter of the shape alone, so that each device adds in the same
 * order.
 */
function partsOf(outer: number, n: number, inner: number): number {
  const parts =
    inner === 1
      ? Math.min(Math.ceil(ENOUGH_ROWS / outer), Math.floor(n / LEAST_COLUMNS))
      : Math.min(Math.ceil(ENOUGH_COLUMNS / (outer * inner)), Math.floor(n / LEAST_ROWS));
  return Math.max(1, parts);
}

type Reduction = Omit<ReduceAttrs, "shape"> & {
  readonly kind: keyof typeof REDUCE | "entropy";
  readonly x: Tensor;
  readonly y: Tensor;
};

/** The launches of one reduction: one, or two where few results come of many elements. */
export function reduceLaunches(temp: LaunchContext["temp"], r: Reduction): Launch[] {
  const { outer, n, inner } = r;
  const parts = partsOf(outer, n, inner);
  if (parts === 1) return [reduceLaunch(r, 1)];
  const y = temp({ shape: [outer, parts, inner], dtype: "f32" });
  const chunk = Math.ceil(n / parts);
  const used = Math.ceil(n / chunk);
  const kind = r.kind === "max" ? "max" : "sum";
  return [
    reduceLaunch({ ...r, y, scale: 1 }, used),
    reduceLaunch({ ...r, kind, x: y, n: used }, 1),
  ];
}

function reduceLaunch({ kind, x, y, outer, n, inner, scale }: Reduction, parts: number): Launch {
  const chunk = Math.ceil(n / parts);
  const OP = kind === "max" ? REDUCE.max : REDUCE.sum;
  if (inner === 1) {
    return {
      kernel: "reduce_rows",
      constants: { OP, ENTROPY: kind === "entropy" ? 1 : 0 },
      params: { rows: outer * parts, n, parts, chunk, scale },
      inputs: [x],
      outputs: [y],
    };
  }
  return {
    kernel: "reduce_columns",
    constants: { OP, TIMES: 0 },
    params: { outer, n, inner, parts, chunk, scale },
    inputs: [x, null],
    outputs: [y],
  };
}

function reduceOp(name: "sum" | "max", grad: Op["grad"]): Op {
  return {
    name,
    infer: (_, attrs) => [{ shape: (attrs as ReduceAttrs).shape, dtype: "f32" }],
    grad,
    launch: ({ node, inputs: [x], outputs: [y], temp }) => {
      const { outer, n, inner, scale } = node.attrs as ReduceAttrs;
      return reduceLaunches(temp, { kind: name, x, y, outer, n, inner, scale });
    },
  };
}

/** The result's gradient, repeated over what was reduced. */
function spread(dy: Tensor, x: Tensor, { outer, n, inner }: ReduceAttrs): Tensor {
  return reshape(expand(reshape(dy, [outer, 1, inner]), [outer, n, inner]), x.shape);
}

export const sumOp: Op = reduceOp("sum", ({ node, inputs: [x], upstream: [dy] }) => {
  if (!dy) return [];
  const attrs = node.attrs as ReduceAttrs;
  return [spread(attrs.scale === 1 ? dy : mul(dy, attrs.scale), x, attrs)];
});

// elements that are equal to the maximum share its gradient
export const maxOp: Op = reduceOp("max", ({ node, inputs: [x], outputs: [y], upstream: [dy] }) => {
  if (!dy) return [];
  const attrs = node.attrs as ReduceAttrs;
  const { outer, n, inner } = attrs;
  const isTop = cast(equal(x, spread(y, x, attrs)), "f32");
  const count = reduceRun("sum", isTop, { outer, n, inner, scale: 1, shape: y.shape });
  return [mul(isTop, spread(div(dy, count), x, attrs))];
});

const reduceRun = (kind: "sum" | "max", x: Tensor, attrs: ReduceAttrs): Tensor =>
  apply1(kind === "sum" ? sumOp : maxOp, [x], attrs);

/**
 * Reduces the marked axes, one run of neighbours after another from the last on; `shape` names the
 * result.
 */
function reduceAxes(
  kind: "sum" | "max",
  x: Tensor,
  marked: readonly boolean[],
  shape: Shape,
  scale: number,
): Tensor {
  const sizes: { size: number; reduced: boolean }[] = [];
  x.shape.forEach((size, axis) => {
    const last = sizes.at(-1);
    if (size === 1) return;
    if (last && last.reduced === marked[axis]) last.size *= size;
    else sizes.push({ size, reduced: marked[axis] });
  });
  let y = x;
  let left = sizes.filter((s) => s.reduced).length;
  if (left === 0) return scale === 1 ? reshape(x, shape) : mul(reshape(x, shape), scale);
  for (let k = sizes.length - 1; k >= 0; k--) {
    if (!sizes[k].reduced) continue;
    left--;
    const before = sizes.slice(0, k).map((s) => s.size);
    const after = sizes.slice(k + 1).map((s) => s.size);
    const attrs = { outer: numel(before), n: sizes[k].size, inner: numel(after) };
    const result = left === 0 ? shape : [...before, ...after];
    y = reduceRun(kind, y, { ...attrs, scale: left === 0 ? scale : 1, shape: result });
    sizes.splice(k, 1);
  }
  return y;
}

export type ReduceOptions = { readonly keepdims?: boolean };

function reduce(
  name: "sum" | "mean" | "max" | "min",
  x: Tensor,
  axis: number | readonly number[] | undefined,
  { keepdims = false }: ReduceOptions,
): Tensor {
  checkFlag(name, "keepdims", keepdims);
  check(x.dtype === "f32", name, () => `${x} must be f32; use cast()`);
  const given = axis === undefined ? x.shape.map((_, i) => i) : [axis].flat();
  const axes = new Set(given.map((a) => normalizeAxis(name, a, x.shape)));
  check(axes.size === given.length, name, () => `axes ${show(given)} name an axis twice`);
  const marked = x.shape.map((_, i) => axes.has(i));
  const n = numel(x.shape.filter((_, i) => marked[i]));
  check(n > 0 && x.size > 0, name, () => `shape ${show(x.shape)} has no elements to reduce`);
  const shape = keepdims
    ? x.shape.map((d, i) => (marked[i] ? 1 : d))
    : x.shape.filter((_, i) => !marked[i]);
  if (name === "min") return neg(reduceAxes("max", neg(x), marked, shape, 1));
  return reduceAxes(name === "max" ? "max" : "sum", x, marked, shape, name === "mean" ? 1 / n : 1);
}

/**
 * The sum over the given axes (all, if none are), which go, or stay with size 1 under `keepdims`.
 * f32.
 */
export const sum = (
  x: Tensor,
  axis?: number | readonly number[],
  options: ReduceOptions = {},
): Tensor => reduce("sum", x, axis, options);

/** The mean over the given axes (all, if none are). f32. */
export const mean = (
  x: Tensor,
  axis?: number | readonly number[],
  options: ReduceOptions = {},
): Tensor => reduce("mean", x, axis, options);

/**
 * The maximum over the given axes (all, if none are), NaN if there is one. Elements that tie share
 * the gradient. f32.
 */
export const max = (
  x: Tensor,
  axis?: number | readonly number[],
  options: ReduceOptions = {},
): Tensor => reduce("max", x, axis, options);

/**
 * The minimum over the given axes (all, if none are), NaN if there is one. Elements that tie share
 * the gradient, as in PyTorch's `amin`. f32.
 */
export const min = (
  x: Tensor,
  axis?: number | readonly number[],
  options: ReduceOptions = {},
): Tensor => reduce("min", x, axis, options);

/** Sums x to a shape that broadcasts to it: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.shape.length - shape.length;
  const marked = x.shape.map((d, i) => i < lead || (shape[i - lead] === 1 && d !== 1));
  return reduceAxes("sum", x, marked, shape, 1);
}
