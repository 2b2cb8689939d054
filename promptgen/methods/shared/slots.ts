/** What prompts that are made of distributions over words say together. */
import { cast, div, maximum, mul } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import type { Tensor } from "../../../engine/tensor.ts";
import type { Prediction } from "../method.ts";

/** The mean over the live slots of each prompt, f32 [B, C]; zeros for a prompt without any. */
export function meanOfSlots({ distributions, live }: NonNullable<Prediction["slots"]>): Tensor {
  const [slots, rows] = live.shape;
  const alive = cast(live, "f32"); // [slots, B]
  const counts = maximum(sum(alive, 0), 1);
  const seen = mul(distributions, reshape(alive, [slots, rows, 1]));
  return div(sum(seen, 0), reshape(counts, [rows, 1]));
}
