/** Which parameters weight decay shrinks: each model's beside lists that are written out from the architecture, and in a step. */
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { AdamW } from "../../engine/optim.ts";
import { stateName, type Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { GPT2LMHeadModel } from "../../models/gpt2.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import { T5ForConditionalGeneration } from "../../models/t5.ts";
import { Weights } from "../../models/weights.ts";
import { onDevices } from "../devices.ts";
import { goldenCheckpoint, goldenText } from "./parity.ts";

const test = await onDevices("weight decay");

/** Both tensors of a LayerNorm. */
const norm = (name: string): string[] => [`${name}.weight`, `${name}.bias`];

/** The goldens have two layers. */
const inLayers = (prefix: string, names: readonly string[]): string[] =>
  [0, 1].flatMap((i) => names.map((name) => `${prefix}.${i}.${name}`));

const ENCODER = [
  "attention.self.query.bias",
  "attention.self.key.bias",
  "attention.self.value.bias",
  "attention.output.dense.bias",
  ...norm("attention.output.LayerNorm"),
  "intermediate.dense.bias",
  "output.dense.bias",
  ...norm("output.LayerNorm"),
];

const attentionBiases = (name: string): string[] =>
  ["k_proj", "v_proj", "q_proj", "out_proj"].map((part) => `${name}.${part}.bias`);

const BART_ENCODER = [
  ...attentionBiases("self_attn"),
  ...norm("self_attn_layer_norm"),
  "fc1.bias",
  "fc2.bias",
  ...norm("final_layer_norm"),
];

const BART_DECODER = [
  ...BART_ENCODER,
  ...attentionBiases("encoder_attn"),
  ...norm("encoder_attn_layer_norm"),
];

const GPT2_BLOCK = [
  ...norm("ln_1"),
  "attn.c_attn.bias",
  "attn.c_proj.bias",
  ...norm("ln_2"),
  "mlp.c_fc.bias",
  "mlp.c_proj.bias",
];

type Model = { readonly parameters: readonly Tensor[]; readonly decays: (name: string) => boolean };

/** A model, all that does not decay in it, and how many other parameters it has. */
const MODELS: Readonly<
  Record<string, { make(): Model; spared: readonly string[]; decayed: number }>
> = {
  BERT: {
    make: () => BertForMaskedLM.from(goldenCheckpoint("bert")),
    spared: [
      ...norm("bert.embeddings.LayerNorm"),
      ...inLayers("bert.encoder.layer", ENCODER),
      "cls.predictions.transform.dense.bias",
      ...norm("cls.predictions.transform.LayerNorm"),
      "cls.predictions.bias",
    ],
    decayed: 3 + 2 * 6 + 1,
  },
  RoBERTa: {
    make: () => RobertaForMaskedLM.random(JSON.parse(goldenText("roberta/config.json")), 1),
    spared: [
      ...norm("roberta.embeddings.LayerNorm"),
      ...inLayers("roberta.encoder.layer", ENCODER),
      "lm_head.dense.bias",
      ...norm("lm_head.layer_norm"),
      "lm_head.bias",
    ],
    decayed: 3 + 2 * 6 + 1,
  },
  BART: {
    make: () => BartForConditionalGeneration.from(goldenCheckpoint("bart")),
    spared: [
      ...norm("model.encoder.layernorm_embedding"),
      ...inLayers("model.encoder.layers", BART_ENCODER),
      ...norm("model.decoder.layernorm_embedding"),
      ...inLayers("model.decoder.layers", BART_DECODER),
    ],
    decayed: 1 + (1 + 2 * 6) + (1 + 2 * 10),
  },
  T5: {
    make: () => T5ForConditionalGeneration.from(goldenCheckpoint("t5-v1_1")),
    spared: [
      "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
      "encoder.block.0.layer.0.layer_norm.weight",
      "encoder.block.0.layer.1.layer_norm.weight",
      "encoder.final_layer_norm.weight",
      "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
      ...inLayers(
        "decoder.block",
        [0, 1, 2].map((i) => `layer.${i}.layer_norm.weight`),
      ),
      "decoder.final_layer_norm.weight",
    ],
    decayed: 2 + (4 + 3) + 2 * (4 + 4 + 3),
  },
  "GPT-2": {
    make: () => GPT2LMHeadModel.from(goldenCheckpoint("gpt2")),
    spared: [...inLayers("transformer.h", GPT2_BLOCK), ...norm("transformer.ln_f")],
    decayed: 2 + 2 * 4,
  },
};

const LR = 0.5;
const DECAY = 0.25;

for (const [name, { make, spared, decayed }] of Object.entries(MODELS)) {
  test(`${name}: a step without a gradient shrinks all but biases and norms`, async (device) => {
    const { parameters, decays } = make();
    const names = parameters.map(stateName);
    assert.equal(names.filter((one) => !decays(one)).sort(), [...spared].sort());
    assert.is(names.length - spared.length, decayed);
    const before = (await read(device, parameters)).map((values) => values.slice());
    const optimizer = new AdamW(parameters, { weightDecay: DECAY, decays });
    const step = compile(device, (scalars: Tensor) => {
      const loss = parameters.map((p) => sum(mul(p, 0))).reduce((a, b) => mul(a, b));
      optimizer.update(grad(loss, parameters), scalars, [loss]);
      return { loss };
    });
    await step(optimizer.scalars(1, LR));
    const after = await read(device, parameters);
    names.forEach((one, i) => {
      const factor = spared.includes(one) ? 1 : 1 - LR * DECAY; // exact in float32
      assert.equal([...after[i]], [...before[i].map((value) => value * factor)], one);
    });
  });
}

test("a decay without a rule is refused; without both nothing decays", async (device) => {
  const { parameters } = MODELS["GPT-2"].make();
  assert.throws(
    () => new AdamW(parameters, { weightDecay: 0.01 }),
    /\[AdamW\] weightDecay is 0\.01 without a rule; pass decays, the model's own or/,
  );
  const [p] = parameters;
  const before = (await read(device, [p]))[0].slice();
  const optimizer = new AdamW([p]);
  const step = compile(device, (scalars: Tensor) => {
    const loss = sum(mul(p, 0));
    optimizer.update(grad(loss, [p]), scalars, [loss]);
    return { loss };
  });
  await step(optimizer.scalars(1, LR));
  assert.equal((await read(device, [p]))[0], before);
});

test("a name that is no parameter of the model has no rule", () => {
  const w = Weights.random(1, 0.02);
  w.linear("dense", 2, 3);
  w.buffer("bias", [1, 3]);
  const { decays } = w.finish("Tiny");
  assert.is(decays("dense.weight"), true);
  assert.is(decays("dense.bias"), false);
  assert.throws(() => decays("bias"), /\[weights\] bias is no parameter of Tiny; give parameters/);
});

test.run();
