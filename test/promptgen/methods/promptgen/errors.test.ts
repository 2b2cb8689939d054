/** What the generator and the objective refuse, and the arithmetic of the loss. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../../../engine/compile.ts";
import { type Tensor, tensor } from "../../../../engine/tensor.ts";
import { checkClasses, Generator } from "../../../../promptgen/methods/promptgen/generator.ts";
import { diagnose, objective } from "../../../../promptgen/methods/promptgen/objective.ts";
import { positionsOf } from "../../../../promptgen/reader.ts";
import { onDevices } from "../../../devices.ts";
import { closeForward } from "../../../models/parity.ts";
import { batchOf, classes, facts, loadPair, settings } from "../../golden-step.ts";

const each = await onDevices("objective");

test("slots, alpha, classes and lengths that cannot be", () => {
  const { generator } = loadPair();
  const make = (m: number, n: number) =>
    new Generator(generator.lm, classes, settings.bart.mask, { m, n });
  assert.throws(() => make(0, 5), "[generator] m is 0; use 1 slot or more");
  assert.throws(() => make(4, -1), "[generator] n is -1; use 0 slots or more");
  assert.throws(
    () => make(30, 20).unroll(batchOf(facts)),
    "[generator] a prefix of 8 with 50 slots is more than the 40 positions of the model; use fewer slots",
  );
  const logits = tensor(new Float32Array(6), [2, 3]);
  const batch = { objects: tensor(Uint32Array.of(1)), weights: tensor([1]) };
  assert.throws(() => objective(logits, batch, -0.1), "[objective] alpha is -0.1; use 0 or more");
  assert.throws(() => checkClasses(Uint32Array.of(3, 3), 5), /class 1 has id 3/);
  assert.throws(() => checkClasses(Uint32Array.of(5), 5), /outside the 5 embeddings/);
});

each("means are over the weights, and the floor cuts the second term", async (device) => {
  // two rows with the subject, two with "None", three words; log P of word 0 is -log(1 + 2 exp(-a))
  const height = [2, 1, 3, -30];
  const logits = tensor(Float32Array.from(height.flatMap((a) => [a, 0, 0])), [4, 3]);
  const logP = height.map((a) => -Math.log1p(2 * Math.exp(-a)));
  const objects = tensor(Uint32Array.of(0, 0));
  for (const [w0, w1] of [
    [1, 1],
    [1, 0],
    [0, 1],
  ]) {
    const { loss, object, none } = objective(logits, { objects, weights: tensor([w0, w1]) }, 0.3);
    const got = await read(device, [loss, object, none]);
    const want = -(w0 * logP[0] + w1 * logP[1]) / (w0 + w1);
    const second = (w0 * logP[2] + w1 * Math.max(logP[3], -20)) / (w0 + w1);
    closeForward([
      { name: "loss", got: got[0], want: [want + 0.3 * second] },
      { name: "object", got: got[1], want: [want] },
      { name: "none", got: got[2], want: [second] },
    ]);
  }
});

each(
  "positions count live places; diagnostics count live slots of rows that weigh",
  async (device) => {
    const mask = tensor(Uint32Array.of(1, 0, 0, 1, 1, 1, 1, 1, 0, 1), [2, 5]);
    const p = [0.5, 0.25, 0.25, 1, 0, 0, 0.25, 0.25, 0.5, 0.1, 0.1, 0.8]; // [2 slots, 2 rows, 3]
    const u32 = (...list: number[]): Tensor => tensor(Uint32Array.from(list), [2, 2]);
    const prompts = (live: Tensor) => {
      const distributions = tensor(Float32Array.from(p), [2, 2, 3]);
      return { distributions, live, logits: distributions, best: live };
    };
    const one = diagnose(prompts(u32(1, 1, 1, 0)), tensor([1, 0]));
    const all = diagnose(prompts(u32(1, 1, 0, 1)), tensor([1, 1]));
    const dead = diagnose(prompts(u32(0, 0, 0, 0)), tensor([1, 1]));
    const got = await read(device, [
      positionsOf(mask),
      ...[one, all, dead].flatMap(({ top, entropy }) => [top, entropy]),
    ]);
    assert.equal(Array.from(got[0]), [0, 0, 0, 1, 2, 0, 1, 2, 2, 3]);
    const third = -(0.2 * Math.log(0.1) + 0.8 * Math.log(0.8));
    closeForward([
      { name: "top", got: got[1], want: [0.5] },
      { name: "entropy", got: got[2], want: [1.5 * Math.log(2)] },
      { name: "top of three", got: got[3], want: [2.3 / 3] },
      { name: "entropy of three", got: got[4], want: [(1.5 * Math.log(2) + third) / 3] },
      { name: "top of none", got: got[5], want: [0] },
      { name: "entropy of none", got: got[6], want: [0] },
    ]);
  },
);

test.run();
each.run();
