import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { normal } from "../../engine/init.ts";
import { philox } from "../../engine/philox.ts";
import { hostData } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import { encodeBfloat16, encodeFloat16 } from "../../models/formats/floats.ts";
import {
  parseSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "../../models/formats/safetensors.ts";
import type { ModelClass } from "../../models/registry.ts";
import { type Saveable, saveCheckpoint } from "../../models/save.ts";
import { T5ForConditionalGeneration } from "../../models/t5.ts";
import { onDevices } from "../devices.ts";
import { messageOf } from "../thrown.ts";
import { goldenCheckpoint, initialValues, type MemoryCheckpoint } from "./parity.ts";

const each = await onDevices("weights");
const WORDS = "bert.embeddings.word_embeddings.weight";
const SHARED = "model.shared.weight";

type Change = (tensors: Map<string, TensorEntry>, at: (name: string) => TensorEntry) => void;

/** The golden checkpoint with its tensors changed, and fields of its config replaced. */
function changed(
  folder: string,
  change: Change,
  config: Record<string, unknown> = {},
): MemoryCheckpoint {
  const { where, config: own, tensors: given } = goldenCheckpoint(folder);
  const tensors = new Map(given);
  change(tensors, (name) => {
    const entry = tensors.get(name);
    if (!entry) throw new Error(`no ${name}`);
    return entry;
  });
  return { where, config: { ...own, ...config }, tensors };
}

const bertError = (change: Change, config?: Record<string, unknown>) =>
  messageOf(() => BertForMaskedLM.from(changed("bert", change, config)));

test("all that does not fit is reported at once, by full name", () => {
  const message = bertError((tensors, at) => {
    tensors.delete("bert.encoder.layer.1.attention.self.query.weight");
    tensors.delete("cls.predictions.bias");
    tensors.set("bert.extra.weight", at(WORDS));
    const bias = at("bert.encoder.layer.0.output.dense.bias");
    tensors.set("bert.encoder.layer.0.output.dense.bias", { ...bias, shape: [4, 8] });
    const norm = at("bert.embeddings.LayerNorm.weight");
    tensors.set("bert.embeddings.LayerNorm.weight", { ...norm, dtype: "I32" });
  });
  assert.is(
    message,
    [
      "[weights] bert does not hold the BertForMaskedLM that its config.json describes; use both files of one checkpoint:",
      "  missing: bert.encoder.layer.1.attention.self.query.weight",
      "  missing: cls.predictions.bias",
      "  unused: bert.extra.weight",
      "  shape: bert.encoder.layer.0.output.dense.bias is [4, 8], config.json asks for [32]",
      "  dtype: bert.embeddings.LayerNorm.weight is I32, F32, F16, BF16 or F64 is expected",
    ].join("\n"),
  );
});

test("a config.json that contradicts the weights is in the same error", () => {
  const none = () => {};
  const layers = bertError(none, { num_hidden_layers: 1 });
  assert.match(layers, "config.json: num_hidden_layers is 1, the weights have 2");
  assert.match(layers, "unused: bert.encoder.layer.1.attention.self.query.weight");
  const vocabulary = bertError(none, { vocab_size: 70 });
  assert.match(vocabulary, `shape: ${WORDS} is [67, 32], config.json asks for [70, 32]`);
  const bart = messageOf(() =>
    BartForConditionalGeneration.from(changed("bart", none, { decoder_layers: 3 })),
  );
  assert.match(bart, "config.json: decoder_layers is 3, the weights have 2");
  assert.match(bart, "missing: model.decoder.layers.2.self_attn.k_proj.weight");
});

test("every wrong field of config.json is reported", () => {
  const message = bertError(() => {}, {
    hidden_size: 32.5,
    num_attention_heads: undefined,
    hidden_act: "gelu_fast",
  });
  assert.is(
    message,
    "[config] bert/config.json: hidden_size is 32.5 where a whole number of 1 or more is expected; " +
      'num_attention_heads is missing; hidden_act is "gelu_fast" where "relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish" or "tanh" is expected: ' +
      "use a config.json of the model that it names",
  );
  assert.match(
    bertError(() => {}, { num_attention_heads: 5 }),
    "num_attention_heads 5 does not divide hidden_size 32",
  );
});

test("tied weights: once, under either name, or twice and equal", () => {
  const tied = "cls.predictions.decoder.weight";
  const twice = changed("bert", (tensors, at) => tensors.set(tied, at(WORDS)));
  assert.is(BertForMaskedLM.from(twice).weights.parameters.has(tied), false);
  const renamed = changed("bart", (tensors, at) => {
    tensors.set("lm_head.weight", at(SHARED));
    tensors.delete(SHARED);
  });
  assert.ok(BartForConditionalGeneration.from(renamed).weights.parameters.has(SHARED));
  const message = bertError((tensors, at) => {
    const { dtype, shape, data } = at(WORDS);
    const other = data.slice();
    other[0] ^= 1;
    tensors.set(tied, { dtype, shape, data: other });
  });
  assert.match(message, `${tied} and ${WORDS} are one tensor of the model, but not equal`);
  assert.match(message, 'set "tie_word_embeddings" to false');
});

test("a file of BART without its head", async () => {
  const checkpoint = changed("bart", (tensors, at) => {
    for (const name of [...tensors.keys()]) {
      if (name.startsWith("model.")) tensors.set(name.slice("model.".length), at(name));
      tensors.delete(name);
    }
  });
  const { parameters, buffers } = BartForConditionalGeneration.from(checkpoint).weights;
  const whole = BartForConditionalGeneration.from(goldenCheckpoint("bart")).weights;
  assert.equal([...parameters.keys()], [...whole.parameters.keys()]);
  const bias = buffers.get("final_logits_bias");
  assert.equal(bias && (await initialValues(bias)), new Float32Array(71));
});

test("older spellings and heads that are not read", () => {
  const checkpoint = changed("bert", (tensors, at) => {
    for (const name of [...tensors.keys()]) {
      const old = name
        .replace(/LayerNorm\.weight$/, "LayerNorm.gamma")
        .replace(/LayerNorm\.bias$/, "LayerNorm.beta");
      if (old === name) continue;
      tensors.set(old, at(name));
      tensors.delete(name);
    }
    tensors.set("bert.pooler.dense.bias", at("cls.predictions.bias"));
    tensors.set("bert.embeddings.position_ids", { ...at(WORDS), dtype: "I64" });
  });
  const { parameters } = BertForMaskedLM.from(checkpoint).weights;
  assert.equal(
    [...parameters.keys()].sort(),
    [...BertForMaskedLM.from(goldenCheckpoint("bert")).weights.parameters.keys()].sort(),
  );
});

test("matrices in half precision, the rest in f32", async () => {
  const { parameters } = BertForMaskedLM.from(goldenCheckpoint("bert"), "f16").weights;
  for (const [name, t] of parameters) {
    const matrix = t.shape.length === 2 && !/position|token_type/.test(name);
    assert.is(t.dtype, matrix ? "f16" : "f32", name);
  }
  const words = parameters.get(WORDS);
  const entry = goldenCheckpoint("bert").tensors.get(WORDS);
  if (!words || !entry) throw new Error("no word embeddings");
  assert.equal(await initialValues(words), encodeFloat16(toFloat32(entry)));
  assert.equal(
    encodeBfloat16(Float32Array.of(1, -2.5, 1.00390625, 1.01171875, Infinity, 3.4e38)),
    Uint16Array.of(0x3f80, 0xc020, 0x3f80, 0x3f82, 0x7f80, 0x7f80),
  );
});

test("random weights: by the config, by the seed", () => {
  assert.equal(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const values = normal(40_001, 2, 7, 3);
  const spread = Math.hypot(...values.subarray(0, 40_000)) / 200;
  assert.ok(Math.abs(spread - 2) < 0.03, `${spread}`);
  const { config } = goldenCheckpoint("bart");
  const [a, b, c] = [1, 1, 2].map((seed) => BartForConditionalGeneration.random(config, seed));
  const of = (model: typeof a, name: string) => {
    const found = model.weights.parameters.get(name);
    if (!found) throw new Error(name);
    return hostData(found);
  };
  assert.equal(of(a, SHARED), of(b, SHARED));
  assert.not.equal(of(a, SHARED), of(c, SHARED));
  const loaded = BartForConditionalGeneration.from(goldenCheckpoint("bart"));
  assert.equal([...a.weights.parameters.keys()], [...loaded.weights.parameters.keys()]);
  const shared = of(a, SHARED);
  const d = a.config.d_model;
  const padding = a.config.pad_token_id;
  assert.ok(shared.subarray(padding * d, (padding + 1) * d).every((v) => v === 0));
  const std = Math.hypot(...shared) / Math.sqrt(shared.length);
  assert.ok(Math.abs(std - 0.02) < 0.002, `${std}`);
  assert.ok(of(a, "model.encoder.layernorm_embedding.weight").every((v) => v === 1));
  assert.ok(of(a, "model.decoder.layers.0.fc1.bias").every((v) => v === 0));
});

each("a saved model is the same model, in f32 to the bit and in f16 rounded", async (device) => {
  const classes: Record<string, ModelClass<Saveable>> = {
    bert: BertForMaskedLM,
    bart: BartForConditionalGeneration,
    t5: T5ForConditionalGeneration,
    "t5-v1_1": T5ForConditionalGeneration,
  };
  for (const [folder, model] of Object.entries(classes)) {
    const load = async () => model.from(await readCheckpoint(directory));
    const checkpoint = goldenCheckpoint(folder);
    const directory = mkdtempSync(join(tmpdir(), "weights-"));
    await saveCheckpoint(directory, device, model.from(checkpoint));
    const again = await load();
    assert.equal(again.json, checkpoint.config);
    for (const [name, entry] of checkpoint.tensors) {
      const { parameters, buffers } = again.weights;
      const kept = parameters.get(name) ?? buffers.get(name);
      assert.ok(kept, name);
      if (kept) assert.equal(await initialValues(kept), toFloat32(entry), name);
    }
    await saveCheckpoint(directory, device, again, { dtype: "F16" });
    const half = (await load()).weights.parameters;
    for (const [name, t] of half) {
      const entry = checkpoint.tensors.get(name);
      if (!entry) throw new Error(name);
      const rounded = tensorEntry("F16", t.shape, encodeFloat16(toFloat32(entry)));
      assert.equal(await initialValues(t), toFloat32(rounded), name);
    }
  }
});

test("a directory without a checkpoint", async () => {
  const directory = mkdtempSync(join(tmpdir(), "weights-"));
  const failure = async () => {
    try {
      await BertForMaskedLM.load(directory);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  assert.match(
    await failure(),
    `[config] ${join(directory, "config.json")} does not exist; name a directory that holds config.json and model.safetensors`,
  );
  writeFileSync(join(directory, "config.json"), "{");
  writeFileSync(join(directory, "model.safetensors"), new Uint8Array(4));
  assert.match(await failure(), "is not JSON; fetch the file again");
  assert.throws(() => parseSafetensors(new Uint8Array(4), "x"), /too few/);
});

test.run();
each.run();
