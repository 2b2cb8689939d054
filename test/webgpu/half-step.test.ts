/**
 * Training at precision f16: the PromptGen step beside PyTorch's in f32, and the loss scale: what it does to a step that
 * overflows, and that a run that was stopped goes on with it.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { openDevice } from "../../engine/open.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { Learner } from "../../models/training/learner.ts";
import { type LoopSettings, type Problem, train } from "../../models/training/loop.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { anyWebGPU } from "../devices.ts";
import { gradientPairs } from "../models/parity.ts";
import { batchOf, facts, golden, loadPair, settings, stepOf } from "../promptgen/golden-step.ts";

const { name } = await anyWebGPU();
const test = suite(`training at precision f16 on ${name}`);
const device = await openDevice({ device: name, precision: "f16" });
const home = mkdtempSync(join(tmpdir(), "promptgen-half-"));

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);

test("the PromptGen step: the loss and every gradient are those of f32 within a hundredth, and not the same", async () => {
  const pair = loadPair();
  const { loss } = stepOf(pair, batchOf(facts), settings.alpha);
  const scale = 1024;
  const [got] = await read(device, [loss]);
  const [want] = golden.floats("loss");
  assert.ok(Math.abs(got[0] / want - 1) < 1e-2, `${got[0]} beside ${want}`);
  const pairs = await gradientPairs(device, mul(loss, scale), pair.bart.weights, golden);
  const floor = 1e-6 * Math.max(...pairs.map((one) => largest(one.want)));
  let worst = 0;
  for (const { name: parameter, got: own, want: wanted } of pairs) {
    const difference = largest(Array.from(own, (v, i) => v / scale - wanted[i]));
    const most = largest(wanted);
    assert.ok(difference <= 1e-2 * most + floor, `${parameter}: ${difference} beside ${most}`);
    if (most > 1e3 * floor) worst = Math.max(worst, difference / most); // those of keys' biases are zero
  }
  assert.ok(worst > 1e-4, `products were rounded: ${worst}`);
});

type Batch = { readonly x: Tensor };
const N = 8;

/** A loss that is linear in w; its slope, times the loss scale, is what the product of w's gradient takes in f16. */
const linearLoss = (w: Tensor, slope: number, steps = 8): Problem<number, Batch> => ({
  parameters: [w],
  decays: () => false,
  items: () => Array.from({ length: steps }, (_, i) => i),
  width: () => 1,
  buckets: [1],
  collate: (items) => ({ x: tensor(new Float32Array(N).fill(1 + (items[0] ?? 0)), [1, N]) }),
  terms: ["loss"],
  loss: ({ x }) => {
    const loss = mul(sum(matmul(x, w)), slope);
    return { loss, terms: reshape(loss, [1]) };
  },
});

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
const start = Float32Array.from({ length: N * N }, (_, i) => Math.sin(i));
const begun = (): Tensor => state("w", start, [N, N]);

test("a step that overflows changes nothing and halves the scale; Adam counts the steps that were taken", async () => {
  const w = begun();
  const seen: (number | undefined)[][] = [];
  const read1 = async () => (await read(device, [w]))[0] as Float32Array;
  const stop = new AbortController();
  const constant = {
    ...linearLoss(w, 4),
    collate: () => ({ x: tensor(new Float32Array(N).fill(1), [1, N]) }),
  };
  const common = { device, problem: constant, settings: plain };
  await train({
    ...common,
    signal: stop.signal,
    onStep: ({ step }) => {
      if (step === 3) stop.abort();
    },
  });
  assert.equal([...(await read1())], [...start], "4 times 65536, 32768 and 16384 are beyond f16");
  await train({
    ...common,
    onStep: ({ lossScale, gradientNorm }) => seen.push([lossScale, gradientNorm]),
  });
  const scales = [65536, 32768, 16384, 8192, 8192, 8192, 8192, 8192];
  assert.equal(
    seen.map(([scale]) => scale),
    scales,
  );
  assert.equal(
    seen.map(([, norm]) => norm),
    [undefined, undefined, undefined, 32, 32, 32, 32, 32],
  );
  // under a gradient that never changes each step goes its rate: 5 of 8 eighths, falling
  const way = (0.5 * (5 + 4 + 3 + 2 + 1)) / 8;
  const off = largest((await read1()).map((v, i) => v - (start[i] - way)));
  assert.ok(off < 1e-5, `${off}`);
});

test("steps in batches overflow and are skipped alike", async () => {
  const w = begun();
  const learner = new Learner(device, linearLoss(w, 4), { ...plain, accumulate: 2 });
  learner.begin();
  const x = tensor(new Float32Array(N).fill(1), [1, N]);
  const parts = [0.5, 0.5].map((share) => ({
    batch: { x },
    rng: Uint32Array.of(1, 0, 1, 0),
    share,
  }));
  const taken: number[][] = [];
  for (let i = 0; i < 4; i++) {
    const { report } = await learner.take(parts, learner.optimizer.scalars(1, 0.5));
    taken.push(Array.from(await report.read()).slice(1, 4));
  }
  // half of a slope of 4 in each batch: the first scale that fits is 16384
  assert.equal(
    taken.map(([ok, , scale]) => [ok, scale]),
    [
      [0, 65536],
      [0, 32768],
      [1, 16384],
      [1, 16384],
    ],
  );
  assert.is(taken[3][1], 32);
});

test("two thousand steps double the scale", async () => {
  const w = begun();
  const optimizer = new AdamW([w], { lossScale: true });
  const { scale = assert.unreachable() as never } = optimizer;
  const step = compile(device, (scalars: Tensor) => optimizer.update([w], scalars, []));
  device.write(scale, Float32Array.of(4, 1998));
  const found: number[][] = [];
  for (let i = 1; i <= 3; i++) {
    await step(optimizer.scalars(i, 0));
    found.push([...(await read(device, [scale]))[0]]);
  }
  assert.equal(found, [
    [4, 1999],
    [8, 0],
    [8, 1],
  ]);
});

test("a run that is stopped among skipped steps goes on in the same bits; two runs are the same", async () => {
  const run = async (what: string, at?: number): Promise<RunFolder> => {
    const folder = new RunFolder(join(home, what));
    const w = begun();
    const problem = linearLoss(w, 4);
    const stop = new AbortController();
    const onStep = ({ step }: { step: number }): void => {
      if (step === at) stop.abort();
    };
    const common = { device, folder, settings: plain, saveEvery: 1 };
    const evaluate = async () => ({ score: 0, figures: {} });
    await train({ ...common, problem, signal: stop.signal, onStep, evaluate });
    if (at === undefined) return folder;
    // another process: other states, other plans
    const again = linearLoss(state("w", new Float32Array(N * N), [N, N]), 4);
    await train({ ...common, problem: again, resume: true, evaluate });
    return folder;
  };
  const bytes = (folder: RunFolder): Buffer => readFileSync(folder.last);
  const whole = await run("whole");
  const rows = await whole.readLog();
  const { lossScale, skipped } = rows[rows.length - 1];
  assert.ok(Number(skipped) >= 3 && Number(lossScale) < 65536, `${skipped}, ${lossScale}`);
  assert.ok(bytes(await run("again")).equals(bytes(whole)), "two runs");
  for (const at of [2, 5]) {
    assert.ok(bytes(await run(`stopped at ${at}`, at)).equals(bytes(whole)), `stopped at ${at}`);
  }
});

test.after(() => {
  device.destroy();
  rmSync(home, { recursive: true });
});

test.run();
