import { suite } from "uvu";
import * as assert from "uvu/assert";
import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { hostData, type Tensor, tensor } from "../../engine/tensor.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { tensorEntry } from "../../models/formats/safetensors.ts";
import { GPT2LMHeadModel, type GPT2Prompt, gpt2Config } from "../../models/gpt2.ts";
import { gatherRows, type TextInput } from "../../models/nn.ts";
import { onDevices } from "../devices.ts";
import {
  closeForward,
  closeGradients,
  goldenCheckpoint,
  gradientPairs,
  labelled,
  live,
  ModelGolden,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("GPT-2");

const golden = new ModelGolden("gpt2");
const mask = golden.integers("attention_mask");
const { rows, targets } = labelled(golden.integers("labels"));
const load = (storage?: "f32" | "f16" | "bf16") =>
  GPT2LMHeadModel.from(goldenCheckpoint("gpt2"), storage);
const hard = (): TextInput => ({
  ids: golden.tensor("input_ids"),
  mask: golden.tensor("attention_mask"),
});

/** The head runs on the labelled places only. */
function lossOf(model: GPT2LMHeadModel, input: TextInput): Tensor {
  const logits = model.logits(gatherRows(model.decode(input), tensor(rows)));
  return mean(crossEntropy(logits, tensor(targets)));
}

test("hidden states, logits and loss of token ids", async (device) => {
  const model = load();
  const hidden: Tensor[] = [];
  const last = model.decode(hard(), { hidden });
  assert.is(hidden.length, 3);
  const got = await valuesOf(device, {
    ...Object.fromEntries(hidden.map((h, i) => [`hidden.${i}`, h])),
    logits: model.logits(last),
    loss: lossOf(model, hard()),
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
  const pairs = await gradientPairs(device, lossOf(model, hard()), model.weights, golden);
  assert.is(pairs.length, 2 + 12 * 2 + 2);
  closeGradients(pairs);
});

test("soft embeddings: loss and the gradient of the embeddings", async (device) => {
  const embeds = golden.tensor("soft.inputs_embeds");
  const loss = lossOf(load(), { embeds, mask: golden.tensor("attention_mask") });
  const got = await valuesOf(device, { loss, grad: grad(loss, [embeds])[0] });
  closeForward([{ name: "soft.loss", got: got.loss, want: golden.floats("soft.loss") }]);
  closeGradients([{ name: "soft.grad", got: got.grad, want: golden.floats("soft.grad") }]);
});

test("positions given, dropout that drops next to nothing, matrices in half precision", async (device) => {
  const [batch, length] = golden.shape("input_ids");
  const places = Uint32Array.from({ length: batch * length }, (_, i) => i % length);
  const given = { ...hard(), positions: tensor(places, [batch, length]) };
  const json = { ...load().json, attn_pdrop: 1e-9, resid_pdrop: 1e-9, embd_pdrop: 1e-9 };
  const dropping = GPT2LMHeadModel.from({ ...goldenCheckpoint("gpt2"), config: json });
  const training = { rng: tensor(Uint32Array.of(1, 0, 1, 0)) };
  const got = await valuesOf(device, {
    positions: load().decode(given),
    dropout: dropping.decode(hard(), { training }),
    f16: load("f16").logits(load("f16").decode(hard())),
    bf16: load("bf16").logits(load("bf16").decode(hard())),
  });
  const want = golden.floats("hidden.2");
  const logits = golden.floats("logits");
  closeForward([
    { name: "positions", got: live(got.positions, mask), want },
    { name: "dropout", got: live(got.dropout, mask), want },
  ]);
  closeForward([{ name: "f16", got: live(got.f16, mask), want: logits }], 0.03);
  closeForward([{ name: "bf16", got: live(got.bf16, mask), want: logits }], 0.3);
});

/** The golden's prompts, of which the given ones. */
function prompts(from = 0, to = golden.shape("generate.prompts")[0]): GPT2Prompt {
  const [, width] = golden.shape("generate.prompts");
  const cut = (values: Int32Array) =>
    tensor(Uint32Array.from(values.subarray(from * width, to * width)), [to - from, width]);
  const seen = golden.integers("generate.mask");
  const positions = seen.map((_, i) => {
    const earlier = seen.subarray(Math.floor(i / width) * width, i);
    return earlier.reduce((sum, one) => sum + one, 0);
  });
  return {
    ids: cut(golden.integers("generate.prompts")),
    mask: cut(seen),
    positions: cut(positions),
  };
}

/** The golden's model, with the golden's token at the end of texts. */
function writer(): GPT2LMHeadModel {
  const [eos_token_id] = golden.integers("generate.eos");
  const { config, ...rest } = goldenCheckpoint("gpt2");
  return GPT2LMHeadModel.from({ ...rest, config: { ...config, eos_token_id } });
}

test("greedy search writes what transformers writes, texts together or alone", async (device) => {
  const [count, length] = golden.shape("generate.ids");
  const model = writer();
  const texts = Array.from({ length: count }, (_, i) => i);
  const got = await valuesOf(device, {
    all: model.generate(prompts(), length),
    ...Object.fromEntries(texts.map((i) => [i, model.generate(prompts(i, i + 1), length)])),
  });
  const { eos_token_id: eos } = model.config;
  let ended = 0;
  const want = Array.from(golden.integers("generate.ids"), (id, i) => {
    const before = golden.integers("generate.ids").subarray(i - (i % length), i);
    if (!before.includes(eos)) return id;
    ended++;
    return eos; // the golden holds padding there
  });
  assert.ok(ended > 0, "one text ends early");
  assert.equal([...got.all], want);
  for (const i of texts) assert.equal([...got[i]], want.slice(i * length, (i + 1) * length));
});

test("texts longer than the positions are refused", () => {
  const model = load();
  const ids = (length: number) => tensor(new Uint32Array(length), [1, length]);
  assert.throws(() => model.decode({ ids: ids(33) }), /u32.*|input .*longer than n_positions 32/);
  const long = { ids: ids(30), mask: ids(30), positions: ids(30) };
  assert.throws(
    () => model.generate(long, 3),
    /\[gpt2\] 30 tokens and 3 more exceed n_positions 32/,
  );
  assert.throws(() => model.decode({}), /pass ids or embeds/);
});

test.run();

const files = suite("GPT-2's files");
const given = goldenCheckpoint("gpt2");

/** The checkpoint with tensors under other names, and more of them. */
function renamed(
  name: (key: string) => string,
  more: Checkpoint["tensors"] = new Map(),
): Checkpoint {
  const tensors = [...given.tensors].map(([key, entry]) => [name(key), entry] as const);
  return { ...given, tensors: new Map([...tensors, ...more]) };
}
const bare = (key: string) => key.replace("transformer.", "");
const values = ({ weights }: GPT2LMHeadModel) =>
  [...weights.parameters].map(([name, t]) => [name, ...hostData(t)]);

const masks = new Map(
  [0, 1].flatMap((i) => [
    [`h.${i}.attn.bias`, tensorEntry("F32", [1, 1, 32, 32], new Float32Array(1024))] as const,
    [`h.${i}.attn.masked_bias`, tensorEntry("F32", [], Float32Array.of(-1e4))] as const,
  ]),
);

files("with and without the prefix, with masks and with the tied head, they give one model", () => {
  const want = values(load());
  const table = given.tensors.get("transformer.wte.weight");
  assert.ok(table);
  const head = new Map([["lm_head.weight", table]]);
  for (const checkpoint of [
    renamed(bare),
    renamed(bare, masks),
    renamed((key) => key, new Map([...masks].map(([key, t]) => [`transformer.${key}`, t]))),
    renamed((key) => key, head),
    renamed((key) => (key === "transformer.wte.weight" ? "lm_head.weight" : key)),
  ]) {
    assert.equal(values(GPT2LMHeadModel.from(checkpoint)), want);
  }
});

files("what does not fit is named", () => {
  const refused = (checkpoint: Checkpoint, ...patterns: RegExp[]) => {
    for (const pattern of patterns) {
      assert.throws(() => GPT2LMHeadModel.from(checkpoint), pattern);
    }
  };
  refused(
    renamed((key) => key.replace("mlp.c_fc.weight", "mlp.fc.weight")),
    /missing: transformer\.h\.0\.mlp\.c_fc\.weight/,
    /unused: transformer\.h\.1\.mlp\.fc\.weight/,
  );
  refused(
    { ...given, config: { ...given.config, n_layer: 1 } },
    /n_layer is 1, the weights have 2/,
  );
  refused(
    { ...given, config: { ...given.config, n_inner: 48 } },
    /h\.0\.mlp\.c_fc\.weight is \[24, 96\], config\.json asks for \[24, 48\]/,
  );
});

files("fields of the config that are not computed are refused", () => {
  const config = (more: object) => () => gpt2Config({ ...given.config, ...more });
  assert.throws(config({ activation_function: "mish" }), /activation_function is "mish"/);
  assert.throws(config({ n_head: 5 }), /n_head 5 does not divide n_embd 24/);
  assert.throws(config({ scale_attn_by_inverse_layer_idx: true }), /scale_attn_by_inverse_layer/);
  assert.throws(config({ model_type: "bert" }), /model_type is "bert"/);
  assert.is(config({})().n_inner, 96);
  assert.is(config({ n_inner: 40 })().n_inner, 40);
});

files("sizes that no file has are refused at once, in few lines", () => {
  const absurd = 2 ** 40;
  for (const more of [
    { n_layer: absurd },
    { vocab_size: absurd },
    { n_positions: absurd },
    { n_embd: 24 * absurd },
  ]) {
    const begun = performance.now();
    assert.throws(
      () => GPT2LMHeadModel.from({ ...given, config: { ...given.config, ...more } }),
      ({ message }: Error) => message.startsWith("[weights] ") && message.split("\n").length < 40,
    );
    assert.ok(performance.now() - begun < 2000);
  }
});

files.run();
