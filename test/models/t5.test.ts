/** T5 and T5 v1.1 beside goldens of transformers: forward, backward, training, the cache, generation, files, fields. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { dropoutOp } from "../../engine/ops/dropout.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { concat, permute, slice } from "../../engine/ops/shape.ts";
import { hostData, type Tensor, tensor } from "../../engine/tensor.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import type { Json } from "../../models/formats/json.ts";
import { tensorEntry } from "../../models/formats/safetensors.ts";
import { TextGenerator } from "../../models/generation/generate.ts";
import { type ForwardOptions, gatherRows, type TextInput } from "../../models/nn.ts";
import { relativeBuckets, T5ForConditionalGeneration, t5Config } from "../../models/t5.ts";
import { Weights } from "../../models/weights.ts";
import { onDevices } from "../devices.ts";
import {
  batchFirst,
  closeForward,
  closeGradients,
  closeLosses,
  goldenCheckpoint,
  goldenText,
  gradientPairs,
  labelled,
  live,
  ModelGolden,
  trainedLosses,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("T5");

const load = (name: string, fields: Json = {}, storage?: "f32" | "f16" | "bf16") => {
  const given = goldenCheckpoint(name);
  const checkpoint = { ...given, config: { ...given.config, ...fields } };
  return T5ForConditionalGeneration.from(checkpoint, storage);
};

/** A golden with its inputs; the decoder's are step-major. */
function goldenOf(name: string) {
  const golden = new ModelGolden(name);
  const [B, T] = golden.shape("decoder_input_ids");
  const stepMajor = (of: string) => batchFirst(golden.integers(of), B, T);
  const { rows, targets } = labelled(stepMajor("labels"));
  const inputs = () => ({
    ids: golden.tensor("input_ids"),
    mask: golden.tensor("attention_mask"),
    decoderIds: tensor(Uint32Array.from(stepMajor("decoder_input_ids")), [T, B]),
    decoderMask: golden.tensor("decoder_attention_mask"),
    rows: tensor(rows),
    targets: tensor(targets),
  });
  const masks = {
    encoder: golden.integers("attention_mask"),
    decoder: golden.integers("decoder_attention_mask"),
  };
  const rowsOf = (values: ArrayLike<number>) => live(batchFirst(values, T, B), masks.decoder);
  return { golden, inputs, masks, rowsOf, B, T };
}
type Inputs = ReturnType<ReturnType<typeof goldenOf>["inputs"]>;

/** The decoder's last hidden states [T, B, d], in one pass over the whole text. */
function decodeAll(
  model: T5ForConditionalGeneration,
  x: Inputs,
  decoder: TextInput = { ids: x.decoderIds },
  options: { encoder?: ForwardOptions; decoder?: ForwardOptions } = {},
): Tensor {
  const encoded = model.encode({ ids: x.ids, mask: x.mask }, options.encoder);
  const input = { mask: x.decoderMask, ...decoder };
  return model.decode(input, model.start(encoded, x.mask), options.decoder).hidden;
}

const lossOf = (model: T5ForConditionalGeneration, x: Inputs, hidden: Tensor): Tensor =>
  mean(crossEntropy(model.logits(gatherRows(hidden, x.rows)), x.targets));

/** What passes through dropout on the way to a result, in elements, smallest first. */
function dropouts(result: Tensor): number[] {
  const seen = new Set<unknown>();
  const found: number[] = [];
  const visit = (t: Tensor): void => {
    if (seen.has(t.node)) return;
    seen.add(t.node);
    if (t.node.op === dropoutOp) found.push(t.size);
    t.node.inputs.forEach(visit);
  };
  visit(result);
  return found.sort((a, b) => a - b);
}

const KINDS = {
  t5: { layers: [2, 2], parameters: 1 + (2 * 8 + 2) + (2 * 13 + 2) },
  "t5-v1_1": { layers: [1, 2], parameters: 2 + (9 + 2) + (2 * 14 + 2) },
} as const;

for (const [name, { layers, parameters }] of Object.entries(KINDS)) {
  const { golden, inputs, masks, rowsOf, B, T } = goldenOf(name);

  test(`${name}: hidden states, logits and loss of token ids`, async (device) => {
    const [model, x] = [load(name), inputs()];
    const [encoder, decoder]: [Tensor[], Tensor[]] = [[], []];
    const options = { encoder: { hidden: encoder }, decoder: { hidden: decoder } };
    const hidden = decodeAll(model, x, undefined, options);
    assert.equal([encoder.length, decoder.length], [layers[0] + 1, layers[1] + 1]);
    const got = await valuesOf(device, {
      ...Object.fromEntries(encoder.map((h, i) => [`encoder.hidden.${i}`, h])),
      ...Object.fromEntries(decoder.map((h, i) => [`decoder.hidden.${i}`, h])),
      logits: model.logits(hidden),
      loss: lossOf(model, x, hidden),
    });
    closeForward(
      Object.entries(got).map(([key, values]) => ({
        name: key,
        got:
          key === "loss"
            ? values
            : key.startsWith("encoder")
              ? live(values, masks.encoder)
              : rowsOf(values),
        want: golden.floats(key),
      })),
    );
  });

  test(`${name}: gradients of every parameter`, async (device) => {
    const [model, x] = [load(name), inputs()];
    const loss = lossOf(model, x, decodeAll(model, x));
    const pairs = await gradientPairs(device, loss, model.weights, golden);
    assert.is(pairs.length, parameters);
    closeGradients(pairs);
  });

  test(`${name}: soft embeddings: loss and the gradient of the embeddings`, async (device) => {
    const [model, x] = [load(name), inputs()];
    const embeds = golden.tensor("soft.decoder_inputs_embeds");
    const loss = lossOf(model, x, decodeAll(model, x, { embeds: permute(embeds, [1, 0, 2]) }));
    const got = await valuesOf(device, { loss, grad: grad(loss, [embeds])[0] });
    closeForward([{ name: "soft.loss", got: got.loss, want: golden.floats("soft.loss") }]);
    closeGradients([{ name: "soft.grad", got: got.grad, want: golden.floats("soft.grad") }]);
  });

  test(`${name}: ten AdamW losses`, async (device) => {
    const model = load(name);
    const loss = (x: Inputs) => lossOf(model, x, decodeAll(model, x));
    const rates = golden.doubles("train.lr");
    const losses = await trainedLosses(device, model, inputs(), loss, rates, 1e-2);
    closeLosses("train.loss", losses, golden.doubles("train.loss"));
  });

  test(`${name}: a prefix and single steps with the cache equal one pass, forward and backward`, async (device) => {
    const [model, x] = [load(name), inputs()];
    const places = (at: number, next: number, begin: number) =>
      tensor(
        Uint32Array.from({ length: (next - at) * B }, (_, i) => begin + at + Math.floor(i / B)),
        [next - at, B],
      );
    const steps = (given: (at: number) => boolean, begin = 0): Tensor => {
      let cache = model.start(model.encode({ ids: x.ids, mask: x.mask }), x.mask);
      const parts: Tensor[] = [];
      for (let at = 0; at < T; ) {
        const next = at === 0 ? 3 : at + 1;
        const ids = slice(x.decoderIds, 0, at, next);
        const mask = slice(x.decoderMask, 1, 0, next);
        const positions = given(at) ? places(at, next, begin) : undefined;
        const step = model.decode({ ids, mask, positions }, cache);
        cache = step.cache;
        parts.push(step.hidden);
        at = next;
      }
      return concat(parts, 0);
    };
    const plain = steps(() => false);
    const got = await valuesOf(device, {
      plain,
      given: steps(() => true),
      moved: steps(() => true, 6),
      later: steps((at) => at > 5), // told after places that were not
    });
    const want = golden.floats(`decoder.hidden.${layers[1]}`);
    closeForward(Object.entries(got).map(([key, h]) => ({ name: key, got: rowsOf(h), want })));
    closeGradients(await gradientPairs(device, lossOf(model, x, plain), model.weights, golden));
  });

  test(`${name}: positions count where places do not`, async (device) => {
    const model = load(name);
    const [, S] = golden.shape("input_ids");
    const [d] = [model.config.d_model];
    const ids = golden.integers("input_ids").subarray(0, S); // no padding in it
    // every word twice as far from the begin, places between that nobody sees; then the text moved as a whole
    const gaps = (value: (i: number) => number, between: number) =>
      tensor(
        Uint32Array.from({ length: 2 * S }, (_, i) => (i % 2 === 0 ? value(i / 2) : between)),
        [1, 2 * S],
      );
    const spread = {
      ids: gaps((i) => ids[i], 5),
      mask: gaps(() => 1, 0),
      positions: gaps((i) => i + 40, 3),
    };
    const decoder = golden.integers("decoder_input_ids").subarray(0, T);
    const steps = tensor(Uint32Array.from(decoder), [T, 1]);
    const moved = tensor(
      Uint32Array.from({ length: T }, (_, i) => i + 7),
      [T, 1],
    );
    const encoded = model.encode(spread);
    const start = model.start(encoded, spread.mask);
    const { hidden } = model.decode({ ids: steps, positions: moved }, start);
    const got = await valuesOf(device, { encoded, hidden });
    const even = got.encoded.filter((_, i) => Math.floor(i / d) % 2 === 0);
    const [last, written] = [`encoder.hidden.${layers[0]}`, `decoder.hidden.${layers[1]}`];
    closeForward([
      { name: last, got: even, want: golden.floats(last).subarray(0, S * d) },
      { name: written, got: got.hidden, want: golden.floats(written).subarray(0, T * d) },
    ]);
  });

  test(`${name}: greedy search writes what transformers writes, texts together or alone`, async (device) => {
    const [count, length] = golden.shape("generate.ids");
    const [, S] = golden.shape("input_ids");
    const row = (of: string, i: number, width: number) =>
      [...golden.integers(of)].slice(i * width, (i + 1) * width);
    const texts = Array.from({ length: count }, (_, i) => {
      const seen = row("attention_mask", i, S);
      return row("input_ids", i, S).filter((_, at) => seen[at] === 1);
    });
    const want = texts.map((_, i) => row("generate.ids", i, length).filter((id) => id >= 0));
    const generator = new TextGenerator(device, load(name));
    const options = { max_length: 15, decoder_start_token_id: 0, eos_token_id: 1 };
    const written = async (some: number[][]) =>
      (await generator.generate(some, options)).map(([{ ids }]) => ids);
    assert.equal(await written(texts), want);
    assert.equal(await written([texts[1]]), [want[1]]);
  });

  test(`${name}: other activations`, async (device) => {
    const gated = name === "t5" ? "" : "gated-";
    const names = ["relu", "gelu", "gelu_new", "silu"].map((one) => gated + one);
    const x = inputs();
    const logits = names.map((feed_forward_proj): [string, Tensor] => {
      const model = load(name, { feed_forward_proj });
      return [`act.${feed_forward_proj}`, model.logits(decodeAll(model, x))];
    });
    const got = await valuesOf(device, Object.fromEntries(logits));
    closeForward(
      Object.entries(got).map(([key, values]) => {
        const want = golden.floats(key); // of the first text, which has no padding
        return { name: key, got: batchFirst(values, T, B).subarray(0, want.length), want };
      }),
    );
  });

  test(`${name}: dropout stands where transformers has it, and that of next to nothing changes nothing`, async (device) => {
    const [model, x] = [load(name, { dropout_rate: 1e-9 }), inputs()];
    const training = { rng: tensor(Uint32Array.of(1, 0, 1, 0)) };
    const both = { encoder: { training }, decoder: { training } };
    const hidden = decodeAll(model, x, undefined, both);
    assert.equal(dropouts(hidden), [...golden.integers("dropouts")]);
    assert.equal(dropouts(decodeAll(load(name), x, undefined, both)), []);
    const got = await valuesOf(device, { hidden });
    const last = `decoder.hidden.${layers[1]}`;
    closeForward([{ name: last, got: rowsOf(got.hidden), want: golden.floats(last) }]);
  });

  test(`${name}: matrices in half precision`, async (device) => {
    const x = inputs();
    const logits = (storage: "f16" | "bf16") => {
      const model = load(name, {}, storage);
      return model.logits(decodeAll(model, x));
    };
    const got = await valuesOf(device, { f16: logits("f16"), bf16: logits("bf16") });
    const want = golden.floats("logits");
    closeForward([{ name: "f16", got: rowsOf(got.f16), want }], 0.03);
    closeForward([{ name: "bf16", got: rowsOf(got.bf16), want }], 0.3);
  });
}

test("scale_decoder_outputs alone decides whether the decoder's output is scaled", async (device) => {
  const { golden, inputs, B, T } = goldenOf("t5");
  const model = load("t5", { scale_decoder_outputs: false });
  const [logits] = await read(device, [model.logits(decodeAll(model, inputs()))]);
  const want = golden.floats("unscaled");
  const got = batchFirst(logits, T, B).subarray(0, want.length);
  closeForward([{ name: "unscaled", got, want }]);
  assert.is(load("t5").outputScale, 16 ** -0.5);
  assert.is(load("t5-v1_1").outputScale, 1);
});

test.run();

const files = suite("T5's files");

type Row = [boolean, number, number, number[]];
const rows: Row[] = JSON.parse(goldenText("t5/buckets.json"));
for (const [bidirectional, buckets, farthest, want] of rows) {
  files(`${buckets} buckets to ${farthest}, ${bidirectional ? "both ways" : "back"}`, () => {
    const got = relativeBuckets((want.length - 1) / 2, bidirectional, buckets, farthest);
    assert.equal([...got], want);
  });
}

const tensorsOf = (name: string) => new Map(goldenCheckpoint(name).tensors);
const values = ({ weights }: T5ForConditionalGeneration) =>
  [...weights.parameters].map(([name, t]) => [name, ...hostData(t)]);
const given = (name: string, tensors: Checkpoint["tensors"], fields: Json = {}): Checkpoint => ({
  where: "x",
  config: { ...goldenCheckpoint(name).config, ...fields },
  tensors,
});
const messageOf = (checkpoint: Checkpoint): string => {
  try {
    T5ForConditionalGeneration.from(checkpoint);
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  return "it loads";
};

const COPIES = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
const UNREAD = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

files("the table of words under each of its names, and with what older files hold", () => {
  for (const name of Object.keys(KINDS)) {
    const want = values(load(name));
    const plain = tensorsOf(name);
    const shared = plain.get("shared.weight");
    assert.ok(shared);
    const twice = new Map([...plain, ...COPIES.map((copy) => [copy, shared] as const)]);
    twice.set(UNREAD, tensorEntry("F32", [8, 3], new Float32Array(24)));
    assert.equal(values(T5ForConditionalGeneration.from(given(name, twice))), want);
    for (const copy of COPIES) {
      const one = new Map([...plain].map(([key, t]) => [key === "shared.weight" ? copy : key, t]));
      assert.equal(values(T5ForConditionalGeneration.from(given(name, one))), want);
    }
  }
  const tied = tensorsOf("t5");
  const shared = tied.get("shared.weight");
  assert.ok(shared);
  tied.set("lm_head.weight", shared);
  assert.equal(values(T5ForConditionalGeneration.from(given("t5", tied))), values(load("t5")));
});

files("a head of its own: by tie_word_embeddings, or as transformers 5 writes it", () => {
  const want = values(load("t5-v1_1"));
  const resaved = { tie_word_embeddings: true, scale_decoder_outputs: false };
  const names = want.map(([name]) => name);
  assert.ok(names.includes("lm_head.weight"));
  const again = given("t5-v1_1", tensorsOf("t5-v1_1"), resaved);
  assert.equal(values(T5ForConditionalGeneration.from(again)), want);
  assert.is(T5ForConditionalGeneration.from(again).outputScale, 1);
  const headless = tensorsOf("t5-v1_1");
  headless.delete("lm_head.weight");
  const tied = T5ForConditionalGeneration.from(given("t5-v1_1", headless, resaved));
  assert.equal(
    values(tied).map(([name]) => name),
    names.filter((name) => name !== "lm_head.weight"),
  );
  assert.is(tied.outputTable, tied.shared.weight);
  assert.match(
    messageOf(given("t5-v1_1", headless)),
    /^\[weights\] x holds no lm_head\.weight\*, the head of T5ForConditionalGeneration: it gives hidden states, but cannot write/,
  );
  const foreign = new Map([
    ...tensorsOf("t5"),
    ["lm_head.weight", tensorEntry("F32", [37, 16], new Float32Array(37 * 16))],
  ]);
  assert.match(
    messageOf(given("t5", foreign)),
    "lm_head.weight and shared.weight are one tensor of the model, but not equal in the file",
  );
});

files("what does not fit is named", () => {
  const renamed = new Map(
    [...tensorsOf("t5")].map(([key, t]) => [key.replace("DenseReluDense.wi.", "mlp.wi."), t]),
  );
  const said = messageOf(given("t5", renamed));
  assert.match(said, "missing: encoder.block.0.layer.1.DenseReluDense.wi.weight");
  assert.match(said, "unused: decoder.block.1.layer.2.mlp.wi.weight");
  const plain = tensorsOf("t5");
  for (const [fields, sentence] of [
    [{ num_layers: 3, num_decoder_layers: 2 }, "num_layers is 3, the weights have 2"],
    [{ num_decoder_layers: 1 }, "num_decoder_layers is 1, the weights have 2"],
    [{ d_kv: 4 }, "SelfAttention.q.weight is [15, 16], config.json asks for [12, 16]"],
    [{ relative_attention_num_buckets: 12 }, "bias.weight is [8, 3], config.json asks for [12, 3]"],
    [{ feed_forward_proj: "gated-gelu" }, "missing: encoder.block.0.layer.1.DenseReluDense.wi_0"],
  ] as const) {
    assert.match(messageOf(given("t5", plain, fields)), sentence);
  }
});

files("fields of the config that are not computed are refused", () => {
  const { config } = goldenCheckpoint("t5");
  const read = (more: Json) => () => t5Config({ ...config, ...more });
  for (const [more, sentence] of [
    [{ model_type: "mt5" }, /model_type is "mt5"/],
    [{ feed_forward_proj: "gated-mish" }, /feed_forward_proj is "gated-mish" where "relu", /],
    [
      { dense_act_fn: "gelu" },
      /dense_act_fn is "gelu" where feed_forward_proj "relu" means "relu"/,
    ],
    [{ pad_token_id: 1e6 }, /pad_token_id 1000000 is no row of the table of words/],
    [{ pruned_heads: { 0: [1] } }, /pruned_heads .* is not computed here/],
    [{ is_gated_act: true }, /is_gated_act is true where feed_forward_proj "relu" means false/],
    [{ tie_encoder_decoder: true }, /tie_encoder_decoder is true/],
    [{ is_encoder_decoder: false }, /is_encoder_decoder is false/],
    [{ relative_attention_num_buckets: 3 }, /relative_attention_num_buckets is 3 where a whole/],
    [{ relative_attention_max_distance: 4 }, /max_distance 4 is not above half of .*buckets 8/],
    [{ relative_attention_max_distance: 2 ** 40 }, /and at most 65536/],
    [{ d_kv: null }, /d_kv is missing/],
  ] as const) {
    assert.throws(read(more), sentence);
  }
  const {
    relative_attention_num_buckets: _,
    relative_attention_max_distance: __,
    ...rest
  } = config;
  const least = t5Config(rest);
  assert.is(least.relative_attention_num_buckets, 32);
  assert.is(least.relative_attention_max_distance, 128);
  assert.is(least.scale_decoder_outputs, true);
  assert.is(t5Config({ ...config, feed_forward_proj: "gated-gelu" }).dense_act_fn, "gelu_new");
  assert.is(t5Config({ ...config, tie_word_embeddings: false }).scale_decoder_outputs, false);
});

files("an untrained model starts as transformers starts one", () => {
  const sizes = { d_model: 48, d_kv: 16, d_ff: 96, vocab_size: 500, num_heads: 4 };
  const { config } = goldenCheckpoint("t5-v1_1");
  const model = T5ForConditionalGeneration.random(
    {
      ...config,
      ...sizes,
      relative_attention_num_buckets: 32,
      initializer_factor: 0.5,
      relative_attention_max_distance: 128,
    },
    3,
  );
  const spread = (name: string): number => {
    const t = model.weights.parameters.get(name);
    assert.ok(t, name);
    return Math.sqrt([...hostData(t)].reduce((sum, v) => sum + v * v, 0) / t.size);
  };
  const ff = "decoder.block.1.layer.2.DenseReluDense";
  for (const [name, std] of [
    ["shared.weight", 1],
    ["lm_head.weight", 1],
    ["encoder.block.0.layer.0.SelfAttention.q.weight", (48 * 16) ** -0.5],
    ["encoder.block.0.layer.0.SelfAttention.k.weight", 48 ** -0.5],
    ["decoder.block.1.layer.1.EncDecAttention.v.weight", 48 ** -0.5],
    ["decoder.block.0.layer.0.SelfAttention.o.weight", 64 ** -0.5],
    ["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 48 ** -0.5],
    [`${ff}.wi_0.weight`, 48 ** -0.5],
    [`${ff}.wi_1.weight`, 48 ** -0.5],
    [`${ff}.wo.weight`, 96 ** -0.5],
    ["encoder.final_layer_norm.weight", 1],
  ] as const) {
    const got = spread(name) / 0.5;
    assert.ok(Math.abs(got / std - 1) < 0.15, `${name}: ${got}, expected ${std}`);
  }
});

files("sizes that no file has are refused at once, in few lines", () => {
  const absurd = 2 ** 40;
  for (const more of [
    "num_layers",
    "num_decoder_layers",
    "vocab_size",
    "d_model",
    "d_kv",
    "d_ff",
  ]) {
    const begun = performance.now();
    const said = messageOf(given("t5", tensorsOf("t5"), { [more]: absurd }));
    assert.ok(said.startsWith("[weights] ") && said.split("\n").length < 40, said);
    assert.ok(performance.now() - begun < 2000);
  }
});

files("ids or embeds are needed", () => {
  assert.throws(() => load("t5").encode({}), /\[t5\] pass ids or embeds/);
  const { weights } = new T5ForConditionalGeneration(
    Weights.described(),
    goldenCheckpoint("t5-v1_1").config,
  );
  assert.ok(weights.parameters.has("lm_head.weight"));
});

files.run();
