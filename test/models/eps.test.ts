/** Each LayerNorm has the epsilon that config.json says, or PyTorch's: goldens in which a tenth of any is felt. */
import * as assert from "uvu/assert";

import { type Tensor, tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { GPT2LMHeadModel } from "../../models/gpt2.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import { onDevices } from "../devices.ts";
import { batchFirst, closeForward, goldenCheckpoint, ModelGolden, valuesOf } from "./parity.ts";

const test = await onDevices("LayerNorm's epsilon");

const numbered = (name: string, hidden: readonly Tensor[]): Record<string, Tensor> =>
  Object.fromEntries(hidden.map((h, i) => [`${name}.${i}`, h]));

/** Relative to the largest value: hidden states are as small as the root of epsilon. */
function close(got: Readonly<Record<string, ArrayLike<number>>>, golden: ModelGolden): void {
  const pairs = Object.entries(got).map(([name, values]) => ({
    name,
    got: values,
    want: golden.floats(name),
  }));
  closeForward(pairs, 0, 1e-4);
}

const encoders = { bert: BertForMaskedLM, roberta: RobertaForMaskedLM };

for (const [name, type] of Object.entries(encoders)) {
  test(`${name}: embeddings, layers and the head`, async (device) => {
    const golden = new ModelGolden(`eps/${name}`);
    const model = type.from(goldenCheckpoint(`eps/${name}`));
    assert.is(model.config.layer_norm_eps, 1e-2);
    const hidden: Tensor[] = [];
    const last = model.encode({ ids: golden.tensor("input_ids") }, { hidden });
    const tensors = { ...numbered("hidden", hidden), logits: model.logits(last) };
    assert.is(Object.keys(tensors).length, 3);
    close(await valuesOf(device, tensors), golden);
  });
}

test("gpt2: both of a layer and the last", async (device) => {
  const golden = new ModelGolden("eps/gpt2");
  const model = GPT2LMHeadModel.from(goldenCheckpoint("eps/gpt2"));
  const hidden: Tensor[] = [];
  const last = model.decode({ ids: golden.tensor("input_ids") }, { hidden });
  const tensors = { ...numbered("hidden", hidden), logits: model.logits(last) };
  assert.is(Object.keys(tensors).length, 3);
  close(await valuesOf(device, tensors), golden);
});

test("bart: embeddings and layers of both sides, whose epsilon no config says", async (device) => {
  const golden = new ModelGolden("eps/bart");
  const model = BartForConditionalGeneration.from(goldenCheckpoint("eps/bart"));
  const [B, T] = golden.shape("decoder_input_ids");
  const steps = batchFirst(golden.integers("decoder_input_ids"), B, T); // [T, B]
  const [encoder, decoder]: [Tensor[], Tensor[]] = [[], []];
  const encoded = model.encode({ ids: golden.tensor("input_ids") }, { hidden: encoder });
  const ids = tensor(Uint32Array.from(steps), [T, B]);
  const start = model.start(encoded, undefined);
  const { hidden: last } = model.decode({ ids }, start, { hidden: decoder });
  const tensors = { ...numbered("decoder.hidden", decoder), logits: model.logits(last) };
  const got = await valuesOf(device, { ...numbered("encoder.hidden", encoder), ...tensors });
  assert.is(Object.keys(got).length, 5);
  const rows = Object.entries(got).map(([name, values]) => [
    name,
    name in tensors ? batchFirst(values, T, B) : values,
  ]);
  close(Object.fromEntries(rows), golden);
});

test.run();
