import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { reshape } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { gatherRows, type TextInput } from "../../models/nn.ts";
import { onDevices } from "../devices.ts";
import {
  closeForward,
  closeGradients,
  closeLosses,
  goldenCheckpoint,
  gradientPairs,
  labelled,
  live,
  ModelGolden,
  trainedLosses,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("BERT");

const golden = new ModelGolden("bert");
const mask = golden.integers("attention_mask");
const { rows, targets } = labelled(golden.integers("labels"));
const load = (storage?: "f32" | "f16" | "bf16") =>
  BertForMaskedLM.from(goldenCheckpoint("bert"), storage);
const hard = (): TextInput => ({
  ids: golden.tensor("input_ids"),
  mask: golden.tensor("attention_mask"),
});
const soft = (): TextInput => ({
  embeds: golden.tensor("soft.inputs_embeds"),
  mask: golden.tensor("attention_mask"),
});

/** The head runs on the labelled places only. */
function lossOf(model: BertForMaskedLM, input: TextInput, at: Tensor, want: Tensor): Tensor {
  return mean(crossEntropy(model.logits(gatherRows(model.encode(input), at)), want));
}

test("hidden states, logits and loss of token ids", async (device) => {
  const model = load();
  const hidden: Tensor[] = [];
  const last = model.encode(hard(), { hidden });
  const got = await valuesOf(device, {
    ...Object.fromEntries(hidden.map((h, i) => [`hidden.${i}`, h])),
    logits: model.logits(last),
    loss: lossOf(model, hard(), tensor(rows), tensor(targets)),
  });
  closeForward(
    Object.entries(got).map(([name, values]) => ({
      name,
      got: name === "loss" ? values : live(values, mask),
      want: golden.floats(name),
    })),
  );
});

test("gradients of every parameter", async (device) => {
  const model = load();
  const loss = lossOf(model, hard(), tensor(rows), tensor(targets));
  closeGradients(await gradientPairs(device, loss, model.weights, golden));
});

test("soft embeddings: logits, loss and the gradient of the embeddings", async (device) => {
  const model = load();
  const input = soft();
  const loss = lossOf(model, input, tensor(rows), tensor(targets));
  const got = await valuesOf(device, {
    logits: model.logits(model.encode(input)),
    loss,
    grad: grad(loss, input.embeds ? [input.embeds] : [])[0],
  });
  closeForward([
    { name: "soft.logits", got: live(got.logits, mask), want: golden.floats("soft.logits") },
    { name: "soft.loss", got: got.loss, want: golden.floats("soft.loss") },
  ]);
  closeGradients([{ name: "soft.grad", got: got.grad, want: golden.floats("soft.grad") }]);
});

test("a gradient through matrices in half precision", async (device) => {
  for (const storage of ["f16", "bf16"] as const) {
    const input = soft();
    const loss = lossOf(load(storage), input, tensor(rows), tensor(targets));
    const got = await valuesOf(device, {
      grad: grad(loss, input.embeds ? [input.embeds] : [])[0],
    });
    const want = golden.floats("soft.grad");
    const tolerance = storage === "f16" ? 0.01 : 0.05; // of the largest value
    closeForward([{ name: storage, got: got.grad, want }], 0, tolerance);
  }
});

test("ten AdamW losses", async (device) => {
  const model = load();
  const batch = { ...hard(), rows: tensor(rows), targets: tensor(targets) };
  const losses = await trainedLosses(
    device,
    model,
    batch,
    (b) => lossOf(model, b, b.rows, b.targets),
    golden.doubles("train.lr"),
    1e-2,
  );
  closeLosses("train.loss", losses, golden.doubles("train.loss"));
});

test("one place only, positions given, matrices in half precision", async (device) => {
  const place = 2;
  const [batch, length, width] = golden.shape("hidden.0");
  const model = load();
  const positions = Uint32Array.from({ length: batch * length }, (_, i) => i % length);
  const given = { ...hard(), positions: tensor(positions, [batch, length]) };
  const got = await valuesOf(device, {
    only: reshape(model.encode(hard(), {}, place), [batch, width]),
    positions: model.encode(given),
    f16: load("f16").logits(load("f16").encode(hard())),
    bf16: load("bf16").logits(load("bf16").encode(hard())),
  });
  const want = golden.floats("hidden.2");
  const rowsOfPlace = Array.from({ length: batch }, (_, b) => [
    ...want.subarray((b * length + place) * width, (b * length + place + 1) * width),
  ]);
  const logits = golden.floats("logits");
  closeForward([
    { name: "only", got: got.only, want: rowsOfPlace.flat() },
    { name: "positions", got: live(got.positions, mask), want },
  ]);
  closeForward([{ name: "f16", got: live(got.f16, mask), want: logits }], 0.02);
  closeForward([{ name: "bf16", got: live(got.bf16, mask), want: logits }], 0.15);
});

test.run();
