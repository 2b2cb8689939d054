import { check } from "../errors.ts";
import { type Launch, nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";

/** Rows that one thread adds up before a second launch adds up the sums. */
const chunk = 64;

/** y[j] = sum_r a[r, j] * times[r, j]; inputs a and maybe times, [R, N]: gradients of biases and of layernorm's weight. */
export const columnSumsOp: Op = {
  name: "columnSums",
  infer: (inputs) => {
    const [a, times] = inputs;
    check(
      a.dtype === "f32" && a.shape.length === 2,
      "columnSums",
      () => `${a} must be f32 [rows, columns]`,
    );
    check(
      !times || (times.dtype === "f32" && sameShape(times.shape, a.shape)),
      "columnSums",
      () => `the factor ${times} must have the shape of the other, ${show(a.shape)}`,
    );
    return [{ shape: [a.shape[1]], dtype: "f32" }];
  },
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs, outputs: [y], temp }) => {
    const [a, times] = inputs;
    const [rows, cols] = a.shape;
    const sums = (from: Tensor, b: Tensor | undefined, to: Tensor, take: number): Launch => ({
      kernel: "column_sums",
      constants: { TIMES: b ? 1 : 0 },
      params: { rows: from.shape[0], cols, chunk: take },
      inputs: [from, b ?? null],
      outputs: [to],
    });
    // a second launch costs more than a few rows more, and the grid holds 65,535 chunks
    if (rows <= 4 * chunk) return [sums(a, times, y, Math.max(1, rows))];
    const take = Math.max(chunk, Math.ceil(rows / 65535));
    const parts = temp({ shape: [Math.ceil(rows / take), cols], dtype: "f32" });
    return [sums(a, times, parts, take), sums(parts, undefined, y, parts.shape[0])];
  },
};

/** Column sums of a, or of a * times: f32 [R, N] -> [N]. In a fixed order: the same bits on every run. */
export const columnSums = (a: Tensor, times?: Tensor): Tensor =>
  apply1(columnSumsOp, times ? [a, times] : [a]);
