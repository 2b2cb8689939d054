import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { reduceLaunches } from "./reduce.ts";

/** y[c] = sum over r of a[r, c] (times b[r, c]): gradients of biases and of layernorm's weight. */
export const columnSumsOp: Op = {
  name: "columnSums",
  infer: ([a, b]) => {
    check(
      a.dtype === "f32" && a.shape.length === 2,
      "columnSums",
      () => `${a} must be f32 [rows, columns]`,
    );
    check(
      !b || (b.dtype === "f32" && sameShape(a.shape, b.shape)),
      "columnSums",
      () => `shapes ${show(a.shape)} and ${show(b.shape)} must be equal`,
    );
    return [{ shape: [a.shape[1]], dtype: "f32" }];
  },
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs: [a, b], outputs: [y], temp }) => {
    const [n, inner] = a.shape;
    return reduceLaunches(temp, { x: a, times: b, y, code: 0, outer: 1, n, inner, scale: 1 });
  },
};

/** Column sums of a, or of a times b: f32 [rows, columns] give [columns]. */
export const columnSums = (a: Tensor, b?: Tensor): Tensor => apply1(columnSumsOp, b ? [a, b] : [a]);
