/** The whole step beside an independent one in PyTorch, which runs every fact alone and physically shortened. */
import * as assert from "uvu/assert";
import { crossEntropy } from "../../../../engine/ops/cross-entropy.ts";
import { neg } from "../../../../engine/ops/elementwise.ts";
import { concat } from "../../../../engine/ops/shape.ts";
import type { TypedArray } from "../../../../engine/tensor.ts";
import { onDevices } from "../../../devices.ts";
import {
  closeForward,
  closeGradients,
  closeLosses,
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

test.run();
