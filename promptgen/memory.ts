/** What a run will take of a CPU's memory, from its plans; no weight is read for it. */
import { bytesOnCPU } from "../engine/devices/cpu/needs.ts";
import { firstPlan, firstPlans } from "../engine/devices/onlooker.ts";
import { itemsOf } from "./benchmark.ts";
import { Examiner } from "./measure.ts";
import { askedAtOnce, type Prepared } from "./run.ts";
import { TestAsker } from "./test-facts.ts";

/** Bytes of training, of asking the dev facts and of asking the test facts together, in the widest batches. */
export async function memoryOf(run: Prepared): Promise<number> {
  const { method, prompter, benchmark, options } = run;
  const buckets = run.buckets.slice(-1);
  const relations = method.scope === "all" ? benchmark.relations : benchmark.relations.slice(0, 1);
  const batchSize = askedAtOnce(run, "dev");
  const dev = itemsOf(relations, "dev");
  // a step in several batches has a plan for each of them, and one that takes the step
  const stepPlans = Number(options.own.accumulate ?? 1) > 1 ? 2 : 1;
  const plans = [
    ...(await firstPlans(
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
    )),
    await firstPlan((device) =>
      new Examiner(device, benchmark, prompter, { buckets, batchSize }).measure(dev),
    ),
    await firstPlan((device) =>
      TestAsker.ofRun(device, { ...run, buckets }, prompter).ask(options.seed),
    ),
  ];
  return bytesOnCPU(plans.filter((plan) => plan !== undefined));
}
