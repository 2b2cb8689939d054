/** The copy that the planner itself needs. */
import type { Launch } from "../op.ts";
import type { Tensor } from "../tensor.ts";

/** Copies one memory to another of the same size, word for word; the planner's own. */
export const copyLaunch = (from: Tensor, to: Tensor): Launch => ({
  kernel: "copy_flat",
  params: { n: from.bytes / 4 },
  inputs: [from],
  outputs: [to],
});
