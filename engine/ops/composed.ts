/** Functions that are made of ops: their gradients are those of the ops. */
import { check } from "../errors.ts";
import { sameShape, show } from "../shape.ts";
import { checkHolds, type Tensor } from "../tensor.ts";
import {
  add,
  equal,
  exp,
  log,
  maximum,
  minimum,
  mul,
  reciprocal,
  rsqrt,
  sqrt,
  square,
  sub,
  where,
} from "./elementwise.ts";
import { full } from "./fill.ts";
import { mean, type ReduceOptions, sum } from "./reduce.ts";

/**
 * min(max(x, low), high); NaN stays NaN, and where x is a bound itself it has the gradient, as in PyTorch.
 * @param bounds one may be absent
 */
export function clamp(x: Tensor, { min, max }: { min?: number; max?: number }): Tensor {
  check(min !== undefined || max !== undefined, "clamp", () => "give min, max or both");
  check(!(min !== undefined && max !== undefined && min > max), "clamp", () => {
    return `min is ${min}, which is above max, ${max}`;
  });
  const above = min === undefined ? x : maximum(x, min);
  return max === undefined ? above : minimum(above, max);
}

/** Whole exponents up to this are products. */
const WHOLE = 64;

/**
 * x to the power of a number. Whole exponents up to 64 (and their negatives) are products, 0.5 is `sqrt`; any other is exp(exponent * log x): NaN below 0,
 * and at 0 it is 0 (or infinite for a negative exponent) with a gradient of 0.
 */
export function pow(x: Tensor, exponent: number): Tensor {
  check(Number.isFinite(exponent), "pow", () => `the exponent ${exponent} must be finite`);
  checkHolds("pow", exponent, "f32");
  if (exponent === 0.5) return sqrt(x);
  if (exponent === -0.5) return rsqrt(x);
  if (Number.isInteger(exponent) && Math.abs(exponent) <= WHOLE) {
    if (exponent === 0) return add(mul(x, 0), 1);
    const power = product(x, Math.abs(exponent));
    return exponent < 0 ? reciprocal(power) : power;
  }
  const isZero = equal(x, 0);
  const safe = where(isZero, 1, x);
  const power = exp(mul(log(safe), exponent));
  return where(isZero, exponent > 0 ? 0 : full(x.shape, Number.POSITIVE_INFINITY), power);
}

/** x times itself, by squaring. */
function product(x: Tensor, times: number): Tensor {
  if (times === 1) return x;
  const half = square(product(x, times >> 1));
  return times % 2 === 0 ? half : mul(half, x);
}

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
 * RMSNorm over the last axis (Zhang and Sennrich, 2019): x / sqrt(mean(x^2) + eps) * weight.
 * @param x f32 [.., D]
 * @param weight f32 [D]; without it nothing is multiplied
 */
export function rmsNorm(x: Tensor, weight: Tensor | undefined, eps: number): Tensor {
  const width = x.shape[x.shape.length - 1];
  check(x.shape.length > 0 && width > 0, "rmsNorm", () => `${x} has no last axis to go over`);
  check(!weight || sameShape(weight.shape, [width]), "rmsNorm", () => {
    return `the weight ${weight && show(weight.shape)} must be [${width}], the last axis of x`;
  });
  check(eps >= 0 && Number.isFinite(eps), "rmsNorm", () => `eps is ${eps}; it must be 0 or more`);
  const scaled = mul(x, rsqrt(add(mean(square(x), -1, { keepdims: true }), eps)));
  return weight ? mul(scaled, weight) : scaled;
}
