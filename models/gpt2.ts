/**
 * GPT-2 with its LM head (Radford et al., 2019), as Hugging Face stores and computes it: pre-LayerNorm, matrices stored [inputs, outputs], the output's table tied to the input's. Classes stand in upstream's order.
 */

import { argmax } from "../engine/ops/argmax.ts";
import { type Activation, activations, add, equal, where } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { full } from "../engine/ops/fill.ts";
import { linear, matmul } from "../engine/ops/matmul.ts";
import { concat, slice } from "../engine/ops/shape.ts";
import { show } from "../engine/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import {
  checkFields,
  configError,
  configRemarks,
  count,
  oneOf,
  only,
  readFields,
  real,
} from "./config.ts";
import { check, fail } from "./errors.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import type { ModelSource } from "./hub/open.ts";
import type { HubOptions } from "./hub/settings.ts";
import type { Names } from "./names.ts";
import {
  ACTIVATIONS,
  drop,
  type Embedding,
  type ForwardOptions,
  type LayerNorm,
  multiHeadAttention,
  type TextInput,
} from "./nn.ts";
import { type ModelWeights, type Storage, Weights } from "./weights.ts";

const FIELDS = {
  model_type: only("gpt2"),
  vocab_size: count(1),
  n_positions: count(1, { also: "max_position_embeddings" }),
  n_embd: count(1, { also: "hidden_size" }),
  n_layer: count(1, { also: "num_hidden_layers" }),
  n_head: count(1, { also: "num_attention_heads" }),
  n_inner: count(1, { absent: 0 }), // null: 4 n_embd
  activation_function: oneOf(ACTIVATIONS, "geluTanh"),
  resid_pdrop: real(0, 1, { absent: 0.1 }),
  embd_pdrop: real(0, 1, { absent: 0.1 }),
  attn_pdrop: real(0, 1, { absent: 0.1 }),
  layer_norm_epsilon: real(0, 1, { absent: 1e-5 }),
  initializer_range: real(0, 10, { absent: 0.02 }),
  eos_token_id: count(0, { absent: 50256 }),
  scale_attn_weights: only(true),
  scale_attn_by_inverse_layer_idx: only(false),
  add_cross_attention: only(false),
  tie_word_embeddings: only(true),
};

/** The fields of config.json that the model reads. */
export type GPT2Config = ReturnType<typeof gpt2Config>;

/** Throws `[config] ...` with every missing or wrong field. */
export function gpt2Config(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  checkFields(json as Json, config.vocab_size, {}, where);
  const { n_embd, n_head } = config;
  if (n_embd % n_head !== 0) {
    throw configError(where, [`n_head ${n_head} does not divide n_embd ${n_embd}`]);
  }
  return { ...config, n_inner: config.n_inner || 4 * n_embd };
}

/** Files of GPT2Model lack "transformer."; older ones hold the causal mask of each layer. */
const gpt2Names = (): Names => ({
  base: { prefix: "transformer", parts: ["wte", "wpe", "h", "ln_f"] },
  parts: ["lm_head"],
  tied: { "lm_head.weight": "transformer.wte.weight" },
  spellings: {},
  unread: [/^transformer\.h\.\d+\.attn\.(?:masked_)?bias$/],
});

/** A layer's keys and values, [B, T, n_embd]. */
type KeyValue = {
  readonly k: Tensor;
  readonly v: Tensor;
};

type GPT2Options = ForwardOptions & {
  /** Takes a layer's new keys and values, gives those that the new places see: earlier ones too, the new ones last. */
  readonly remember?: (own: KeyValue, layer: number) => KeyValue;
};

/** y = x W + b. */
class Conv1D {
  readonly weight: Tensor; // [inputs, outputs]
  readonly bias: Tensor; // [outputs]
  constructor(w: Weights, name: string, outputs: number, inputs: number) {
    this.weight = w.embedding(name, inputs, outputs).weight;
    this.bias = w.bias(`${name}.bias`, outputs);
  }
  /** x [..., inputs] -> [..., outputs]. */
  apply(x: Tensor): Tensor {
    return add(matmul(x, this.weight), this.bias);
  }
}

class GPT2Attention {
  readonly cAttn: Conv1D; // queries, keys and values side by side
  readonly cProj: Conv1D;
  readonly #config: GPT2Config;
  readonly #layer: number;
  constructor(w: Weights, c: GPT2Config, layer: number) {
    this.cAttn = new Conv1D(w, "c_attn", 3 * c.n_embd, c.n_embd);
    this.cProj = new Conv1D(w, "c_proj", c.n_embd, c.n_embd);
    this.#config = c;
    this.#layer = layer;
  }
  forward(x: Tensor, mask: Tensor | undefined, { training, remember }: GPT2Options): Tensor {
    const { n_embd: d, n_head: heads, attn_pdrop, resid_pdrop } = this.#config;
    const joined = this.cAttn.apply(x); // [B, T, 3 n_embd]
    const [q, ownK, ownV] = [0, 1, 2].map((i) => slice(joined, 2, i * d, (i + 1) * d));
    const own = { k: ownK, v: ownV };
    const { k, v } = remember ? remember(own, this.#layer) : own;
    const options = { heads, scale: 1 / Math.sqrt(d / heads), causal: true };
    const mixed = multiHeadAttention(q, k, v, mask, options, attn_pdrop, training);
    return drop(this.cProj.apply(mixed), resid_pdrop, training);
  }
}

class GPT2MLP {
  readonly cFc: Conv1D;
  readonly cProj: Conv1D;
  readonly #activation: Activation;
  readonly #dropout: number;
  constructor(w: Weights, c: GPT2Config) {
    this.cFc = new Conv1D(w, "c_fc", c.n_inner, c.n_embd);
    this.cProj = new Conv1D(w, "c_proj", c.n_embd, c.n_inner);
    this.#activation = c.activation_function;
    this.#dropout = c.resid_pdrop;
  }
  forward(x: Tensor, { training }: ForwardOptions): Tensor {
    const wide = activations[this.#activation](this.cFc.apply(x));
    return drop(this.cProj.apply(wide), this.#dropout, training);
  }
}

class GPT2Block {
  readonly ln1: LayerNorm;
  readonly attn: GPT2Attention;
  readonly ln2: LayerNorm;
  readonly mlp: GPT2MLP;
  constructor(w: Weights, c: GPT2Config, layer: number) {
    this.ln1 = w.layerNorm("ln_1", c.n_embd, c.layer_norm_epsilon);
    this.attn = new GPT2Attention(w.at("attn"), c, layer);
    this.ln2 = w.layerNorm("ln_2", c.n_embd, c.layer_norm_epsilon);
    this.mlp = new GPT2MLP(w.at("mlp"), c);
  }
  forward(x: Tensor, mask: Tensor | undefined, options: GPT2Options): Tensor {
    const y = add(x, this.attn.forward(this.ln1.apply(x), mask, options));
    return add(y, this.mlp.forward(this.ln2.apply(y), options));
  }
}

/** Texts to go on with, as in `TextInput`. */
export type GPT2Prompt = {
  readonly ids: Tensor;
  readonly mask: Tensor;
  readonly positions: Tensor;
};

class GPT2Model {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly h: readonly GPT2Block[];
  readonly lnF: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: GPT2Config) {
    this.wte = w.embedding("wte", c.vocab_size, c.n_embd);
    this.wpe = w.table("wpe", c.n_positions, c.n_embd);
    this.h = w.layers("h", "n_layer", c.n_layer).map((at, i) => new GPT2Block(at, c, i));
    this.lnF = w.layerNorm("ln_f", c.n_embd, c.layer_norm_epsilon);
    this.#dropout = c.embd_pdrop;
  }
  forward({ ids, embeds, mask, positions }: TextInput, options: GPT2Options): Tensor {
    const words = embeds ?? (ids ? this.wte.apply(ids) : fail("gpt2", "pass ids or embeds"));
    const [limit] = this.wpe.weight.shape;
    check(words.shape[1] <= limit, "gpt2", () => {
      return `input ${show(words.shape)} is longer than n_positions ${limit}; shorten the texts`;
    });
    const places = positions
      ? embedding(this.wpe.weight, positions) // [B, T, n_embd]
      : slice(this.wpe.weight, 0, 0, words.shape[1]); // [T, n_embd]
    let x = drop(add(words, places), this.#dropout, options.training);
    for (const block of this.h) {
      options.hidden?.push(x);
      x = block.forward(x, mask, options);
    }
    const last = this.lnF.apply(x);
    options.hidden?.push(last);
    return last;
  }
}

/** GPT-2 that says which token follows. */
export class GPT2LMHeadModel {
  /** The names by which a checkpoint holds the tensors. */
  static readonly names = gpt2Names;

  readonly config: GPT2Config;
  /** config.json as it was read. */
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly transformer: GPT2Model;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    this.config = gpt2Config(json, where);
    this.json = json;
    this.transformer = new GPT2Model(w.at("transformer"), this.config);
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("GPT2LMHeadModel");
  }

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from(checkpoint: Checkpoint, storage: Storage = "f32"): GPT2LMHeadModel {
    const w = Weights.from(checkpoint, gpt2Names(), storage);
    return new GPT2LMHeadModel(w, checkpoint.config, `${checkpoint.where}/config.json`);
  }

  /** The model of a directory, name or address, or of given files; as `loadMaskedLM`. */
  static async load(
    source: ModelSource,
    storage: Storage = "f32",
    options?: HubOptions,
  ): Promise<GPT2LMHeadModel> {
    return GPT2LMHeadModel.from(await readCheckpoint(source, options), storage);
  }

  /** An untrained model: matrices normal with the config's initializer_range. */
  static random(json: Json, seed: number): GPT2LMHeadModel {
    const { initializer_range: std } = gpt2Config(json);
    return new GPT2LMHeadModel(Weights.random(seed, std), json);
  }

  /** The tensors that training may change. */
  get parameters(): Tensor[] {
    return [...this.weights.parameters.values()];
  }

  /** Whether weight decay shrinks the parameter of this name. Throws for a name that is no parameter. */
  get decays(): ModelWeights["decays"] {
    return this.weights.decays;
  }

  /** Embeddings of ids u32 [...] -> [..., n_embd], without positions. */
  embed(ids: Tensor): Tensor {
    return this.transformer.wte.apply(ids);
  }

  /** Last hidden states [B, T, n_embd]; each place sees itself and those before it. */
  decode(input: TextInput, options: GPT2Options = {}): Tensor {
    return this.transformer.forward(input, options);
  }

  /** The LM head: hidden [..., n_embd] -> logits [..., vocab_size]. */
  logits(hidden: Tensor): Tensor {
    return linear(hidden, this.transformer.wte.weight);
  }

  /**
   * The most probable token behind each text, `count` times; behind eos_token_id only that. Keys and values are computed once
   * for each place. All steps are one plan, so that nothing waits for the host; its size grows with `count`.
   *
   * @param input texts that end at the same place, padded on the left: ids, mask and, counted from each text's begin, positions
   * @returns ids u32 [B, count]
   */
  generate({ ids, mask, positions }: GPT2Prompt, count: number): Tensor {
    const [texts, length] = ids.shape;
    check(length + count <= this.config.n_positions, "gpt2", () => {
      return `${length} tokens and ${count} more exceed n_positions ${this.config.n_positions}; use fewer`;
    });
    const past: KeyValue[] = [];
    const remember = (own: KeyValue, layer: number): KeyValue => {
      const { k, v } = past[layer] ?? {};
      past[layer] = k && v ? { k: concat([k, own.k], 1), v: concat([v, own.v], 1) } : own;
      return past[layer];
    };
    const end = (x: Tensor) => slice(x, 1, x.shape[1] - 1, x.shape[1]);
    const { eos_token_id: eos } = this.config;
    const written: Tensor[] = [];
    for (let step = { ids, mask, positions }; written.length < count; ) {
      const best = argmax(this.logits(end(this.decode(step, { remember })))); // [B, 1]
      const next = written.length === 0 ? best : where(equal(step.ids, eos), eos, best);
      const seen = concat([step.mask, full([texts, 1], 1, "u32")], 1);
      step = { ids: next, mask: seen, positions: add(end(step.positions), 1) };
      written.push(next);
    }
    return concat(written, 1);
  }
}
