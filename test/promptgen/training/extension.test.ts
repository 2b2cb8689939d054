/**
 * Evaluations every N steps, an end by patience, more epochs for a run that has ended. The model is a sum of products whose gradient never
 * changes, so that Adam goes each step its rate, whatever the gradient's size: rates are read off the weights.
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { mul } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { state, type Tensor, tensor } from "../../../engine/tensor.ts";
import {
  type LoopSettings,
  type Outcome,
  type Problem,
  type StepReport,
  train,
} from "../../../models/training/loop.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { onDevices } from "../../devices.ts";

const test = await onDevices("extension");

const home = mkdtempSync(join(tmpdir(), "promptgen-extension-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const EPOCH = 10; // steps
const PEAK = 0.5;
const START = [1, -2, 3];

const settings: LoopSettings = {
  epochs: 1,
  batchSize: 1,
  lr: PEAK,
  warmup: 0.4,
  weightDecay: 0,
  clip: 1e9,
  seed: 1,
  evaluationsPerEpoch: 2,
};

const problem = (w: Tensor): Problem<number, { readonly x: Tensor }> => ({
  parameters: [w],
  decays: () => true,
  items: () => Array.from({ length: EPOCH }, (_, i) => i),
  width: () => 1,
  buckets: [1],
  collate: () => ({ x: tensor([0.25]) }),
  terms: ["loss"],
  loss: ({ x }) => {
    const loss = sum(mul(w, x));
    return { loss, terms: reshape(loss, [1]) };
  },
});

type More = {
  readonly settings?: Partial<LoopSettings>;
  readonly resume?: boolean;
  readonly identity?: string;
  readonly earlier?: readonly string[];
  /** Ends after this step, as a signal does. */
  readonly stop?: number;
  /** Ends in this evaluation, as a signal does. */
  readonly stopEvaluation?: number;
  /** The score after a step; none when left out. */
  readonly score?: (step: number) => number;
};

type Trained = {
  readonly outcome: Outcome;
  readonly steps: readonly StepReport[];
  readonly w: Float32Array;
};

async function run(device: Device, folder: RunFolder, more: More = {}): Promise<Trained> {
  const w = state("w", Float32Array.from(START), [3]);
  const stop = new AbortController();
  const steps: StepReport[] = [];
  const { score, stopEvaluation } = more;
  let at = 0;
  if (more.resume) at = (await folder.stand())?.step ?? 0;
  const outcome = await train({
    device,
    problem: problem(w),
    settings: { ...settings, ...more.settings },
    folder,
    resume: more.resume,
    identity: more.identity ?? "one",
    earlier: more.earlier,
    saveEvery: 3,
    signal: stop.signal,
    ...(score && {
      evaluate: async () => {
        if (at === stopEvaluation) {
          stop.abort();
          return undefined;
        }
        return { score: score(at), figures: {} };
      },
    }),
    onStep(report) {
      steps.push(report);
      at = report.step;
      if (report.step === more.stop) stop.abort();
    },
  });
  const [values] = await read(device, [w]);
  return { outcome, steps, w: Float32Array.from(values) };
}

let made = 0;
const fresh = (): RunFolder => new RunFolder(join(home, `run-${made++}`));
const copyOf = (folder: RunFolder): RunFolder => {
  const copy = fresh();
  cpSync(folder.path, copy.path, { recursive: true });
  return copy;
};

/** A rate that is another one is far from it; Adam's own rounding is not. */
const near = (got: number, want: number, what: string): void =>
  assert.ok(Math.abs(got - want) < 3e-4, `${what}: ${got} where ${want} is wanted`);

/** The rates by hand: `rise` up to the peak, then down to the last one above 0. */
const ramp = (rise: number, fall: number): number[] => [
  ...Array.from({ length: rise }, (_, i) => (PEAK * (i + 1)) / rise),
  ...Array.from({ length: fall }, (_, i) => (PEAK * (fall - i)) / fall),
];

const evaluatedAt = async (folder: RunFolder): Promise<number[]> =>
  (await folder.readLog()).map(({ step }) => step);

test("more epochs: the rate falls anew from its peak, no warm-up, whatever came before", async (device) => {
  const folder = fresh();
  await run(device, folder);
  const two = { resume: true, identity: "two", earlier: ["one"], settings: { epochs: 3 } };
  const { outcome, steps, w } = await run(device, folder, two);
  assert.deepEqual([outcome.step, outcome.steps, outcome.finished], [30, 30, true]);
  const more = ramp(0, 20);
  assert.deepEqual(
    steps.map(({ step }) => step),
    more.map((_, i) => 11 + i),
  );
  steps.forEach(({ learningRate = 0 }, i) => {
    near(learningRate, more[i], `rate ${i}`);
  });
  const way = (rates: readonly number[]) => rates.reduce((a, b) => a + b, 0);
  const far = way(ramp(4, 6)) + way(more);
  START.forEach((x, i) => {
    near(w[i], x - far, `w[${i}]`);
  });
  assert.deepEqual(await evaluatedAt(folder), [0, 5, 10, 15, 20, 25, 30]);

  // and once more, from there
  const three = {
    resume: true,
    identity: "three",
    earlier: ["one", "two"],
    settings: { epochs: 4 },
  };
  const last = await run(device, folder, three);
  const end = far + way(ramp(0, 10));
  START.forEach((x, i) => {
    near(last.w[i], x - end, `again, w[${i}]`);
  });
  assert.equal(last.outcome.step, 40);
});

test("an extension that is stopped anywhere ends in the same bits", async (device) => {
  const one = fresh();
  await run(device, one);
  const two = { resume: true, identity: "two", earlier: ["one"], settings: { epochs: 3 } };
  const whole = copyOf(one);
  await run(device, whole, two);
  for (const stops of [[11, 12], [17, 29], [30]]) {
    const folder = copyOf(one);
    for (const stop of stops) await run(device, folder, { ...two, stop });
    const { outcome } = await run(device, folder, two);
    assert.ok(outcome.finished);
    assert.ok(readFileSync(folder.last).equals(readFileSync(whole.last)), `${stops}`);
    assert.equal(readFileSync(folder.log, "utf8"), readFileSync(whole.log, "utf8"));
  }
});

test("a checkpoint of other options is refused as before", async (device) => {
  const folder = fresh();
  await run(device, folder);
  const two = { resume: true, identity: "two", settings: { epochs: 2 } };
  await assert.rejects(run(device, folder, two), /written with other options/);
  await assert.rejects(
    run(device, folder, { ...two, earlier: ["another"] }),
    /written with other options/,
  );
});

test("evaluations every N steps, and behind the last one", async (device) => {
  for (const [evalEvery, epochs, maxSteps, at] of [
    [4, 1, 0, [0, 4, 8, 10]],
    [5, 2, 0, [0, 5, 10, 15, 20]],
    [7, 3, 16, [0, 7, 14, 16]],
    [100, 1, 0, [0, 10]],
    [1, 1, 3, [0, 1, 2, 3]],
  ] as const) {
    const folder = fresh();
    const { steps } = await run(device, folder, { settings: { evalEvery, epochs, maxSteps } });
    assert.deepEqual(await evaluatedAt(folder), [...at], `every ${evalEvery}`);
    assert.equal(steps.length, at[at.length - 1]);
  }
});

test("patience counts evaluations behind the best, and ends no training that gets better", async (device) => {
  const scores = (list: readonly number[]) => (step: number) => list[step] ?? 0;
  for (const [list, patience, last, best] of [
    [[5, 4, 4, 4, 4, 4], 2, 2, 0],
    [[5, 4, 6, 5, 5, 5, 9], 3, 5, 2],
    [[5, 5, 5, 5], 3, 3, 0], // one that is equal is no better
    [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1, 10, 10],
    [[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0], 2, 10, 8], // it would end at its last step
    [[9], 0, 10, 0],
  ] as const) {
    const folder = fresh();
    const { outcome } = await run(device, folder, {
      settings: { evalEvery: 1, patience },
      score: scores(list),
    });
    const what = `${list} with ${patience}`;
    assert.deepEqual([outcome.finished, outcome.step, outcome.steps], [true, last, 10], what);
    assert.equal(outcome.best?.step, best, what);
    assert.equal(outcome.early, last < 10 ? 1 : undefined, what);
    const rows = await folder.readLog();
    assert.deepEqual(
      rows.map(({ stopped }) => stopped),
      rows.map((_, i) => (last < 10 && i === rows.length - 1 ? "patience" : undefined)),
      what,
    );
  }
});

test("with patience too it ends in the same bits wherever it was stopped, and not later", async (device) => {
  const more = {
    settings: { evalEvery: 2, patience: 2 },
    score: (step: number) => [3, 0, 5, 0, 1, 0, 5][step] ?? 0,
  };
  const whole = fresh();
  const { outcome } = await run(device, whole, more);
  assert.deepEqual([outcome.step, outcome.early], [6, 1]);
  for (const stop of [{ stop: 1 }, { stop: 4 }, { stop: 6 }, { stopEvaluation: 6 }]) {
    const folder = fresh();
    const first = await run(device, folder, { ...more, ...stop });
    assert.equal(first.outcome.finished, false);
    // twice: one that has ended stays so
    for (let i = 0; i < 2; i++) {
      const again = await run(device, folder, { ...more, resume: true });
      assert.deepEqual(again.outcome, outcome);
    }
    assert.ok(readFileSync(folder.last).equals(readFileSync(whole.last)), JSON.stringify(stop));
    assert.equal(readFileSync(folder.log, "utf8"), readFileSync(whole.log, "utf8"));
  }
});

test("what patience has ended can be extended: from where it ended, with patience counted anew", async (device) => {
  const more = { settings: { evalEvery: 2, patience: 2, epochs: 1 }, score: () => 1 };
  const folder = fresh();
  const { outcome } = await run(device, folder, more);
  assert.equal(outcome.step, 4);
  const longer = {
    ...more,
    settings: { ...more.settings, epochs: 2 },
    resume: true,
    identity: "two",
    earlier: ["one"],
  };
  const { steps, outcome: end } = await run(device, folder, longer);
  assert.deepEqual(
    steps.map(({ step }) => step),
    [5, 6, 7, 8],
  );
  steps.forEach(({ learningRate = 0 }, i) => {
    near(learningRate, (PEAK * (16 - i)) / 16, `rate ${i}`);
  });
  assert.deepEqual([end.step, end.steps, end.early], [8, 20, 1]);
});

test.run();
