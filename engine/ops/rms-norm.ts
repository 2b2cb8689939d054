/** RMSNorm, made of other ops. */
import { check } from "../errors.ts";
import { sameShape, show } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add, mul, rsqrt, square } from "./elementwise.ts";
import { mean } from "./reduce.ts";

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
