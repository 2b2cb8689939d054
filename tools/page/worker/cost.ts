/** What a training takes, from its plans alone, and how fast this device is. */
import { compile } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { bytesOnCPU } from "../../../engine/devices/cpu/needs.ts";
import { workOf } from "../../../engine/devices/cpu/schedule.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import type { Plan } from "../../../engine/plan.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { groups } from "../../../models/training/buckets.ts";
import { type Item, itemsOf, NONE } from "../../../promptgen/benchmark.ts";
import { runPlans } from "../../../promptgen/memory.ts";
import { askedAtOnce, type Prepared } from "../../../promptgen/run.ts";

/** Seconds that a launch takes beside what it computes. */
const LAUNCH = 25e-6;
/** What real products, mostly of fewer rows, reach of the measured speed. */
const REACHED = 0.5;
/** Evaluations an epoch. */
const EVALUATIONS = 3;

/** What a run will compute. */
export type Work = {
  /** Bytes of the device. */
  readonly memory: number;
  readonly steps: number;
  readonly flops: number;
  readonly launches: number;
};

const flopsOf = (plans: readonly Plan[]): number =>
  plans.reduce(
    (sum, { launches }) => sum + launches.reduce((own, one) => own + workOf(one).flops, 0),
    0,
  );
const launchesOf = (plans: readonly Plan[]): number =>
  plans.reduce((sum, { launches }) => sum + launches.length, 0);

/** The work of a run in its widest batches, so that it is an upper bound. */
export async function workOfRun(run: Prepared): Promise<Work> {
  const { step, asking } = await runPlans(run);
  const [dev] = asking;
  const { relations } = run.benchmark;
  const size = Number(run.options.own["batch-size"]);
  const epochs = Number(run.options.own.epochs);
  const facts = itemsOf(relations, "train");
  const width = (item: Item) =>
    run.prompter.width({ ...item, subjects: [item.fact.subject, NONE] });
  const steps = groups(facts, width, run.buckets, size).length * epochs;
  const asked = Math.ceil(itemsOf(relations, "dev").length / askedAtOnce(run, "dev"));
  const batches = asked * (EVALUATIONS * epochs + 1);
  return {
    memory: await bytesOnCPU([...step, ...asking]),
    steps,
    flops: steps * flopsOf(step) + batches * flopsOf([dev]),
    launches: steps * launchesOf(step) + batches * launchesOf([dev]),
  };
}

/** Seconds that work takes at a speed. */
export const secondsOf = ({ flops, launches }: Work, flopsASecond: number): number =>
  flops / (REACHED * flopsASecond) + launches * LAUNCH;

const N = 384;
const TIMES = 4;

/** Floating-point operations a second of this device, by products of the size that a small model has. */
export async function speedOf(device: Device): Promise<number> {
  const values = new Float32Array(N * N).fill(0.01);
  const x = tensor(values, [N, N]);
  const run = compile(device, ({ a }: { readonly a: Tensor }) => {
    let b = a;
    for (let i = 0; i < TIMES; i++) b = matmul(b, a);
    return { b };
  });
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4; i++) {
    const begun = performance.now();
    const { b } = await run({ a: x });
    await b.read();
    if (i > 0) best = Math.min(best, performance.now() - begun); // the first makes the plan
  }
  return (TIMES * 2 * N ** 3) / (best / 1000);
}
