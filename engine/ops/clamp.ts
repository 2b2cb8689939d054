/** Values held between two bounds. */
import { check } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import { maximum, minimum } from "./elementwise.ts";

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
