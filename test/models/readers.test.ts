/** The masked LMs beside BERT and RoBERTa, held to transformers: tools/reference_readers.py. */
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows, type TextInput } from "../../models/nn.ts";
import { loadMaskedLM } from "../../models/registry.ts";
import { saveCheckpoint } from "../../models/save.ts";
import { positionsOf } from "../../promptgen/reader.ts";
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

const test = await onDevices("readers");

/** How many layers are computed. */
const MODELS = { distilbert: 3, albert: 10, electra: 2, "xlm-roberta": 2, modernbert: 5 };

/** The head runs on the labelled places only. */
function lossOf(model: MaskedLM, input: TextInput, at: Tensor, want: Tensor): Tensor {
  return mean(crossEntropy(model.logits(gatherRows(model.encode(input), at)), want));
}

for (const [name, layers] of Object.entries(MODELS)) {
  const golden = new ModelGolden(name);
  const mask = golden.integers("attention_mask");
  const { rows, targets } = labelled(golden.integers("labels"));
  const [at, want] = [tensor(rows), tensor(targets)];
  const load = (storage?: "f16" | "bf16") => loadMaskedLM(goldenFolder(name), storage);
  const hard = (): TextInput => ({
    ids: golden.tensor("input_ids"),
    mask: golden.tensor("attention_mask"),
  });

  test(`${name}: hidden states, logits, loss and gradients of token ids`, async (device) => {
    const model = await load();
    const hidden: Tensor[] = [];
    const last = model.encode(hard(), { hidden });
    assert.is(hidden.length, layers + 1);
    const loss = lossOf(model, hard(), at, want);
    const got = await valuesOf(device, {
      ...Object.fromEntries(hidden.map((h, i) => [`hidden.${i}`, h])),
      logits: model.logits(last),
      loss,
    });
    closeForward(
      Object.entries(got).map(([key, values]) => ({
        name: key,
        got: key === "loss" ? values : live(values, mask),
        want: golden.floats(key),
      })),
    );
    closeGradients(await gradientPairs(device, loss, model.weights, golden));
  });

  test(`${name}: soft embeddings, their gradient, and one place alone`, async (device) => {
    const model = await load();
    const embeds = golden.tensor("soft.inputs_embeds");
    const input = { embeds, mask: golden.tensor("attention_mask") };
    const loss = lossOf(model, input, at, want);
    const place = 2;
    const [batch, length] = golden.shape("input_ids");
    const width = model.config.vocab_size;
    const got = await valuesOf(device, {
      logits: model.logits(model.encode(input)),
      one: model.logits(model.encode(input, {}, place)),
      loss,
      grad: grad(loss, [embeds])[0],
    });
    const logits = golden.floats("soft.logits");
    const ones = Array.from({ length: batch }, (_, b) => b * length + place);
    const shown = ones.map((row) => mask[row]);
    closeForward([
      { name: "soft.logits", got: live(got.logits, mask), want: logits },
      {
        name: "one place",
        got: live(got.one, shown),
        want: ones.flatMap((row) => [...logits.subarray(row * width, (row + 1) * width)]),
      },
      { name: "soft.loss", got: got.loss, want: golden.floats("soft.loss") },
    ]);
    closeGradients([{ name: "soft.grad", got: got.grad, want: golden.floats("soft.grad") }]);
  });

  test(`${name}: AdamW losses; gaps; half precision`, async (device) => {
    const model = await load();
    const batch = { ...hard(), rows: at, targets: want };
    const losses = await trainedLosses(
      device,
      model,
      batch,
      (b) => lossOf(model, b, b.rows, b.targets),
      golden.doubles("train.lr"),
      1e-2,
    );
    closeLosses("train.loss", losses, golden.doubles("train.loss"));

    // every token twice as far right, behind a gap that is neither seen nor counted
    const fresh = await load();
    const [texts, length] = golden.shape("input_ids");
    const spread = (values: ArrayLike<number>) => {
      const wide = new Uint32Array(texts * 2 * length);
      for (let i = 0; i < values.length; i++) wide[2 * i + 1] = values[i];
      return tensor(wide, [texts, 2 * length]);
    };
    const gaps = spread(mask);
    const gapped = { ids: spread(golden.integers("input_ids")), mask: gaps };
    const [f16, bf16] = [await load("f16"), await load("bf16")];
    const got = await valuesOf(device, {
      gapped: fresh.logits(fresh.encode({ ...gapped, positions: positionsOf(gaps) })),
      f16: f16.logits(f16.encode(hard())),
      bf16: bf16.logits(bf16.encode(hard())),
    });
    const width = fresh.config.vocab_size;
    const logits = golden.floats("logits");
    const second = got.gapped.filter((_, i) => Math.floor(i / width) % 2 === 1);
    closeForward([{ name: "gaps", got: live(second, mask), want: logits }]);
    closeForward([{ name: "f16", got: live(got.f16, mask), want: logits }], 0.03);
    closeForward([{ name: "bf16", got: live(got.bf16, mask), want: logits }], 0.15);
  });

  test(`${name}: a decoder of its own; saved and read again`, async (device) => {
    const own = new ModelGolden(`${name}/untied`);
    const model = await loadMaskedLM(goldenFolder(`${name}/untied`));
    const directory = await mkdtemp(join(tmpdir(), "readers-"));
    await saveCheckpoint(directory, device, model);
    const again = await loadMaskedLM(directory);
    const ids = own.tensor("input_ids");
    const got = await valuesOf(device, {
      first: model.logits(model.encode({ ids })),
      again: again.logits(again.encode({ ids })),
    });
    closeForward([{ name: "logits", got: got.first, want: own.floats("logits") }]);
    assert.equal(got.again, got.first);
    const json = JSON.parse(await readFile(join(directory, "config.json"), "utf8"));
    assert.is(json.model_type, name);
  });
}

test.run();
