/** The largest elements along the last axis, by their places: argmax and topK. */
import { check } from "../errors.ts";
import { endsGradient, nondifferentiable, type Op } from "../op.ts";
import { show } from "../shape.ts";
import { apply, apply1, type Tensor } from "../tensor.ts";

function checkRows(op: string, x: Tensor): void {
  check(x.dtype === "f32", op, () => `${x} must be f32; use cast()`);
  check(
    x.shape.length > 0 && x.size > 0,
    op,
    () => `shape ${show(x.shape)} has no last axis to search`,
  );
}

export const argmaxOp: Op = {
  name: "argmax",
  infer: ([x]) => {
    checkRows("argmax", x);
    return [{ shape: x.shape.slice(0, -1), dtype: "u32" }];
  },
  grad: endsGradient("an index carries no gradient"),
  launch: ({ inputs: [x], outputs: [y] }) => [
    {
      kernel: "topk",
      constants: { HAS_VALUES: 0 },
      params: { rows: y.size, cols: x.size / y.size, k: 1 },
      inputs: [x],
      outputs: [y, null],
    },
  ],
};

/**
 * The index of the largest element along the last axis, the lowest on ties: f32 [..., N] gives u32
 * [...]. NaN is smallest.
 */
export const argmax = (x: Tensor): Tensor => apply1(argmaxOp, [x]);

/** Outputs: indices, values. */
export const topKOp: Op = {
  name: "topK",
  infer: ([x], attrs) => {
    checkRows("topK", x);
    const k = attrs.k as number;
    const cols = x.shape[x.shape.length - 1];
    check(
      Number.isInteger(k) && k >= 1 && k <= cols,
      "topK",
      () => `k = ${k} is not in 1..${cols}, the size of the last axis`,
    );
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: "u32" },
      { shape, dtype: "f32" },
    ];
  },
  grad: nondifferentiable("gather the values by their indices, or use max()"),
  launch: ({ node, inputs: [x], outputs }) => {
    const cols = x.shape[x.shape.length - 1];
    return [
      {
        kernel: "topk",
        constants: { HAS_VALUES: 1 },
        params: { rows: x.size / cols, cols, k: node.attrs.k as number },
        inputs: [x],
        outputs,
      },
    ];
  },
};

/**
 * The k largest elements along the last axis in falling order, the lowest index first on ties. f32
 * [..., N] gives [..., k].
 */
export function topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
  const [indices, values] = apply(topKOp, [x], { k });
  return { values, indices };
}
