/** Training with every kind of dropout: the same random state gives the same bits, and gradients are those of the loss it gave. */
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { hostData, type Tensor, tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { gatherRows, type Training } from "../../models/nn.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import { T5ForConditionalGeneration } from "../../models/t5.ts";
import type { ModelWeights } from "../../models/weights.ts";
import { onDevices } from "../devices.ts";
import { batchFirst, goldenCheckpoint, labelled, ModelGolden } from "./parity.ts";

const test = await onDevices("dropout");

const STEP = 2e-3; // along the gradient, relative to the length of the weights

const withDropout = (folder: string, rates: Record<string, number>): Checkpoint => {
  const checkpoint = goldenCheckpoint(folder);
  return { ...checkpoint, config: { ...checkpoint.config, ...rates } };
};

async function check(
  device: Device,
  parameters: ReadonlyMap<string, Tensor>,
  names: readonly string[],
  loss: (training: Training) => Tensor,
): Promise<void> {
  const chosen = names.map((name) => {
    const found = parameters.get(name);
    if (!found) throw new Error(`no ${name}`);
    return found;
  });
  const run = compile(device, (rng: Tensor) => {
    const value = loss({ rng });
    return { value, gradients: grad(value, chosen) };
  });
  const at = async (step: number) => (await run(Uint32Array.of(5, 0, step, 0))).value.item();
  const first = await at(1);
  assert.is(await at(1), first, "the same random state");
  assert.is.not(await at(2), first, "another step");
  const { gradients } = await run(Uint32Array.of(5, 0, 1, 0));
  const values = await Promise.all(gradients.map((g) => g.read()));
  for (const [i, parameter] of chosen.entries()) {
    const weights = Float32Array.from(hostData(parameter));
    const g = values[i];
    const length = Math.hypot(...g);
    const epsilon = (STEP * Math.hypot(...weights)) / length;
    const moved = async (sign: number) => {
      device.write(
        parameter,
        weights.map((w, j) => w + sign * epsilon * g[j]),
      );
      return at(1);
    };
    const slope = ((await moved(1)) - (await moved(-1))) / (2 * epsilon);
    device.write(parameter, weights);
    const wanted = length ** 2;
    assert.ok(
      Math.abs(slope - wanted) <= 0.02 * wanted,
      `${names[i]}: slope ${slope}, gradient ${wanted}`,
    );
  }
}

test("BERT", async (device) => {
  const golden = new ModelGolden("bert");
  const { rows, targets } = labelled(golden.integers("labels"));
  const rates = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.2 };
  const model = BertForMaskedLM.from(withDropout("bert", rates));
  const input = { ids: golden.tensor("input_ids"), mask: golden.tensor("attention_mask") };
  const names = [
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.0.attention.self.query.weight",
    "bert.encoder.layer.1.attention.self.value.weight",
    "bert.encoder.layer.1.output.dense.bias",
  ];
  await check(device, model.weights.parameters, names, (training) => {
    const hidden = model.encode(input, { training });
    return mean(crossEntropy(model.logits(gatherRows(hidden, tensor(rows))), tensor(targets)));
  });
});

/** As `check`, of a model that writes about a text, with the texts of its golden. */
async function checkSeq2Seq(
  device: Device,
  folder: string,
  model: Seq2Seq & { readonly weights: ModelWeights },
  names: readonly string[],
): Promise<void> {
  const golden = new ModelGolden(folder);
  const [B, T] = golden.shape("decoder_input_ids");
  const stepMajor = (name: string) => batchFirst(golden.integers(name), B, T);
  const { rows, targets } = labelled(stepMajor("labels"));
  await check(device, model.weights.parameters, names, (training) => {
    const mask = golden.tensor("attention_mask");
    const encoded = model.encode({ ids: golden.tensor("input_ids"), mask }, { training });
    const ids = tensor(Uint32Array.from(stepMajor("decoder_input_ids")), [T, B]);
    const decoder = { ids, mask: golden.tensor("decoder_attention_mask") };
    const { hidden } = model.decode(decoder, model.start(encoded, mask), { training });
    return mean(crossEntropy(model.logits(gatherRows(hidden, tensor(rows))), tensor(targets)));
  });
}

test("BART", async (device) => {
  const rates = { dropout: 0.1, attention_dropout: 0.2, activation_dropout: 0.1 };
  const model = BartForConditionalGeneration.from(withDropout("bart", rates));
  await checkSeq2Seq(device, "bart", model, [
    "model.shared.weight",
    "model.encoder.layers.0.self_attn.k_proj.weight",
    "model.decoder.layers.1.self_attn.q_proj.weight",
    "model.decoder.layers.0.encoder_attn.v_proj.weight",
    "model.decoder.layers.1.fc1.weight",
  ]);
});

test("T5", async (device) => {
  const model = T5ForConditionalGeneration.from(withDropout("t5-v1_1", { dropout_rate: 0.1 }));
  await checkSeq2Seq(device, "t5-v1_1", model, [
    "shared.weight",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.block.0.layer.1.DenseReluDense.wi_1.weight",
    "decoder.block.1.layer.1.EncDecAttention.v.weight",
    "decoder.block.0.layer.2.layer_norm.weight",
  ]);
});

test.run();
