/** The clock of a training, and what is said of its pace. */
import { setTimeout } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { mul } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { state, type Tensor, tensor } from "../../../engine/tensor.ts";
import { type StepReport, train } from "../../../models/training/loop.ts";
import { Pace, secondsLeft } from "../../../models/training/pace.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { duration, Rate } from "../../../tools/lib/cli.ts";
import { openDevices } from "../../devices.ts";
import { temporary } from "../../tools/command.ts";

const test = suite("pace");

test("what is left follows from steps in which no plan was made, from the tenth on", () => {
  const pace = new Pace();
  pace.resume({ training: 100, evaluating: 7 });
  pace.step(50, true);
  for (let i = 0; i < 8; i++) {
    assert.is(pace.left(20, 3), undefined);
    pace.step(2, false);
  }
  assert.is(pace.left(20, 3), undefined);
  pace.step(4, false);
  assert.equal(pace.seconds, { training: 170, evaluating: 7 });
  const before = pace.left(20, 3);
  assert.equal(before, { steps: 20, step: 20 / 9, evaluations: 3, evaluation: undefined });
  assert.ok(before && Math.abs(secondsLeft(before) - 400 / 9) < 1e-9);
  pace.evaluation(5);
  const left = pace.left(18, 2);
  assert.equal(left, { steps: 18, step: 20 / 9, evaluations: 2, evaluation: 5 });
  assert.ok(left && Math.abs(secondsLeft(left) - 50) < 1e-9);
  assert.equal(pace.seconds, { training: 170, evaluating: 12 });
});

test("a step's seconds hold no evaluation and no save; the first of each width is told", async () => {
  const [device] = await openDevices();
  const w = state("w", Float32Array.of(1, 2), [2]);
  const steps: StepReport[] = [];
  const begun = performance.now();
  const folder = new RunFolder(temporary());
  await train({
    device,
    folder,
    saveEvery: 1,
    problem: {
      parameters: [w],
      decays: () => true,
      items: () => Array.from({ length: 24 }, (_, i) => i),
      width: (i) => (i % 2) + 1,
      buckets: [1, 2],
      collate: (_, width) => ({ x: tensor(new Float32Array(2 * width).fill(1), [width, 2]) }),
      terms: ["loss"],
      loss: ({ x }: { x: Tensor }) => {
        const loss = sum(mul(x, w));
        return { loss, terms: reshape(loss, [1]) };
      },
    },
    settings: {
      epochs: 1,
      batchSize: 1,
      lr: 0.1,
      warmup: 0,
      weightDecay: 0,
      clip: 1,
      seed: 1,
      evaluationsPerEpoch: 6,
    },
    evaluate: async () => {
      await setTimeout(40);
      return { score: 0, figures: {} };
    },
    saveBest: async () => {
      await setTimeout(40);
    },
    onStep: (step) => steps.push(step),
  });
  const all = (performance.now() - begun) / 1000;
  assert.equal(steps.map(({ first }) => first).slice(0, 3), [true, true, false]);
  assert.ok(steps.slice(2).every(({ first }) => !first));
  const seconds = await folder.readSeconds();
  const training = steps.reduce((total, step) => total + step.seconds, 0);
  assert.ok(seconds && Math.abs(seconds.training - training) < 1e-9);
  assert.ok(seconds.evaluating >= 7 * 0.039, `${seconds.evaluating}`);
  assert.ok(training + seconds.evaluating + 0.039 <= all, `${training} of ${all}`);
  assert.ok(steps.slice(0, 9).every(({ left }) => left === undefined));
  assert.equal(
    steps.slice(9).map(({ left }) => [left?.steps, left?.evaluations]),
    Array.from({ length: 15 }, (_, i) => [14 - i, 6 - Math.floor((9 + i) / 4)]),
  );
  assert.ok((steps[9].left?.evaluation ?? 0) >= 0.039);
  const others = steps.slice(0, 10).filter(({ first }) => !first);
  const mean = others.reduce((total, step) => total + step.seconds, 0) / others.length;
  assert.ok(Math.abs((steps[9].left?.step ?? 0) - mean) < 1e-9);
  const untold = new RunFolder(temporary());
  assert.is(await untold.readSeconds(), undefined);
  await untold.writeJson("seconds.json", { training: "1" });
  await untold.readSeconds().then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /seconds\.json holds no times; remove it/),
  );
});

test("a rate is that of the seconds that it is given", () => {
  const rate = new Rate();
  assert.is(rate.text, "");
  assert.is(rate.add(32, 2), "16");
  assert.is(rate.add(8, 2), "10");
  assert.is(rate.add(2, 4), "5.3");
  for (let i = 0; i < 19; i++) rate.add(3, 1);
  assert.is(rate.text, "3.0", "of the last steps alone");
  const clock = new Rate();
  assert.is(clock.add(1), "", "the first call only begins");
});

test("a length of time in words", () => {
  const rows: [number, string][] = [
    [0.4, "0 s"],
    [41.2, "41 s"],
    [89.4, "89 s"],
    [120, "2 min"],
    [3599, "60 min"],
    [5400, "1 h 30 min"],
    [36_000, "10 h 0 min"],
    [200_000, "2 days"],
  ];
  for (const [seconds, text] of rows) assert.is(duration(seconds), text);
});

test.run();
