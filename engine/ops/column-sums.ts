/** Sums down the columns of a matrix: gradients of biases and of layernorm's weight. */
import { REDUCE } from "../../kernels/codes.ts";
import { check } from "../errors.ts";
import { type Launch, nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";

/** Rows that one thread adds up before a second launch adds up the sums; more where there would be MOST_CHUNKS of them. */
const CHUNK = 64;
const MOST_CHUNKS = 65535;

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
    const sums = (
      x: Tensor,
      w: Tensor | undefined,
      to: Tensor,
      parts: number,
      chunk: number,
    ): Launch => ({
      kernel: "reduce_columns",
      constants: { OP: REDUCE.sum, TIMES: w ? 1 : 0 },
      params: { outer: 1, n: x.shape[0], inner: cols, parts, chunk, scale: 1 },
      inputs: [x, w ?? null],
      outputs: [to],
    });
    // a second launch costs more than a few rows more
    if (rows <= 4 * CHUNK) return [sums(a, times, y, 1, Math.max(1, rows))];
    const take = Math.max(CHUNK, Math.ceil(rows / MOST_CHUNKS));
    const parts = Math.ceil(rows / take);
    const partial = temp({ shape: [parts, cols], dtype: "f32" });
    return [sums(a, times, partial, parts, take), sums(partial, undefined, y, 1, parts)];
  },
};

/** Column sums of a, or of a * times: f32 [R, N] -> [N]. In a fixed order: the same bits on every run. */
export const columnSums = (a: Tensor, times?: Tensor): Tensor =>
  apply1(columnSumsOp, times ? [a, times] : [a]);
