/** Checkpoints as they are published: each layout's names and shapes find their places in the model. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { stateOp, type Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { encodeBfloat16, encodeFloat16 } from "../../models/formats/floats.ts";
import type { FileTensor, SafetensorsDtype } from "../../models/formats/safetensors.ts";
import { maskedLM, seq2Seq } from "../../models/registry.ts";
import type { ModelWeights, Storage } from "../../models/weights.ts";
import { messageOf } from "../thrown.ts";
import { goldenText } from "./parity.ts";

type Row = [
  name: string,
  shape: number[],
  target?: string | null,
  dtype?: SafetensorsDtype | undefined,
];

type Layout = {
  /** The model_type. */
  readonly model: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly dtype: "F32" | "F16" | "BF16";
  readonly tensors: readonly Row[];
};

/** A tensor of a file: where it belongs in the model (null if nowhere), and how often it was read. */
type Faked = FileTensor & { readonly target: string | null; reads: number };

const layouts: Record<string, Layout> = JSON.parse(goldenText("layouts.json"));
const counts = { layouts: 0, tensors: 0 };

/** Rows of all layers from those of the first. */
function allRows({ model, config, tensors }: Layout): Row[] {
  const layersOf = (name: string) => {
    if (!name.includes("*")) return 1;
    if (model === "t5") {
      const { num_layers, num_decoder_layers } = config;
      return Number(name.startsWith("encoder") ? num_layers : (num_decoder_layers ?? num_layers));
    }
    if (model === "albert") return Number(config.num_hidden_groups);
    if (model !== "bart") return Number(config.num_hidden_layers ?? config.n_layers);
    return Number(name.includes("encoder.layers") ? config.encoder_layers : config.decoder_layers);
  };
  return tensors.flatMap(([name, shape, target = name, dtype]) =>
    Array.from({ length: layersOf(name) }, (_, i): Row => {
      const full = (text: string) => text.replace("*", String(i));
      return [full(name), shape, target === null ? null : full(target), dtype];
    }),
  );
}

const WIDTHS: Partial<Record<SafetensorsDtype, number>> = { F32: 4, F16: 2, BF16: 2, I64: 8 };

/** A file of the layout in which all values of a tensor are one number, which its place in the model decides. */
function faked(layout: Layout, where: string) {
  const rows = allRows(layout);
  const targets = [...new Set(rows.map(([, , target]) => target))];
  const numberOf = (target: string | null) => targets.indexOf(target) % 256; // exact in any format
  const tensors = new Map<string, Faked>();
  for (const [name, shape, target = null, dtype = layout.dtype] of rows) {
    const width = WIDTHS[dtype] ?? 4;
    const tensor: Faked = {
      dtype,
      shape,
      byteLength: shape.reduce((product, size) => product * size, width),
      target,
      reads: 0,
      read: async (begin, end) => {
        tensor.reads++;
        const values = new Float32Array((end - begin) / width).fill(numberOf(target));
        if (dtype === "F16") return new Uint8Array(encodeFloat16(values).buffer);
        return new Uint8Array(dtype === "BF16" ? encodeBfloat16(values).buffer : values.buffer);
      },
    };
    tensors.set(name, tensor);
  }
  return { where, config: layout.config, tensors, numberOf };
}

function modelOf(layout: Layout, checkpoint: Checkpoint, storage?: Storage): ModelWeights {
  const load = layout.model === "bart" || layout.model === "t5" ? seq2Seq : maskedLM;
  return load(checkpoint, storage).weights;
}

/** Values at the start of a state. */
async function start(t: Tensor): Promise<ArrayLike<number>> {
  assert.is(t.node.op, stateOp);
  const { data } = t.node.attrs.state as {
    data: { read(first: number, end: number): Promise<ArrayLike<number>> };
  };
  return data.read(0, Math.min(t.size, 8));
}

async function check(name: string, layout: Layout): Promise<void> {
  const checkpoint = faked(layout, name);
  const { parameters, buffers } = modelOf(layout, checkpoint);
  const states = new Map([...parameters, ...buffers]);
  for (const [stored, { target, shape }] of checkpoint.tensors) {
    counts.tensors++;
    const found = target === null ? undefined : states.get(target);
    if (target === null) continue;
    if (!found) throw new Error(`${name}: ${stored} is not ${target} of the model`);
    assert.equal(found.shape, shape, stored);
    const want = new Float32Array(Math.min(found.size, 8)).fill(checkpoint.numberOf(target));
    assert.equal(await start(found), want, `${name}: ${stored}`);
  }
  const targets = new Set([...checkpoint.tensors.values()].map(({ target }) => target));
  const missing = [...states.keys()].filter((key) => !targets.has(key));
  const absent = missing.filter((key) => key !== "final_logits_bias");
  assert.equal(absent, [], `${name}: every tensor of the model comes from the file`);
  for (const [stored, { target, reads }] of checkpoint.tensors) {
    assert.is(reads > 0, target !== null, `${name}: ${stored} is ${target ? "" : "not "}read`);
  }
  counts.layouts++;
}

const HEADLESS = [
  "BertModel",
  "RobertaModel",
  "DistilBertModel",
  "AlbertModel",
  "ElectraForPreTraining",
  "XLMRobertaModel",
  "ModernBertModel",
];
for (const [name, layout] of Object.entries(layouts)) {
  if (!HEADLESS.includes(name)) test(name, () => check(name, layout));
}

test("without its head, a masked LM says what it cannot do", () => {
  const said = HEADLESS.map((name) =>
    messageOf(() => modelOf(layouts[name], faked(layouts[name], name))),
  );
  assert.equal(said, [
    "[weights] BertModel holds no cls.predictions.*, the head of BertForMaskedLM: it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of BertForMaskedLM or BertForPreTraining",
    "[weights] RobertaModel holds no lm_head.*, the head of RobertaForMaskedLM: it gives hidden states, but cannot say which token belongs at <mask>; use a checkpoint of RobertaForMaskedLM",
    "[weights] DistilBertModel holds no vocab_*, the head of DistilBertForMaskedLM: it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of DistilBertForMaskedLM",
    "[weights] AlbertModel holds no predictions.*, the head of AlbertForMaskedLM: it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of AlbertForMaskedLM or AlbertForPreTraining",
    "[weights] ElectraForPreTraining holds no generator_*, the head of ElectraForMaskedLM: it gives hidden states, but cannot say which token belongs at [MASK], as a discriminator cannot; use a checkpoint of ElectraForMaskedLM, whose name often ends in -generator",
    "[weights] XLMRobertaModel holds no lm_head.*, the head of XLMRobertaForMaskedLM: it gives hidden states, but cannot say which token belongs at <mask>; use a checkpoint of XLMRobertaForMaskedLM",
    "[weights] ModernBertModel holds no head.*, the head of ModernBertForMaskedLM: it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of ModernBertForMaskedLM",
  ]);
});

test("matrices of every layout in half precision, the rest in f32", () => {
  let [matrices, others] = [0, 0];
  for (const [name, layout] of Object.entries(layouts)) {
    if (HEADLESS.includes(name)) continue;
    for (const storage of ["f16", "bf16"] as const) {
      const { parameters } = modelOf(layout, faked(layout, name), storage);
      for (const [key, t] of parameters) {
        const matrix =
          t.shape.length === 2 && !/position|token_type|relative_attention_bias/.test(key);
        assert.is(t.dtype, matrix ? storage : "f32", key);
        if (matrix) matrices++;
        else others++;
      }
    }
  }
  assert.ok(matrices > 1000 && others > 1000, `${matrices} ${others}`);
});

test("tied tensors of a file that differ are found when they are read", async () => {
  const name = "bart-large-cnn, torch.save";
  const checkpoint = faked(layouts[name], name);
  const head = checkpoint.tensors.get("lm_head.weight");
  if (!head) throw new Error("no head");
  const tensors = new Map(checkpoint.tensors);
  const read = async (begin: number, end: number) => new Uint8Array(end - begin).fill(1);
  tensors.set("lm_head.weight", { ...head, read });
  const { parameters } = BartForConditionalGeneration.from({ ...checkpoint, tensors }).weights;
  const shared = parameters.get("model.shared.weight");
  if (!shared) throw new Error("no table");
  const message = await start(shared).then(String, (error) => error.message);
  assert.match(message, "lm_head.weight and model.shared.weight are one tensor of the model");
  assert.match(message, 'set "tie_word_embeddings" to false in config.json');
});

test("a config.json of absurd sizes is refused at once, in few lines", () => {
  const layout = layouts["bert-base-cased"];
  for (const absurd of [
    { num_hidden_layers: 2 ** 40 },
    { vocab_size: 2 ** 40 },
    { hidden_size: 12 * 2 ** 40, vocab_size: 2 ** 50 },
  ]) {
    const { tensors } = faked(layout, "x"); // as many layers as the file has
    const begun = performance.now();
    const message = messageOf(() =>
      maskedLM({ where: "x", config: { ...layout.config, ...absurd }, tensors }),
    );
    assert.match(message, "[weights] x does not hold the BertForMaskedLM");
    assert.ok(message.split("\n").length < 40, message);
    assert.ok(performance.now() - begun < 2000);
  }
});

test.run();
process.on("exit", () => {
  console.log(`${counts.layouts} layouts, ${counts.tensors} tensors`);
});
