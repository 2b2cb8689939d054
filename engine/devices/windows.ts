import { fail } from "../errors.ts";
import type { PlanLaunch } from "../plan.ts";

/** Splits a launch whose operands are larger than one binding. */
export function windows(launch: PlanLaunch, maxBinding: number): PlanLaunch[] {
  const all = [...launch.inputs, ...launch.inouts, ...launch.outputs];
  const largest = Math.max(0, ...all.map((r) => r?.byteLength ?? 0));
  if (largest <= maxBinding) return [launch];
  return fail(launch.op, `an operand of ${largest} bytes is larger than a binding (${maxBinding})`);
}
