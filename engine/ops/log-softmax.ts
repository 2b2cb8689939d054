/** The logarithm of softmax, made of other ops. */
import { check } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { exp, log, sub } from "./elementwise.ts";
import { max, sum } from "./reduce.ts";
import { stopGradient } from "./shape.ts";

/** log(softmax(x)) over the last axis of an f32 tensor, [..., N] -> [..., N], without the rounding of a probability near 0. */
export function logSoftmax(x: Tensor): Tensor {
  check(x.shape.length > 0, "logSoftmax", () => `${x} has no axis; reshape it`);
  const below = sub(x, stopGradient(max(x, -1, { keepdims: true }))); // taken off again, so that it has no gradient
  return sub(below, log(sum(exp(below), -1, { keepdims: true })));
}
