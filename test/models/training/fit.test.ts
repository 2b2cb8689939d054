/** `fit` held to PyTorch (tools/reference_fit.py), killed and resumed, and what it refuses. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import { add, square, sub, tanh } from "../../../engine/ops/elementwise.ts";
import { linear } from "../../../engine/ops/matmul.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { state, type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Dataset } from "../../../models/training/data.ts";
import { type FitOptions, fit } from "../../../models/training/fit.ts";
import type { StepReport } from "../../../models/training/loop.ts";
import { onDevices } from "../../devices.ts";
import { goldenText } from "../parity.ts";
import { adaptedClassifier, finalValues } from "./fit-run.ts";

const test = await onDevices("fit");

type Case = {
  readonly epochs: number;
  readonly schedule: "linear" | "cosine" | "constant";
  readonly warmup: number;
  readonly clip: number;
  readonly accumulate: number;
  readonly drop: boolean;
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  readonly end: Readonly<Record<string, readonly number[]>>;
};
const golden: {
  readonly x: number[][];
  readonly y: number[][];
  readonly start: Readonly<Record<string, { shape: number[]; values: number[] }>>;
  readonly rates: readonly [number, number];
  readonly decays: readonly [number, number];
  readonly cases: Readonly<Record<string, Case>>;
} = JSON.parse(goldenText("fit.json"));

type Item = { readonly x: number[]; readonly y: number[] };
type Batch = { readonly x: Tensor; readonly y: Tensor };
const items: readonly Item[] = golden.x.map((x, i) => ({ x, y: golden.y[i] }));

/** The network as it begins. */
function network() {
  const at = Object.fromEntries(
    Object.entries(golden.start).map(([name, { shape, values }]) => [
      name,
      state(name, Float32Array.from(values), shape),
    ]),
  );
  const apply = (x: Tensor): Tensor =>
    linear(tanh(linear(x, at["in.weight"], at["in.bias"])), at["out.weight"], at["out.bias"]);
  const loss = ({ x, y }: Batch): Tensor => mean(square(sub(apply(x), y)), 1);
  return { at, parameters: Object.values(at), loss };
}

const collate = (own: readonly Item[]): Batch => ({
  x: tensor(
    own.flatMap(({ x }) => x),
    [own.length, 3],
  ),
  y: tensor(
    own.flatMap(({ y }) => y),
    [own.length, 2],
  ),
});

type Made = Omit<FitOptions<Item, Batch>, "device">;

/** Options of a training of the network, and where it stands. */
function training(more: Partial<Made> = {}) {
  const model = network();
  const steps: StepReport[] = [];
  const options: Made = {
    model,
    data: items,
    collate,
    loss: model.loss,
    batchSize: 4,
    lr: 0.05,
    onStep: (step) => steps.push(step),
    ...more,
  };
  return { model, steps, options };
}

const close = (got: number, want: number, what: string) =>
  assert.ok(
    Math.abs(got - want) <= 1e-5 * Math.max(1, Math.abs(want)),
    `${what}: ${got}, not ${want}`,
  );

for (const [name, one] of Object.entries(golden.cases)) {
  test(`${name}: losses, norms and parameters are PyTorch's`, async (device) => {
    const [lr, other] = golden.rates;
    const [weightDecay, otherDecay] = golden.decays;
    const { model, steps, options } = training({
      epochs: one.epochs,
      schedule: one.schedule,
      warmup: one.warmup,
      maxNorm: one.clip,
      accumulate: one.accumulate,
      lastBatch: one.drop ? "drop" : "pad",
      shuffle: false,
      lr,
      weightDecay,
      groups: [
        { match: "out.bias", freeze: true },
        { match: /^out\./, lr: other, weightDecay: otherDecay },
      ],
    });
    await fit({ device, ...options });
    assert.is(steps.length, one.losses.length);
    steps.forEach(({ terms, gradientNorm = -1 }, i) => {
      close(terms.loss, one.losses[i], `loss of step ${i + 1}`);
      close(gradientNorm, one.norms[i], `norm of step ${i + 1}`);
    });
    for (const [key, want] of Object.entries(one.end)) {
      const [got] = await read(device, [model.at[key]]);
      for (const [i, value] of want.entries()) close(got[i], value, `${key}[${i}]`);
    }
    assert.equal(one.end["out.bias"], golden.start["out.bias"].values); // it was frozen
  });
}

test("arrays, numbered items and streams give the same training in order", async (device) => {
  const losses = async (data: Dataset<Item>) => {
    const { steps, options } = training({ data, epochs: 2, shuffle: false });
    await fit({ device, ...options });
    return steps.map(({ terms }) => terms.loss);
  };
  const stream = async function* () {
    yield* items;
  };
  const first = await losses(items);
  assert.is(first.length, 6);
  assert.equal(await losses({ size: 10, at: (i) => items[i] }), first);
  assert.equal(await losses({ size: 10, at: async (i) => items[i] }), first);
  assert.equal(await losses({ size: 10, items: stream }), first);
});

test("shuffling shows each item once an epoch, in another order each time, by the seed", async (device) => {
  for (const data of [items, { size: 10, at: (i: number) => items[i] }]) {
    const seenWith = async (seed: number) => {
      const seen: number[] = [];
      const { options } = training({
        data,
        epochs: 2,
        seed,
        batchSize: 5,
        collate: (own) => {
          seen.push(...own.map((item) => items.indexOf(item)));
          return collate(own);
        },
      });
      await fit({ device, ...options });
      return seen;
    };
    const [one, same, other] = [await seenWith(1), await seenWith(1), await seenWith(2)];
    assert.equal(one, same);
    assert.not.equal(one, other);
    const [first, second] = [one.slice(0, 10), one.slice(10)];
    assert.not.equal(first, second);
    for (const epoch of [first, second]) {
      assert.equal(
        epoch.toSorted((a, b) => a - b),
        items.map((_, i) => i),
      );
    }
  }
});

test("one plan serves all batches of a width, and widths make buckets", async (device) => {
  const rows = new Set<string>();
  const { options } = training({
    epochs: 2,
    width: ({ x }) => (x[0] > 0 ? 6 : 3),
    buckets: 2,
    collate: (own, { width }) => {
      rows.add(`${own.length} ${width}`);
      assert.ok(own.every(({ x }) => (x[0] > 0 ? 6 : 3) === width));
      return collate(own);
    },
  });
  await fit({ device, ...options });
  assert.equal([...rows].sort(), ["4 3", "4 6"]);
});

test("dev items are scored by their mean loss, patience ends, the best is saved", async (device) => {
  const directory = mkdtempSync(join(tmpdir(), "fit-"));
  const { model, steps, options } = training({
    epochs: 20,
    dev: items.slice(0, 7),
    patience: 2,
    lr: 3, // too much, so that it soon gets no better
    directory,
  });
  const [values] = await read(device, [model.loss(collate(items.slice(0, 7)))]);
  const rows: number[] = [];
  const outcome = await fit({
    device,
    ...options,
    onEvaluation: ({ devLoss }) => rows.push(Number(devLoss)),
  });
  close(rows[0], Array.from(values).reduce((a, b) => a + b, 0) / 7, "the first dev loss");
  assert.is(outcome.early, 1);
  assert.ok(steps.length < 60);
  const least = Math.min(...rows);
  close(-(outcome.best?.score ?? 0), least, "the best");
  assert.is(rows.length - 1 - rows.indexOf(least), 2);
  assert.ok(existsSync(join(directory, "best", "model.safetensors")));
  await refused(fit({ device, ...options }), /holds a training already; set resume/);
});

async function refused(run: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await run.then(
    () => assert.unreachable(`not refused: ${message}`),
    (cause) => cause,
  );
  assert.match(String(error), message);
}

test("what does not go together is refused in a sentence", async (device) => {
  const wrong = (more: Partial<Made>, message: RegExp) =>
    refused(fit({ device, ...training(more).options }), message);
  await wrong({ batchSize: 0 }, /batchSize is 0/);
  await wrong({ data: [] }, /the data have 0 items/);
  await wrong({ data: items.slice(0, 3), lastBatch: "drop" }, /fewer than the 4 of a batch/);
  await wrong({ lr: 0 }, /lr is 0/);
  await wrong({ epochs: 0.5 }, /epochs is 0\.5/);
  await wrong({ warmup: 10 }, /warmup is 10/);
  await wrong({ patience: 2 }, /patience needs an evaluation/);
  await wrong({ resume: true }, /resume needs the directory/);
  await wrong(
    { groups: [{ match: "weight.in" }] },
    /no parameter is in the group weight\.in; their names are such as in\.weight/,
  );
  await wrong({ groups: [{ match: /./, freeze: true }] }, /no parameter is left to train/);
  const { model } = training();
  await wrong({ loss: (batch) => mean(model.loss(batch)) }, /the loss is one number, in which/);
  await wrong(
    { loss: ({ x }) => x },
    /the loss is f32\[4, 3\]; give one number for each item, f32\[4\]/,
  );
  const short = async function* () {
    yield* items.slice(0, 6);
  };
  await wrong(
    { data: { size: 10, items: short } },
    /the source gave 6 items in epoch 0, where its size is 10/,
  );
  const twice = { parameters: [...model.parameters, state("in.bias", new Float32Array(5), [5])] };
  await wrong({ model: twice }, /two parameters have one name/);
  await wrong(
    { loss: (batch) => add(model.loss(batch), tensor([Number.NaN])) },
    /the loss term loss is NaN/,
  );
});

test("a step that is not taken leaves what was before it, also where the next one runs already", async (device) => {
  const constant = { schedule: "constant", warmup: 0, shuffle: false } as const;
  const at = (i: number): Item => items[i % items.length];
  const before = training({ ...constant, data: { size: 40, at }, maxSteps: 3 });
  await fit({ device, ...before.options });
  const want = await read(device, before.model.parameters);
  const broken: Item = { x: [1, Number.NaN, 0], y: [0, 0] };
  const wrong = training({
    ...constant,
    data: { size: 40, at: (i) => (i === 13 ? broken : at(i)) },
  });
  await refused(fit({ device, ...wrong.options }), /step 4: the loss term loss is NaN/);
  assert.is(wrong.steps.length, 3);
  assert.equal(await read(device, wrong.model.parameters), want);
});

test("a device on WebGPU is given a step before the last one's report", async (device) => {
  const submits: number[] = [];
  const { options } = training({ epochs: 3, onStep: () => submits.push(device.stats.submits) });
  await fit({ device, ...options });
  const given = submits.map((count) => count - submits[0]); // the first step makes a plan and is timed alone
  const isAhead = device.kind === "webgpu"; // but for the last step of an epoch, which is logged and saved
  assert.equal(given, isAhead ? [0, 2, 2, 4, 5, 5, 7, 8, 8] : [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("a training that is resumed with other options is refused", async (device) => {
  const directory = mkdtempSync(join(tmpdir(), "fit-"));
  const stop = new AbortController();
  const { options } = training({
    epochs: 3,
    directory,
    signal: stop.signal,
    onStep: () => stop.abort(),
  });
  const outcome = await fit({ device, ...options });
  assert.is(outcome.finished, false);
  const again = (more: Partial<Made>) =>
    fit({ device, ...training({ epochs: 3, directory, resume: true, ...more }).options });
  await refused(again({ lr: 0.04 }), /was written with other options/);
  await refused(again({ groups: [{ match: /in/, lr: 0.1 }] }), /was written with other options/);
  await refused(again({ identity: "other data" }), /was written with other options/);
  assert.is((await again({})).finished, true);
});

test("a LoRA run of a classifier that is killed ends in the same bits", async (device, name) => {
  const whole = await adaptedClassifier(device);
  const steps: number[] = [];
  await whole.run({ onStep: ({ step }) => steps.push(step) });
  const want = await finalValues(device, whole.adapter);
  const directory = mkdtempSync(join(tmpdir(), "fit-kill-"));
  const program = join(import.meta.dirname, "fit-run.ts");
  let at = 0;
  for (const after of [3, 5]) {
    const child = spawn(process.execPath, [program, name, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (text: Buffer) => {
      at = Math.max(at, ...`${text}`.trim().split("\n").map(Number));
      if (at >= after) child.kill("SIGKILL");
    });
    const [, signal] = await once(child, "close");
    assert.is(signal, "SIGKILL");
  }
  assert.ok(at >= 5 && at < steps.length, `killed behind step ${at} of ${steps.length}`);
  const last = await adaptedClassifier(device);
  const rest: number[] = [];
  await last.run({ directory, resume: true, onStep: ({ step }) => rest.push(step) });
  assert.ok(rest[0] > 1, "it went on, and did not begin again");
  assert.equal(await finalValues(device, last.adapter), want);
  assert.ok(readFileSync(join(directory, "log.jsonl"), "utf8").trim().split("\n").length > 1);
});

test.run();
