/** The whole step beside an independent one in PyTorch, which runs every fact alone and physically shortened. */
import * as assert from "uvu/assert";
import type { Input } from "../../../../engine/compile.ts";
import { crossEntropy } from "../../../../engine/ops/cross-entropy.ts";
import { neg } from "../../../../engine/ops/elementwise.ts";
import { concat, reshape } from "../../../../engine/ops/shape.ts";
import type { TypedArray } from "../../../../engine/tensor.ts";
import { BertForMaskedLM } from "../../../../models/bert.ts";
import { Learner } from "../../../../models/training/learner.ts";
import type { TrainingBatch } from "../../../../promptgen/methods/promptgen/index.ts";
import { onDevices } from "../../../devices.ts";
import {
  closeForward,
  closeGradients,
  closeLosses,
  goldenCheckpoint,
  goldenText,
  gradientPairs,
  trainedLosses,
  valuesOf,
} from "../../../models/parity.ts";
import { batchOf, classes, facts, golden, loadPair, settings, stepOf } from "../../golden-step.ts";

const test = await onDevices("step");

const B = facts.length;
const slots = settings.m + settings.n;

/** Values [slots, rows, width] of the first B rows, as [B, slots, width]. */
function byRow(values: TypedArray, rows: number): number[] {
  const width = values.length / (slots * rows);
  return Array.from({ length: B * slots * width }, (_, i) => {
    const [c, slot, b] = [i % width, Math.floor(i / width) % slots, Math.floor(i / width / slots)];
    return values[(slot * rows + b) * width + c];
  });
}

/** Distributions with zeros in dead slots, as the golden has them. */
const shown = (distributions: number[], live: number[]) =>
  distributions.map((p, i) => (live[Math.floor(i / classes.size)] === 1 ? p : 0));

test("distributions, early stops, answers and both losses", async (device) => {
  for (const rows of [B, B + 3]) {
    const batch = batchOf(facts, rows); // rows beyond the facts weigh nothing
    const { prompts, logits, loss, object, none } = stepOf(loadPair(), batch, settings.alpha);
    const { objects } = batch;
    const logP = neg(crossEntropy(logits, concat([objects, objects], 0)));
    const { distributions, live } = prompts;
    const got = await valuesOf(device, { distributions, live, logits, logP, loss, object, none });
    const alive = byRow(got.live, rows);
    assert.equal(alive, Array.from(golden.integers("live")), "live");
    const width = got.logits.length / (2 * rows);
    const want = (name: string) => golden.floats(name);
    closeForward([
      {
        name: "distributions",
        got: shown(byRow(got.distributions, rows), alive),
        want: want("distributions"),
      },
      { name: "mask_logits", got: got.logits.subarray(0, B * width), want: want("mask_logits") },
      {
        name: "none_mask_logits",
        got: got.logits.subarray(rows * width, (rows + B) * width),
        want: want("none_mask_logits"),
      },
      { name: "log_p", got: got.logP.subarray(0, B), want: want("log_p") },
      { name: "none_log_p", got: got.logP.subarray(rows, rows + B), want: want("none_log_p") },
      { name: "loss_object", got: got.object, want: want("loss_object") },
      { name: "loss_none", got: got.none, want: want("loss_none") },
      { name: "loss", got: got.loss, want: want("loss") },
    ]);
  }
});

test("gradients of every parameter of BART", async (device) => {
  const pair = loadPair();
  const { loss } = stepOf(pair, batchOf(facts), settings.alpha);
  closeGradients(await gradientPairs(device, loss, pair.bart.weights, golden));
});

for (const [name, alpha] of [
  ["train", settings.alpha],
  ["train_alpha0", 0],
] as const) {
  test(`ten AdamW losses, ${name}`, async (device) => {
    const pair = loadPair();
    const losses = await trainedLosses(
      device,
      pair.bart,
      batchOf(facts),
      (batch) => stepOf(pair, batch, alpha).loss,
      golden.doubles(`${name}.lr`),
      settings.weight_decay,
    );
    closeLosses(`${name}.loss`, losses, golden.doubles(`${name}.loss`));
  });
}

for (const dtype of ["f16", "bf16"] as const) {
  test(`ten AdamW losses with a reader in ${dtype}`, async (device) => {
    const losses: Readonly<Record<string, readonly number[]>> = JSON.parse(
      goldenText("promptgen/readers.json"),
    );
    const reader = BertForMaskedLM.from(goldenCheckpoint("promptgen/bert"), dtype);
    const kept = [...reader.weights.parameters.values()].filter((t) => t.dtype === dtype);
    assert.ok(kept.length > 10, `${kept.length} matrices`);
    const pair = loadPair(reader);
    const got = await trainedLosses(
      device,
      pair.bart,
      batchOf(facts),
      (batch) => stepOf(pair, batch, settings.alpha).loss,
      golden.doubles("train.lr"),
      settings.weight_decay,
    );
    // rounding to f16 alone moves a loss by 7e-5 of itself
    const relative = (want: ArrayLike<number>) =>
      Math.max(...got.map((loss, i) => Math.abs(loss / want[i] - 1)));
    assert.ok(relative(losses[dtype]) < 2e-5, `${relative(losses[dtype])}`);
    assert.ok(relative(golden.doubles("train.loss")) > 5e-5);
  });
}

test("ten AdamW losses of a step in three batches are those of one", async (device) => {
  const pair = loadPair();
  const problem = {
    parameters: pair.bart.parameters,
    decays: pair.bart.decays,
    terms: ["object", "none"],
    loss: (batch: TrainingBatch) => {
      const { loss, object, none } = stepOf(pair, batch, settings.alpha);
      return { loss, terms: concat([reshape(object, [1]), reshape(none, [1])], 0) };
    },
  };
  const decay = { weightDecay: settings.weight_decay, clip: 1 };
  const learner = new Learner(device, problem, { ...decay, accumulate: 3 });
  // batches of three rows, of which the last has one that weighs nothing
  const parts = [facts.slice(0, 3), facts.slice(3, 6), facts.slice(6)].map((own, i) => ({
    batch: batchOf(own, 3) as Input<TrainingBatch>,
    rng: Uint32Array.of(1, 0, 1, i),
    share: own.length / B,
  }));
  const rates = golden.doubles("train.lr");
  const [losses, norms]: number[][] = [[], []];
  for (let i = 0; i < rates.length; i++) {
    const scalars = learner.optimizer.scalars(i + 1, rates[i]);
    const { report } = await learner.take(parts, scalars);
    const [, taken, norm, , object, none] = await report.read();
    assert.equal(taken, 1);
    losses.push(object + settings.alpha * none);
    norms.push(norm);
  }
  closeLosses("train.loss", losses, golden.doubles("train.loss"));
  closeForward([{ name: "train.norm", got: norms, want: golden.doubles("train.norm") }], 0, 1e-3);
});

test.run();
