/** A device that runs nothing: it shows the plans that a computation would load. */
import type { Device, Executable } from "../device.ts";
import type { JoinRules } from "../joins.ts";
import type { AnyPlan, Plan } from "../plan.ts";
import { withoutJoins } from "./plans.ts";

class Captured extends Error {
  constructor() {
    super("enough plans were captured");
  }
}

const nothing = (): never => {
  throw new Error("this device only looks at plans");
};

const onlookerOf = (load: Device["load"], joins: JoinRules | undefined): Device => ({
  kind: "cpu",
  joins,
  description: "looks at plans",
  build: "none",
  stats: { buffersCreated: 0, bytes: 0, submits: 0, launches: 0, pipelines: 0 },
  load,
  readStates: nothing,
  write: () => undefined,
  fill: () => Promise.resolve(),
  profile: () => [],
  synchronize: () => Promise.resolve(),
  destroy: () => undefined,
});

/**
 * The first `count` plans that `run` loads, fewer where it ends without more of them. None but the last may have results that it
 * reads. What it throws before that is thrown.
 */
export async function firstPlans(
  run: (device: Device) => Promise<unknown>,
  count: number,
): Promise<Plan[]> {
  return (await plansOf(run, count)).map(withoutJoins);
}

/** The first plan that `run` loads on a device with these rules for joins; undefined where it ends without one. */
export const firstJoined = async (
  run: (device: Device) => Promise<unknown>,
  joins: JoinRules | undefined,
): Promise<AnyPlan | undefined> => (await plansOf(run, 1, joins))[0];

async function plansOf(
  run: (device: Device) => Promise<unknown>,
  count: number,
  joins?: JoinRules,
): Promise<AnyPlan[]> {
  const found: AnyPlan[] = [];
  const executable: Executable = {
    gone: false,
    run: async (_, begin) => begin({ read: nothing }),
  };
  const device = onlookerOf(async (plan) => {
    found.push(plan);
    if (found.length === count) throw new Captured();
    return executable;
  }, joins);
  try {
    await run(device);
  } catch (error) {
    if (!(error instanceof Captured)) throw error;
  }
  return found;
}

/** The first plan that `run` loads; undefined where it ends without one. */
export const firstPlan = async (
  run: (device: Device) => Promise<unknown>,
): Promise<Plan | undefined> => (await firstPlans(run, 1))[0];
