/** A power with a number for exponent, made of other ops. */
import { check } from "../errors.ts";
import { checkHolds, type Tensor } from "../tensor.ts";
import {
  add,
  equal,
  exp,
  log,
  mul,
  reciprocal,
  rsqrt,
  sqrt,
  square,
  where,
} from "./elementwise.ts";
import { full } from "./fill.ts";

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
