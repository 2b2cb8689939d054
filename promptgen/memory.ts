/** What a run will take of a CPU's memory, from its plans; no weight is read for it. */
import { bytesOnCPU } from "../engine/devices/cpu/needs.ts";
import { firstPlan, firstPlans } from "../engine/devices/onlooker.ts";
import type { Plan } from "../engine/plan.ts";
import { itemsOf } from "./benchmark.ts";
import { Examiner } from "./measure.ts";
import { askedAtOnce, type Prepared } from "./run.ts";
import { TestAsker } from "./test-facts.ts";

/** Bytes of training, of asking the dev facts and of asking the test facts together, in the widest batches. */
export async function memoryOf(run: Prepared): Promise<number> {
  const { step, asking } = await runPlans(run);
  return bytesOnCPU([...step, ...asking]);
}

/** The plans of a training step and those that ask dev and test facts, in the widest batches. */
export async function runPlans(
  run: Prepared,
): Promise<{ readonly step: readonly Plan[]; readonly asking: readonly Plan[] }> {
  const { method, prompter, benchmark, options } = run;
  const buckets = run.buckets.slice(-1);
  const relations = method.scope === "all" ? benchmark.relations : benchmark.relations.slice(0, 1);
  // a step in several batches has a plan for each of them, and one that takes the step
  const stepPlans = Number(options.own.accumulate ?? 1) > 1 ? 2 : 1;
  const step = await firstPlans(
    (device) =>
      method.train(prompter, {
        device,
        relations,
        options: options.own,
        seed: options.seed,
        buckets,
        evaluate: async () => ({ score: 0, figures: {} }),
      }),
    stepPlans,
  );
  return { step, asking: await askingPlans({ ...run, benchmark: { ...benchmark, relations } }) };
}

/** Bytes of asking the test facts with each of several runs' prompters, whose weights all stay. */
export async function memoryOfAsking(runs: readonly Prepared[]): Promise<number> {
  const plans: Plan[] = [];
  for (const run of runs) plans.push(...(await askingPlans(run)));
  return bytesOnCPU(plans);
}

/** The plans that ask the widest batches of dev and of test facts. */
async function askingPlans(run: Prepared): Promise<Plan[]> {
  const { prompter, benchmark, options } = run;
  const buckets = run.buckets.slice(-1);
  const batchSize = askedAtOnce(run, "dev");
  const dev = itemsOf(benchmark.relations, "dev");
  const plans = [
    await firstPlan((device) =>
      new Examiner(device, benchmark, prompter, { buckets, batchSize }).measure(dev),
    ),
    await firstPlan((device) =>
      TestAsker.ofRun(device, { ...run, buckets }, prompter).ask(options.seed),
    ),
  ];
  return plans.filter((plan) => plan !== undefined);
}
