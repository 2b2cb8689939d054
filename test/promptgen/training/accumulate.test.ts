/** Steps of several batches, a limit of steps, and fewer dev facts: beside one batch, and stopped and gone on with. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { read } from "../../../engine/compile.ts";
import { bytesOnCPU } from "../../../engine/devices/cpu/needs.ts";
import { firstPlans } from "../../../engine/devices/onlooker.ts";
import { cast, div, mul, square, sub } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { concat, reshape, slice } from "../../../engine/ops/shape.ts";
import { state, type Tensor, tensor } from "../../../engine/tensor.ts";
import {
  type LoopSettings,
  type Problem,
  type StepReport,
  train,
} from "../../../models/training/loop.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { memoryOf, memoryOfAsking } from "../../../promptgen/memory.ts";
import { trainRun } from "../../../promptgen/run.ts";
import { beginRun } from "../../../promptgen/run-file.ts";
import { onDevices, openDevices } from "../../devices.ts";
import { closeForward } from "../../models/parity.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "../tiny.ts";

const test = await onDevices("accumulate");

const [maker] = await openDevices();
const home = await tinyPair(maker);

type Batch = { readonly x: Tensor; readonly y: Tensor; readonly weights: Tensor };
type Item = { readonly x: readonly number[]; readonly y: number };

/** Two widths: 19 items of three numbers and 10 of two. */
const ITEMS = Array.from({ length: 29 }, (_, i): Item => {
  const x = [Math.sin(i + 1), Math.cos(3 * i), Math.sin(5 * i + 2)].slice(0, i % 3 === 0 ? 2 : 3);
  return { x, y: Math.cos(2 * i + 1) };
});

/** Least squares; figures are what dropout would draw from, by the batch's place in its step. */
const squares = (w: Tensor): Problem<Item, Batch> => ({
  parameters: [w],
  decays: () => true,
  items: () => ITEMS,
  width: ({ x }) => x.length,
  buckets: [2, 3],
  collate: (items, width, rows) => {
    const filled = Array.from({ length: rows }, (_, i) => items[i] ?? items[0]);
    const x = filled.flatMap((item) => Array.from({ length: width }, (_, k) => item.x[k] ?? 0));
    return {
      x: tensor(Float32Array.from(x), [rows, width]),
      y: tensor(Float32Array.from(filled, ({ y }) => y)),
      weights: tensor(Float32Array.from(filled, (_, i) => (i < items.length ? 1 : 0))),
    };
  },
  terms: ["loss"],
  watched: ["at", "part"],
  loss: ({ x, y, weights }, rng) => {
    const [, width] = x.shape;
    const guess = reshape(matmul(x, reshape(slice(w, 0, 0, width), [width, 1])), [-1]);
    const loss = div(sum(mul(square(sub(guess, y)), weights)), sum(weights));
    return { loss, terms: reshape(loss, [1]), watched: cast(slice(rng, 0, 2, 4), "f32") };
  },
});

const settings: LoopSettings = {
  epochs: 3,
  batchSize: 8,
  lr: 0.05,
  warmup: 0.2,
  weightDecay: 0.1,
  clip: 0.5,
  seed: 3,
  evaluationsPerEpoch: 2,
};

const start = () => state("w", Float32Array.of(0.3, -0.2, 0.5), [3]);

test("as many items in one batch or in several: the same steps, losses, norms and weights", async (device) => {
  const taken = async (more: Partial<LoopSettings>) => {
    const w = start();
    const steps: StepReport[] = [];
    const rows: unknown[] = [];
    await train({
      device,
      problem: squares(w),
      settings: { ...settings, ...more },
      onStep: (step) => steps.push(step),
      onEvaluation: (row) => rows.push(row.part),
    });
    const [weights] = await read(device, [w]);
    return { steps, weights, rows };
  };
  const one = await taken({});
  // 19 items make steps of 8, 8 and 3, and 10 of 8 and 2
  assert.equal(one.steps.length, 3 * 5);
  for (const [batchSize, accumulate] of [
    [4, 2],
    [2, 4],
    [1, 8],
    [3, 3],
  ]) {
    const { steps, weights, rows } = await taken({ batchSize, accumulate });
    if (batchSize * accumulate !== 8) {
      // 9, 9 and 1, and 9 and 1
      assert.deepEqual(
        steps
          .slice(0, 5)
          .map(({ items }) => items)
          .sort(),
        [1, 1, 9, 9, 9],
      );
      continue;
    }
    assert.deepEqual(
      steps.map(({ items }) => items),
      one.steps.map(({ items }) => items),
    );
    const figures = (of: (step: StepReport) => number, name: string) => ({
      name,
      got: steps.map(of),
      want: one.steps.map(of),
    });
    closeForward(
      [
        figures(({ terms }) => terms.loss, "loss"),
        figures(({ gradientNorm = 0 }) => gradientNorm, "norm"),
        { name: "weights", got: weights, want: one.weights },
      ],
      2e-6,
    );
    // 8 items in batches of b: the mean place is (8 / b - 1) / 2, and less in steps of 3 and 2
    const places = one.steps.slice(0, 2).map(({ items }) => {
      const each = Array.from({ length: items }, (_, i) => Math.floor(i / batchSize));
      return each.reduce((n, place) => n + place, 0) / items;
    });
    assert.ok(places.some((place) => place > 0));
    assert.ok(rows.slice(1).some((part) => Number(part) > 0));
  }
});

test("each batch of a step draws dropout of its own", async (device) => {
  const seen: number[][] = [];
  const w = start();
  const problem = squares(w);
  await train({
    device,
    problem: {
      ...problem,
      terms: ["loss", "at", "part"],
      watched: [],
      loss: (batch, rng) => {
        const { loss, terms, watched = terms } = problem.loss(batch, rng);
        return { loss, terms: concat([terms, watched], 0) };
      },
    },
    settings: { ...settings, epochs: 1, batchSize: 2, accumulate: 4 },
    onStep: ({ items, terms }) => seen.push([items, terms.at, terms.part]),
  });
  assert.equal(seen.length, 5);
  seen.forEach(([items, step, part], i) => {
    assert.ok(Math.abs(step - (i + 1)) < 1e-4, `step ${step}`);
    // the mean place of the items' batches
    const places = Array.from({ length: items }, (_, k) => Math.floor(k / 2));
    const mean = places.reduce((n, place) => n + place, 0) / items;
    assert.ok(Math.abs(part - mean) < 1e-6, `${items} items: ${part}, ${mean}`);
  });
});

test("one gradient more is kept, and none where a step is one batch", async () => {
  const bytes = async (accumulate: number) => {
    const w = state("w", new Float32Array(300_000), [300, 1000]);
    const problem = { ...squares(w), ...wide(w) };
    const plans = await firstPlans(
      (device) => train({ device, problem, settings: { ...settings, accumulate } }),
      accumulate > 1 ? 2 : 1,
    );
    assert.equal(plans.length, accumulate > 1 ? 2 : 1);
    return { bytes: await bytesOnCPU(plans), states: plans.flatMap((plan) => plan.states).length };
  };
  const wide = (w: Tensor) => ({
    loss: ({ y, weights }: Batch) => {
      const loss = mul(sum(square(w)), div(sum(mul(y, weights)), sum(weights)));
      return { loss, terms: reshape(loss, [1]) };
    },
    watched: [],
  });
  const [one, two, four] = await Promise.all([1, 2, 4].map(bytes));
  assert.equal(one.states, 3);
  assert.ok(two.bytes <= one.bytes + 4 * 300_000 + 4096, `${two.bytes - one.bytes}`);
  assert.equal(two.bytes, four.bytes);
});

test("what a run will take counts the gradient, and the moments that a plan of its own updates", async () => {
  const run = async (accumulate: number) => {
    const prepared = await preparePromptGen({ ...tinyOptions(home), accumulate });
    const { parameters } = prepared.prompter.generator.lm;
    return {
      bytes: await memoryOf(prepared),
      weights: parameters.reduce((n, t) => n + t.bytes, 0),
    };
  };
  const [one, two] = [await run(1), await run(2)];
  const more = two.bytes - one.bytes;
  assert.ok(more >= one.weights && more < 1.2 * one.weights + 65_536, `${more} of ${one.weights}`);
});

test("what asking will take counts the weights of each run's generator once, and no gradient", async () => {
  const runs = [1, 2].map(() => preparePromptGen(tinyOptions(home)));
  const [one, two] = await Promise.all(runs);
  const weightsOf = (parameters: Iterable<{ bytes: number }>) =>
    [...parameters].reduce((n, t) => n + t.bytes, 0);
  const generator = weightsOf(one.prompter.generator.lm.parameters);
  const { weights } = one.benchmark.reader.lm;
  const [alone, both] = [await memoryOfAsking([one]), await memoryOfAsking([one, two])];
  const training = await memoryOf(one);
  assert.ok(alone > generator + weightsOf(weights.parameters.values()), `${alone} for one`);
  assert.ok(training - alone > 2 * generator, `${training} for training, ${alone} for asking`);
  const readers = weightsOf(two.benchmark.reader.lm.weights.parameters.values());
  const more = both - alone;
  assert.ok(more >= generator + readers && more < 2 * (generator + readers), `${more}`);
});

test("a limit of steps: the schedule is laid over them, the last is evaluated", async (device) => {
  for (const [maxSteps, want] of [
    [7, 7],
    [1, 1],
    [15, 15],
    [1000, 15],
    [0, 15],
  ]) {
    const w = state("w", Float32Array.of(1, -2, 3), [3]);
    const evaluated: number[] = [];
    const steps: StepReport[] = [];
    const { step, finished } = await train({
      device,
      problem: {
        ...squares(w),
        // a gradient that never changes: each step goes its rate
        loss: ({ weights }) => {
          const loss = mul(sum(w), div(sum(weights), sum(weights)));
          return { loss, terms: reshape(loss, [1]), watched: tensor([0, 0]) };
        },
      },
      settings: { ...settings, maxSteps, weightDecay: 0, clip: 1e9, lr: 0.5, warmup: 0.4 },
      onStep: (report) => steps.push(report),
      onEvaluation: (row) => evaluated.push(row.step),
    });
    assert.deepEqual([step, steps.length, finished], [want, want, true]);
    assert.ok(steps.every((report) => report.steps === want));
    const rise = Math.round(0.4 * want);
    const rates = Array.from({ length: want }, (_, i) =>
      i < rise ? (i + 1) / rise : (want - i) / (want - rise),
    );
    const way = 0.5 * rates.reduce((a, b) => a + b, 0);
    const [got] = await read(device, [w]);
    closeForward([{ name: `${maxSteps}`, got, want: [1 - way, -2 - way, 3 - way] }], 2e-5);
    // an epoch has 5 steps and 2 evaluations
    assert.deepEqual(evaluated, [
      ...new Set([0, 3, 5, 8, 10, 13, 15].map((at) => Math.min(at, want))),
    ]);
  }
});

test("stopped after any step and gone on with, the bits are the same", async (device, name) => {
  const options = {
    ...tinyOptions(home),
    "batch-size": 8,
    accumulate: 3,
    "max-steps": 5,
    "dev-facts": 7,
    "reader-dtype": "f16",
    epochs: 4,
  };
  const run = await preparePromptGen(options);
  assert.equal(run.prompter.generator.lm.json.dropout, 0.1);
  const folderOf = (what: string) => new RunFolder(join(home, `${name} ${what}`));
  const [whole, parts] = [folderOf("whole"), folderOf("parts")];
  const { identity } = await beginRun(whole, run);
  const common = { device, identity, saveEvery: 1 };
  const { steps } = await trainRun(run, { ...common, folder: whole });
  assert.equal(steps, 5);
  const seconds = await whole.readSeconds();
  assert.ok(seconds && seconds.training > 0 && seconds.evaluating > 0);
  const again = await preparePromptGen(options);
  await beginRun(parts, again);
  let before = 0;
  for (const after of [1, 3, 4, 9]) {
    const stop = new AbortController();
    const outcome = await trainRun(again, {
      ...common,
      folder: parts,
      resume: after > 1,
      signal: stop.signal,
      onStep: ({ step }) => {
        if (step === after) stop.abort();
      },
    });
    assert.equal(outcome.finished, after === 9);
    // the clock goes on
    const { training = 0 } = (await parts.readSeconds()) ?? {};
    assert.ok(training > before, `${training}`);
    before = training;
  }
  assert.ok(readFileSync(parts.last).equals(readFileSync(whole.last)), "the checkpoints differ");
  const log = readFileSync(whole.log, "utf8");
  assert.equal(readFileSync(parts.log, "utf8"), log);
  const rows = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.ok(rows.every(({ devFacts }) => devFacts === 7));
  assert.equal(rows.at(-1).step, 5);
  const other = await preparePromptGen({ ...options, accumulate: 2 });
  const { identity: otherIdentity } = await beginRun(folderOf("other"), other);
  await assert.rejects(
    trainRun(other, { device, folder: whole, resume: true, identity: otherIdentity }),
    /was written with other options/,
  );
});

test.run();
