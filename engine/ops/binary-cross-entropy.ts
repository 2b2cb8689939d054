/** Binary cross-entropy of logits, made of other ops. */
import { check } from "../errors.ts";
import { sameShape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { abs, add, exp, log, mul, neg, sub } from "./elementwise.ts";

/**
 * -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) of each element, not reduced, without the overflow of exp(-x); PyTorch's
 * `binary_cross_entropy_with_logits` with reduction "none".
 * @param logits x, f32 of any shape
 * @param targets t, f32 of the same shape, from 0 to 1
 * @returns f32 of the same shape
 */
export function binaryCrossEntropyWithLogits(logits: Tensor, targets: Tensor): Tensor {
  check(
    logits.dtype === "f32" && targets.dtype === "f32" && sameShape(logits.shape, targets.shape),
    "binaryCrossEntropyWithLogits",
    () =>
      `the logits ${logits.dtype}${show(logits.shape)} and the targets ${targets.dtype}${show(targets.shape)} must be f32 of one shape; reshape or cast one`,
  );
  const size = abs(logits);
  // max(x, 0) is (x + |x|) / 2, whose slope at 0 is the mean of both sides, as it has to be
  const linear = add(mul(sub(0.5, targets), logits), mul(size, 0.5));
  return add(linear, log(add(exp(neg(size)), 1)));
}
