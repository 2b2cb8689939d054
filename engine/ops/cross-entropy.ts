/** Cross-entropy of logits with ids, and its gradient. */
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply, apply1, scalar, type Tensor, tensor } from "../tensor.ts";
import { equal, exp, less, log, mul, sub, where } from "./elementwise.ts";
import { max, sum } from "./reduce.ts";
import { reshape } from "./shape.ts";
import { rowsOf } from "./softmax.ts";

/** loss = log sum_j exp(x[j]) - x[target]. Outputs: the loss, and (max x, sum exp(x - max)) of each row. */
export const crossEntropyOp: Op = {
  name: "crossEntropy",
  infer: ([x, targets]) => {
    const { rows } = rowsOf("crossEntropy", x);
    const shape = x.shape.slice(0, -1);
    check(
      targets.dtype === "u32" && sameShape(targets.shape, shape),
      "crossEntropy",
      () =>
        `the targets ${targets} must be u32${show(shape)}, one id for each row of ${show(x.shape)}`,
    );
    return [
      { shape, dtype: "f32" },
      { shape: [rows, 2], dtype: "f32" },
    ];
  },
  grad: ({ inputs: [x, targets], outputs: [, stats], upstream: [dloss] }) => [
    dloss && apply1(crossEntropyBackwardOp, [x, targets, stats, dloss]),
  ],
  launch: ({ inputs, outputs }) => [
    { kernel: "cross_entropy", params: rowsOf("crossEntropy", inputs[0]), inputs, outputs },
  ],
  twin: ([x, targets]) => {
    const { rows, cols } = rowsOf("crossEntropy", x);
    const flat = reshape(x, [rows, cols]);
    const columns = tensor(Uint32Array.from({ length: cols }, (_, j) => j));
    const hit = equal(reshape(targets, [rows, 1]), columns); // [R, V]
    const top = max(flat, -1, { keepdims: true }); // [R, 1]
    const shifted = sub(flat, top);
    const picked = sum(where(hit, shifted, 0), -1);
    const losses = reshape(sub(log(sum(exp(shifted), -1)), picked), x.shape.slice(0, -1));
    return [mul(losses, where(less(targets, cols), 1, scalar(Number.NaN)))];
  },
};

/** dx[j] = (exp(x[j] - max) / sum - (j == target)) * dloss. */
const crossEntropyBackwardOp: Op = {
  name: "crossEntropyBackward",
  infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs, outputs }) => [
    {
      kernel: "cross_entropy_backward",
      params: rowsOf("crossEntropy", inputs[0]),
      inputs,
      outputs,
    },
  ],
};

/**
 * -log softmax(logits)[target] of each row, not reduced.
 * @param logits f32 [..., V]
 * @param targets u32 [...]; an id of V or more gives NaN, and a row of NaN as gradient; so does a row of logits that holds NaN or
 * +infinity, or -infinity alone, as in PyTorch
 * @returns f32 [...]
 */
export const crossEntropy = (logits: Tensor, targets: Tensor): Tensor =>
  apply(crossEntropyOp, [logits, targets])[0];
