/** What the training loop decides: rates, which parameters decay, which checkpoint is the best. The model is a sum of products. */
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { addN, mul } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { state, stateName, type Tensor, tensor } from "../../../engine/tensor.ts";
import {
  type LoopSettings,
  type Outcome,
  type Problem,
  train,
} from "../../../models/training/loop.ts";
import { onDevices } from "../../devices.ts";
import { adamw64, type Moments64, start64 } from "../../engine/adamw64.ts";
import { closeForward } from "../../models/parity.ts";

const test = await onDevices("loop");

type Batch = { readonly x: Tensor };

/** `steps` batches of one item in an epoch; the loss is the sum of slope times parameter, whatever the item. */
function slopes(
  parameters: readonly Tensor[],
  steps: number,
  slope: number,
): Problem<number, Batch> {
  return {
    parameters,
    decays: (name) => !/bias$|layer_?norm/i.test(name),
    items: () => Array.from({ length: steps }, (_, i) => i),
    width: () => 1,
    buckets: [1],
    collate: () => ({ x: tensor([slope]) }),
    terms: ["loss"],
    loss: ({ x }) => {
      const sums = parameters.map((p) => sum(mul(p, x)));
      const loss = sums.length > 1 ? addN(sums) : sums[0];
      return { loss, terms: reshape(loss, [1]) };
    },
  };
}

const plain: LoopSettings = {
  epochs: 1,
  batchSize: 1,
  lr: 0.5,
  warmup: 0,
  weightDecay: 0,
  clip: 1e9,
  seed: 1,
  evaluationsPerEpoch: 1,
};

test("the first step has the first rate, each other its own", async (device) => {
  const start = Float32Array.of(1, -2, 3);
  const w = state("w", start, [3]);
  const [steps, rise] = [10, 4];
  const seen: number[][] = [];
  const stop = new AbortController();
  const run = (aborted: number) =>
    train({
      device,
      problem: slopes([w], steps, 0.25),
      settings: { ...plain, lr: 0.5, warmup: rise / steps },
      signal: stop.signal,
      onStep: ({ step }) => {
        if (step === aborted) stop.abort();
      },
    });
  // stopped behind the first step: Adam goes the rate along the gradient's sign, whatever its size
  await run(1);
  const [first] = await read(device, [w]);
  closeForward([{ name: "first step", got: first, want: start.map((x) => x - 0.5 / rise) }], 1e-6);

  const again = state("w", start, [3]);
  await train({
    device,
    problem: slopes([again], steps, 0.25),
    settings: { ...plain, lr: 0.5, warmup: rise / steps },
    onStep: ({ step }) => seen.push([step]),
  });
  assert.equal(seen.flat(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  // a gradient that never changes: each step goes its rate, 4 quarters up and 6 sixths down of the peak
  const ways = [1, 2, 3, 4].map((k) => k / 4).concat([6, 5, 4, 3, 2, 1].map((k) => k / 6));
  const way = 0.5 * ways.reduce((a, b) => a + b, 0);
  const [last] = await read(device, [again]);
  closeForward([{ name: "last step", got: last, want: start.map((x) => x - way) }], 1e-5);
});

test("decay and clipping reach the optimiser", async (device) => {
  const start = Float32Array.of(1, -2, 3);
  const w = state("dense.weight", start, [3]);
  await train({
    device,
    problem: slopes([w], 5, 4e-8), // so small that eps and the clip are felt
    settings: { ...plain, weightDecay: 0.25, clip: 1e-8 },
  });
  let want: Moments64 = start64(start);
  const [g, norm] = [4e-8, 4e-8 * Math.sqrt(3)];
  const clipped = g * Math.min(1, 1e-8 / (norm + 1e-6));
  for (let s = 1; s <= 5; s++) {
    const lr = (0.5 * (6 - s)) / 5;
    want = adamw64(want, [clipped, clipped, clipped], s, { lr, weightDecay: 0.25 });
  }
  const [got] = await read(device, [w]);
  closeForward([{ name: "w", got, want: want.p }], 1e-5);
});

test("without a gradient exactly the parameters shrink that the problem names: no bias and no LayerNorm", async (device) => {
  const shrinks = ["shared.weight", "fc1.weight", "embed_positions.weight", "biased.weight"];
  const stays = [
    "fc1.bias",
    "final_logits_bias",
    "LayerNorm.weight",
    "self_attn_layer_norm.weight",
    "layernorm_embedding.bias",
  ];
  const parameters = [...shrinks, ...stays].map((n) => state(n, Float32Array.of(2, -4), [2]));
  await train({
    device,
    problem: slopes(parameters, 2, 0),
    settings: { ...plain, weightDecay: 0.5 },
  });
  const factor = (1 - 0.5 * 0.5) * (1 - 0.25 * 0.5); // rates 1/2 and 1/4
  const values = await read(device, parameters);
  const smaller = parameters.filter((_, i) => values[i][0] !== 2).map(stateName);
  assert.equal(smaller, shrinks);
  for (const [i, got] of values.entries()) {
    const by = i < shrinks.length ? factor : 1;
    closeForward([{ name: stateName(parameters[i]), got, want: [2 * by, -4 * by] }], 0, 1e-6);
  }
});

/** Scores of the evaluations before the first step and behind each, and the steps at which the best was saved. */
async function chosen(device: Device, scores: readonly number[]): Promise<[Outcome, number[]]> {
  const w = state("w", Float32Array.of(1), [1]);
  const steps = scores.length - 1;
  const saved: number[] = [];
  let [evaluations, step] = [0, 0];
  const outcome = await train({
    device,
    problem: slopes([w], steps, 1),
    settings: { ...plain, evaluationsPerEpoch: steps },
    evaluate: async () => ({ score: scores[evaluations++], figures: {} }),
    saveBest: async () => {
      saved.push(step);
    },
    onStep: (report) => {
      step = report.step;
    },
  });
  assert.is(evaluations, scores.length);
  return [outcome, saved];
}

test("of equal scores the earliest is the best", async (device) => {
  const rows: [scores: number[], saves: number[]][] = [
    [[1, 1, 1], [0]],
    [
      [0, 2, 2, 1, 2],
      [0, 1],
    ],
    [
      [1, 0, 1, 3, 2, 3, 3],
      [0, 3],
    ],
    [
      [-5, -6, -5, -4],
      [0, 3],
    ],
    [
      [0, 0, 0.1, 0.1],
      [0, 2],
    ],
  ];
  for (const [scores, saves] of rows) {
    const [{ best }, saved] = await chosen(device, scores);
    assert.equal(saved, saves, `${scores}`);
    assert.equal(best, { step: saves[saves.length - 1], score: Math.max(...scores) });
  }
});

test.run();
