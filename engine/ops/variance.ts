/** Variance and standard deviation over axes, made of other ops. */
import { check } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { equal, mul, sqrt, square, sub, where } from "./elementwise.ts";
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

/**
 * The standard deviation over the given axes (all, if none are), around their mean; PyTorch's `std`, whose gradient is 0 where all
 * elements are equal. f32.
 */
export function std(
  x: Tensor,
  axis?: number | readonly number[],
  options: VarianceOptions = {},
): Tensor {
  const squared = variance(x, axis, options);
  const none = equal(squared, 0);
  return where(none, 0, sqrt(where(none, 1, squared)));
}
