import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows, type TextInput } from "../../models/nn.ts";
import { loadMaskedLM } from "../../models/registry.ts";
import { onDevices } from "../devices.ts";
import {
  closeForward,
  closeGradients,
  closeLosses,
  goldenFolder,
  gradientPairs,
  labelled,
  live,
  ModelGolden,
  trainedLosses,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("RoBERTa");

const golden = new ModelGolden("roberta");
const mask = golden.integers("attention_mask");
const { rows, targets } = labelled(golden.integers("labels"));
/** From shards, as transformers writes them; one row is padded on the left. */
const load = (storage?: "f16" | "bf16") => loadMaskedLM(goldenFolder("roberta"), storage);
const hard = (): TextInput => ({
  ids: golden.tensor("input_ids"),
  mask: golden.tensor("attention_mask"),
});
const soft = (): TextInput => ({
  embeds: golden.tensor("soft.inputs_embeds"),
  mask: golden.tensor("attention_mask"),
});

/** The head runs on the labelled places only. */
function lossOf(model: MaskedLM, input: TextInput, at: Tensor, want: Tensor): Tensor {
  return mean(crossEntropy(model.logits(gatherRows(model.encode(input), at)), want));
}

test("hidden states, logits and loss of token ids", async (device) => {
  const model = await load();
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

test("without a mask padding is seen, at its own position", async (device) => {
  const model = await load();
  const { logits } = await valuesOf(device, {
    logits: model.logits(model.encode({ ids: golden.tensor("input_ids") })),
  });
  closeForward([{ name: "logits", got: logits, want: golden.floats("unmasked.logits") }]);
});

test("gradients of every parameter", async (device) => {
  const model = await load();
  const loss = lossOf(model, hard(), tensor(rows), tensor(targets));
  closeGradients(await gradientPairs(device, loss, model.weights, golden));
});

test("soft embeddings: logits, loss and the gradient of the embeddings", async (device) => {
  const model = await load();
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

test("ten AdamW losses", async (device) => {
  const model = await load();
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

test("positions given, which count from 0; matrices in half precision", async (device) => {
  const model = await load();
  const [batch, length] = golden.shape("input_ids");
  const counted = new Uint32Array(mask.length);
  for (let b = 0; b < batch; b++) {
    for (let t = 0, seen = 0; t < length; t++) {
      counted[b * length + t] = seen;
      seen += mask[b * length + t];
    }
  }
  const positions = tensor(counted, [batch, length]);
  const [f16, bf16] = [await load("f16"), await load("bf16")];
  const got = await valuesOf(device, {
    positions: model.encode({ ...hard(), positions }),
    f16: f16.logits(f16.encode(hard())),
    bf16: bf16.logits(bf16.encode(hard())),
  });
  const logits = golden.floats("logits");
  closeForward([
    { name: "positions", got: live(got.positions, mask), want: golden.floats("hidden.2") },
  ]);
  closeForward([{ name: "f16", got: live(got.f16, mask), want: logits }], 0.02);
  closeForward([{ name: "bf16", got: live(got.bf16, mask), want: logits }], 0.15);
});

test.run();
