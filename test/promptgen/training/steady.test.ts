import assert from "node:assert/strict";
import { compile, read } from "../../../engine/compile.ts";
import { grad } from "../../../engine/grad.ts";
import { AdamW } from "../../../engine/optim.ts";
import type { Tensor, TypedArray } from "../../../engine/tensor.ts";
import { type Evaluation, train } from "../../../models/training/loop.ts";
import { dropoutState, Random } from "../../../models/training/random.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import type { TrainingBatch } from "../../../promptgen/methods/promptgen/index.ts";
import { examinerOf } from "../../../promptgen/run.ts";
import { onDevices, openDevices } from "../../devices.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "../tiny.ts";

const test = await onDevices("steady");

const [first] = await openDevices();
const home = await tinyPair(first);
const options = { ...tinyOptions(home), relations: "P1303,P27,P36" };
const settings = {
  epochs: 56,
  batchSize: options["batch-size"],
  lr: options.lr,
  warmup: options.warmup,
  weightDecay: options["weight-decay"],
  clip: 1,
  seed: options.seed,
};

test("500 steps of three plans with two evaluations create no buffer once every plan has run twice", async (device) => {
  const run = await preparePromptGen(options);
  assert.equal(run.buckets.length, 3);
  const examiner = examinerOf(device, run);
  const dev = itemsOf(run.benchmark.relations, "dev");
  const seen: { buffers: number; bytes: number; submits: number }[] = [];
  let [evaluations, evaluating] = [0, 0];
  let evaluation: Evaluation = { score: 0, figures: {} };
  const outcome = await train({
    device,
    settings: { ...settings, evaluationsPerEpoch: 1 },
    problem: run.problem,
    async evaluate() {
      const at = seen.length;
      if (at !== 0 && (at < 250 || evaluations === 2)) return evaluation;
      const { submits } = device.stats;
      const measured = await examiner.measure(dev);
      evaluating = device.stats.submits - submits; // those of the second one, in the end
      assert.ok(measured);
      evaluations++;
      evaluation = { score: measured.accuracy[0], figures: {} };
      return evaluation;
    },
    onStep() {
      const { buffersCreated: buffers, bytes, submits } = device.stats;
      seen.push({ buffers, bytes, submits });
    },
  });
  assert.ok(outcome.step >= 500, `${outcome.step} steps`);
  assert.equal(evaluations, 2);
  const settled = seen[20]; // the first two epochs hold every training plan twice
  const end = seen[seen.length - 1];
  assert.equal(end.buffers, settled.buffers, "buffers were created");
  assert.equal(end.bytes, settled.bytes, "bytes are not flat");
  // at an epoch's end every step that was given has been told: each epoch has the same steps, so the same submits, but for the
  // evaluation's in the one behind it
  const length = seen.length / settings.epochs;
  const ends = seen.filter((_, i) => (i + 1) % length === 0).map(({ submits }) => submits);
  const epochs = ends.slice(1).map((submits, i) => submits - ends[i]);
  const least = Math.min(...epochs);
  const hardware = device.description.includes("a hardware GPU"); // gets a step in pieces, others whole
  if (!hardware) assert.equal(least, length);
  const more = epochs.filter((submits) => submits !== least);
  assert.deepEqual(more, [least + evaluating]);
});

test("another learning rate re-traces nothing and changes the result", async (device) => {
  const { problem } = await preparePromptGen(options);
  const weights: TypedArray[] = [];
  const start = await read(device, [...problem.parameters]);
  let traces = 0;
  const optimizer = new AdamW(problem.parameters, { decays: problem.decays, maxNorm: 1 });
  const step = compile(device, (batch: TrainingBatch, rng: Tensor, scalars: Tensor) => {
    traces++;
    const { loss, terms } = problem.loss(batch, rng);
    const control = optimizer.update(grad(loss, [...problem.parameters]), scalars, [terms]);
    return { control };
  });
  const items = problem.items(0).slice(0, 8);
  const batch = problem.collate(items, problem.buckets[2], 8, new Random(1, 0));
  for (const lr of [1e-3, 2e-3]) {
    problem.parameters.forEach((p, i) => {
      device.write(p, start[i]);
    });
    const { control } = await step(batch, dropoutState(1, 1), optimizer.scalars(1, lr));
    assert.equal((await control.read())[1], 1);
    weights.push((await read(device, [problem.parameters[0]]))[0]);
  }
  assert.equal(traces, 1);
  assert.notDeepEqual(weights[0], weights[1]);
});

test.run();
