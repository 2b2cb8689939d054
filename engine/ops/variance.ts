/** The variance over axes, made of other ops. */
import { check } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { mul, square, sub } from "./elementwise.ts";
import { mean, type ReduceOptions, sum } from "./reduce.ts";

export type VarianceOptions = ReduceOptions & {
  /** What is taken off the number of elements; 1 is Bessel's correction, PyTorch's default and here, 0 the mean of squares. */
  readonly correction?: number;
};

/** The variance over the given axes (all, if none are), around their mean; PyTorch's `var`. f32. */
export function variance(
  x: Tensor,
  axis?: number | readonly number[],
  { correction = 1, ...options }: VarianceOptions = {},
): Tensor {
  const middle = mean(x, axis, { keepdims: true });
  const count = x.size / middle.size;
  check(Number.isFinite(correction) && count > correction, "variance", () => {
    return `${count} elements less a correction of ${correction} leave nothing to divide by`;
  });
  return mul(sum(square(sub(x, middle)), axis, options), 1 / (count - correction));
}
