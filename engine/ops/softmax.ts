/** Softmax along the last axis, and its gradient. */
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";

/** Rows and columns of a tensor that is treated along its last axis. */
export function rowsOf(op: string, x: Tensor): { rows: number; cols: number } {
  const cols = x.shape[x.shape.length - 1];
  check(
    x.dtype === "f32" && x.shape.length > 0 && x.size > 0,
    op,
    () => `${x.dtype}${show(x.shape)} must be f32 with one axis or more and no empty one`,
  );
  return { rows: x.size / cols, cols };
}

/** y[j] = exp(x[j] - max x) / sum_j exp(x[j] - max x), along the last axis. */
export const softmaxOp: Op = {
  name: "softmax",
  infer: ([x]) => {
    rowsOf("softmax", x);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  grad: ({ outputs: [y], upstream: [dy] }) => [dy && apply1(softmaxBackwardOp, [y, dy])],
  launch: ({ inputs: [x], outputs: [y] }) => [
    { kernel: "softmax", params: rowsOf("softmax", x), inputs: [x], outputs: [y] },
  ],
};

/** dx = y * (dy - sum_j y[j] dy[j]). */
const softmaxBackwardOp: Op = {
  name: "softmaxBackward",
  infer: ([y]) => [{ shape: y.shape, dtype: "f32" }],
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs: [y, dy], outputs: [dx] }) => [
    {
      kernel: "softmax_backward",
      params: rowsOf("softmax", y),
      inputs: [y, dy],
      outputs: [dx],
    },
  ],
};

/** Softmax over the last axis of an f32 tensor of any shape: [..., N] -> [..., N]. Throws for other dtypes and empty tensors. */
export const softmax = (x: Tensor): Tensor => apply1(softmaxOp, [x]);
