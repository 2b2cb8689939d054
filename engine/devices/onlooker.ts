/** A device that runs nothing: it shows the plans that a computation would load. */
import type { Device } from "../device.ts";
import type { Plan } from "../plan.ts";

class Captured extends Error {
  readonly plan: Plan;
  constructor(plan: Plan) {
    super("a plan was captured");
    this.plan = plan;
  }
}

const nothing = (): never => {
  throw new Error("this device only looks at plans");
};

const onlooker: Device = {
  kind: "cpu",
  description: "looks at plans",
  stats: { buffersCreated: 0, bytes: 0, submits: 0, launches: 0, pipelines: 0 },
  load: (plan) => Promise.reject(new Captured(plan)),
  readStates: nothing,
  write: () => undefined,
  fill: () => Promise.resolve(),
  profile: () => [],
  synchronize: () => Promise.resolve(),
  destroy: () => undefined,
};

/** The first plan that `run` loads; undefined where it ends without one. What it throws before that is thrown. */
export async function firstPlan(
  run: (device: Device) => Promise<unknown>,
): Promise<Plan | undefined> {
  try {
    await run(onlooker);
  } catch (error) {
    if (error instanceof Captured) return error.plan;
    throw error;
  }
  return undefined;
}
