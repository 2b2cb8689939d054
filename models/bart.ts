/**
 * BART with its LM head (Lewis et al., 2020), as Hugging Face stores and computes it: post-LayerNorm, learned
 * positions that begin at row 2, one table of embeddings for encoder, decoder and output. Classes stand in upstream's order.
 *
 * The encoder is batch first, [B, S, d]; the decoder step-major, [T, B, d], so that its key/value cache grows at the end.
 */

import { add, mul } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { linear } from "../engine/ops/matmul.ts";
import { concat, reshape, slice } from "../engine/ops/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import {
  checkFields,
  configError,
  configRemarks,
  count,
  flag,
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
  type AttentionOptions,
  drop,
  type Embedding,
  type ForwardOptions,
  type LayerNorm,
  type Layout,
  type Linear,
  multiHeadAttention,
  type TextInput,
} from "./nn.ts";
import type { DecoderCache, KeyValue, Seq2Seq } from "./seq2seq.ts";
import { type ModelWeights, type Storage, Weights } from "./weights.ts";

const FIELDS = {
  model_type: only("bart"),
  vocab_size: count(1),
  d_model: count(1, { also: "hidden_size" }),
  encoder_layers: count(1, { also: "num_hidden_layers" }),
  decoder_layers: count(1),
  encoder_attention_heads: count(1, { also: "num_attention_heads" }),
  decoder_attention_heads: count(1),
  encoder_ffn_dim: count(1),
  decoder_ffn_dim: count(1),
  max_position_embeddings: count(1),
  activation_function: oneOf(ACTIVATIONS, "gelu"),
  dropout: real(0, 1, { absent: 0.1 }),
  attention_dropout: real(0, 1, { absent: 0 }),
  activation_dropout: real(0, 1, { absent: 0 }),
  init_std: real(0, 10, { absent: 0.02 }),
  scale_embedding: flag({ absent: false }),
  bos_token_id: count(0, { absent: 0 }),
  pad_token_id: count(0, { absent: 1 }),
  eos_token_id: count(0, { absent: 2 }),
  decoder_start_token_id: count(0, { absent: 2 }),
  normalize_before: only(false),
  normalize_embedding: only(true),
  static_position_embeddings: only(false),
  add_final_layer_norm: only(false),
  tie_word_embeddings: only(true),
};

/** Fields that would change what is computed, see `checkFields`. */
const NEUTRAL: Json = {
  do_blenderbot_90_layernorm: false,
  extra_pos_embeddings: 2,
  is_decoder: false,
  is_encoder_decoder: true,
};

/** The fields of config.json that the model reads. */
export type BartConfig = ReturnType<typeof bartConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export function bartConfig(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  checkFields(json as Json, config.vocab_size, NEUTRAL, where);
  const problems = (["encoder_attention_heads", "decoder_attention_heads"] as const)
    .filter((name) => config.d_model % config[name] !== 0)
    .map((name) => `${name} ${config[name]} does not divide d_model ${config.d_model}`);
  if (problems.length > 0) throw configError(where, problems);
  return config;
}

/** One table serves four places; a file may hold it under any of their names. Files of BartModel lack "model." and the bias. */
const bartNames = (): Names => ({
  base: { prefix: "model", parts: ["shared", "encoder", "decoder"] },
  parts: ["lm_head", "final_logits_bias"],
  tied: {
    "model.encoder.embed_tokens.weight": "model.shared.weight",
    "model.decoder.embed_tokens.weight": "model.shared.weight",
    "lm_head.weight": "model.shared.weight",
  },
  spellings: {},
  unread: ["model.encoder.version", "model.decoder.version"],
  optional: ["final_logits_bias"],
});

/** LayerNorm's epsilon, which is no field of the config. */
const EPS = 1e-5;
/** Rows of the position table before that of position 0. */
const OFFSET = 2;

const behind = (past: Tensor, own: Tensor): Tensor => concat([past, own], 0);

class BartLearnedPositionalEmbedding {
  readonly table: Tensor; // [2 + max_position_embeddings, d]
  constructor(w: Weights, name: string, c: BartConfig) {
    this.table = w.table(name, c.max_position_embeddings + OFFSET, c.d_model).weight;
  }
  /** Rows of the places start, start + 1, ..., or of `positions` (u32, 0 is the first place). */
  forward(start: number, length: number, positions: Tensor | undefined): Tensor {
    const [rows] = this.table.shape;
    check(start + length + OFFSET <= rows, "bart", () => {
      const limit = `max_position_embeddings ${rows - OFFSET}`;
      return `${start + length} places are more than ${limit}; shorten the texts`;
    });
    if (positions) return embedding(this.table, add(positions, OFFSET));
    return slice(this.table, 0, start + OFFSET, start + OFFSET + length);
  }
}

class BartAttention {
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly qProj: Linear;
  readonly outProj: Linear;
  readonly #options: AttentionOptions;
  readonly #dropout: number;
  constructor(w: Weights, heads: number, layouts: [query: Layout, key: Layout], c: BartConfig) {
    const { d_model: d } = c;
    this.kProj = w.linear("k_proj", d, d);
    this.vProj = w.linear("v_proj", d, d);
    this.qProj = w.linear("q_proj", d, d);
    this.outProj = w.linear("out_proj", d, d);
    const [queryLayout, keyLayout] = layouts;
    this.#options = { heads, scale: 1 / Math.sqrt(d / heads), queryLayout, keyLayout };
    this.#dropout = c.attention_dropout;
  }
  keyValue(x: Tensor): KeyValue {
    return { k: this.kProj.apply(x), v: this.vProj.apply(x) };
  }
  /** x asks the keys; each has the layout given at construction. */
  forward(
    x: Tensor,
    { k, v }: KeyValue,
    mask: Tensor | undefined,
    causal: boolean,
    { training }: ForwardOptions,
  ): Tensor {
    const options = { ...this.#options, causal };
    const q = this.qProj.apply(x);
    return this.outProj.apply(multiHeadAttention(q, k, v, mask, options, this.#dropout, training));
  }
}

/** fc1, the activation, fc2 and the LayerNorm behind them: the end of both kinds of layer. */
class FeedForward {
  readonly fc1: Linear;
  readonly fc2: Linear;
  readonly finalLayerNorm: LayerNorm;
  readonly #config: BartConfig;
  constructor(w: Weights, width: number, c: BartConfig) {
    this.fc1 = w.linear("fc1", c.d_model, width);
    this.fc2 = w.linear("fc2", width, c.d_model);
    this.finalLayerNorm = w.layerNorm("final_layer_norm", c.d_model, EPS);
    this.#config = c;
  }
  forward(x: Tensor, { training }: ForwardOptions): Tensor {
    const { activation_function: activation, activation_dropout, dropout } = this.#config;
    const wide = drop(this.fc1.apply(x, { activation }), activation_dropout, training);
    return this.finalLayerNorm.apply(this.fc2.apply(wide), x, dropout, training);
  }
}

class BartEncoderLayer {
  readonly selfAttn: BartAttention;
  readonly selfAttnLayerNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly #dropout: number;
  constructor(w: Weights, c: BartConfig) {
    const heads = c.encoder_attention_heads;
    this.selfAttn = new BartAttention(w.at("self_attn"), heads, ["btd", "btd"], c);
    this.selfAttnLayerNorm = w.layerNorm("self_attn_layer_norm", c.d_model, EPS);
    this.feedForward = new FeedForward(w, c.encoder_ffn_dim, c);
    this.#dropout = c.dropout;
  }
  forward(x: Tensor, mask: Tensor | undefined, options: ForwardOptions): Tensor {
    const { selfAttn, selfAttnLayerNorm } = this;
    const attended = selfAttn.forward(x, selfAttn.keyValue(x), mask, false, options);
    const mixed = selfAttnLayerNorm.apply(attended, x, this.#dropout, options.training);
    return this.feedForward.forward(mixed, options);
  }
}

class BartDecoderLayer {
  readonly selfAttn: BartAttention;
  readonly selfAttnLayerNorm: LayerNorm;
  readonly encoderAttn: BartAttention;
  readonly encoderAttnLayerNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly #dropout: number;
  constructor(w: Weights, c: BartConfig) {
    const heads = c.decoder_attention_heads;
    this.selfAttn = new BartAttention(w.at("self_attn"), heads, ["tbd", "tbd"], c);
    this.selfAttnLayerNorm = w.layerNorm("self_attn_layer_norm", c.d_model, EPS);
    this.encoderAttn = new BartAttention(w.at("encoder_attn"), heads, ["tbd", "btd"], c);
    this.encoderAttnLayerNorm = w.layerNorm("encoder_attn_layer_norm", c.d_model, EPS);
    this.feedForward = new FeedForward(w, c.decoder_ffn_dim, c);
    this.#dropout = c.dropout;
  }
  /** x [T, B, d] behind the places of `past`; returns its output and all keys and values up to its end. */
  forward(
    x: Tensor,
    mask: Tensor | undefined,
    past: KeyValue | undefined,
    cross: KeyValue,
    crossMask: Tensor | undefined,
    options: ForwardOptions,
    join = behind,
  ): { x: Tensor; self: KeyValue } {
    const { selfAttn, encoderAttn } = this;
    const own = selfAttn.keyValue(x);
    const self = past ? { k: join(past.k, own.k), v: join(past.v, own.v) } : own; // [past + T, B, d]
    const attended = selfAttn.forward(x, self, mask, x.shape[0] > 1, options);
    const y = this.selfAttnLayerNorm.apply(attended, x, this.#dropout, options.training);
    const read = encoderAttn.forward(y, cross, crossMask, false, options);
    const z = this.encoderAttnLayerNorm.apply(read, y, this.#dropout, options.training);
    return { x: this.feedForward.forward(z, options), self };
  }
}

class BartEncoder {
  readonly embedPositions: BartLearnedPositionalEmbedding;
  readonly layers: readonly BartEncoderLayer[];
  readonly layernormEmbedding: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: BartConfig) {
    this.embedPositions = new BartLearnedPositionalEmbedding(w, "embed_positions", c);
    const places = w.layers("layers", "encoder_layers", c.encoder_layers);
    this.layers = places.map((place) => new BartEncoderLayer(place, c));
    this.layernormEmbedding = w.layerNorm("layernorm_embedding", c.d_model, EPS);
    this.#dropout = c.dropout;
  }
  /** embeds [B, S, d], mask u32 [B, S], positions u32 [B, S]. */
  forward(
    embeds: Tensor,
    mask: Tensor | undefined,
    positions: Tensor | undefined,
    options: ForwardOptions,
  ): Tensor {
    const places = this.embedPositions.forward(0, embeds.shape[1], positions);
    const normed = this.layernormEmbedding.apply(add(embeds, places));
    let x = drop(normed, this.#dropout, options.training);
    options.hidden?.push(x);
    for (const layer of this.layers) {
      x = layer.forward(x, mask, options);
      options.hidden?.push(x);
    }
    return x;
  }
}

class BartDecoder {
  readonly embedPositions: BartLearnedPositionalEmbedding;
  readonly layers: readonly BartDecoderLayer[];
  readonly layernormEmbedding: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: BartConfig) {
    this.embedPositions = new BartLearnedPositionalEmbedding(w, "embed_positions", c);
    const places = w.layers("layers", "decoder_layers", c.decoder_layers);
    this.layers = places.map((place) => new BartDecoderLayer(place, c));
    this.layernormEmbedding = w.layerNorm("layernorm_embedding", c.d_model, EPS);
    this.#dropout = c.dropout;
  }
  /** See `Seq2Seq.decode`. */
  forward(
    embeds: Tensor,
    cache: DecoderCache,
    mask: Tensor | undefined,
    positions: Tensor | undefined,
    options: ForwardOptions,
  ): { hidden: Tensor; cache: DecoderCache } {
    const [length, , d] = embeds.shape;
    const rows = this.embedPositions.forward(cache.length, length, positions);
    const places = positions ? rows : reshape(rows, [length, 1, d]);
    const normed = this.layernormEmbedding.apply(add(embeds, places));
    let x = drop(normed, this.#dropout, options.training);
    options.hidden?.push(x);
    const layers = this.layers.map((layer, i) => {
      const { self: past, cross } = cache.layers[i];
      const { encoderMask, join } = cache;
      const step = layer.forward(x, mask, past, cross, encoderMask, options, join);
      x = step.x;
      options.hidden?.push(x);
      return { self: step.self, cross };
    });
    return { hidden: x, cache: { ...cache, length: cache.length + length, layers } };
  }
}

class BartModel {
  readonly shared: Embedding;
  readonly encoder: BartEncoder;
  readonly decoder: BartDecoder;
  constructor(w: Weights, c: BartConfig) {
    this.shared = w.embedding("shared", c.vocab_size, c.d_model, c.pad_token_id);
    this.encoder = new BartEncoder(w.at("encoder"), c);
    this.decoder = new BartDecoder(w.at("decoder"), c);
  }
}

/** BART that writes text about a text. */
export class BartForConditionalGeneration implements Seq2Seq {
  /** The names by which a checkpoint holds the tensors. */
  static readonly names = bartNames;

  readonly config: BartConfig;
  /** config.json as it was read. */
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly model: BartModel;
  readonly finalLogitsBias: Tensor; // [1, vocab_size]

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    this.config = bartConfig(json, where);
    this.json = json;
    this.model = new BartModel(w.at("model"), this.config);
    this.finalLogitsBias = w.buffer("final_logits_bias", [1, this.config.vocab_size]);
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("BartForConditionalGeneration");
  }

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from(checkpoint: Checkpoint, storage: Storage = "f32"): BartForConditionalGeneration {
    const w = Weights.from(checkpoint, bartNames(), storage);
    return new BartForConditionalGeneration(
      w,
      checkpoint.config,
      `${checkpoint.where}/config.json`,
    );
  }

  /** The model of a directory, name or address, or of given files; as `loadMaskedLM`. */
  static async load(
    source: ModelSource,
    storage: Storage = "f32",
    options?: HubOptions,
  ): Promise<BartForConditionalGeneration> {
    return BartForConditionalGeneration.from(await readCheckpoint(source, options), storage);
  }

  /** An untrained model: matrices normal with the config's init_std. */
  static random(json: Json, seed: number): BartForConditionalGeneration {
    const { init_std: std } = bartConfig(json);
    return new BartForConditionalGeneration(Weights.random(seed, std), json);
  }

  /** The tensors that training may change. */
  get parameters(): Tensor[] {
    return [...this.weights.parameters.values()];
  }

  get decays(): ModelWeights["decays"] {
    return this.weights.decays;
  }

  get vocabularySize(): number {
    return this.config.vocab_size;
  }

  get positions(): number {
    return this.config.max_position_embeddings;
  }

  get wordEmbeddings(): Embedding {
    return this.model.shared;
  }

  /** sqrt(d_model) with scale_embedding, else 1. */
  get embedScale(): number {
    return this.config.scale_embedding ? Math.sqrt(this.config.d_model) : 1;
  }

  get outputTable(): Tensor {
    return this.model.shared.weight;
  }

  get outputScale(): number {
    return 1;
  }

  get outputBias(): Tensor {
    return reshape(this.finalLogitsBias, [-1]);
  }

  embed(ids: Tensor): Tensor {
    const rows = this.model.shared.apply(ids);
    return this.embedScale === 1 ? rows : mul(rows, this.embedScale);
  }

  encode(input: TextInput, options: ForwardOptions = {}): Tensor {
    return this.model.encoder.forward(this.#embeds(input), input.mask, input.positions, options);
  }

  start(encoded: Tensor, encoderMask: Tensor | undefined): DecoderCache {
    const layers = this.model.decoder.layers.map(({ encoderAttn }) => ({
      cross: encoderAttn.keyValue(encoded),
    }));
    return { length: 0, layers, encoderMask };
  }

  decode(input: TextInput, cache: DecoderCache, options: ForwardOptions = {}) {
    const { mask, positions } = input;
    return this.model.decoder.forward(this.#embeds(input), cache, mask, positions, options);
  }

  logits(hidden: Tensor): Tensor {
    return linear(hidden, this.outputTable, this.outputBias);
  }

  #embeds({ ids, embeds }: TextInput): Tensor {
    return embeds ?? (ids ? this.embed(ids) : fail("bart", "pass ids or embeds"));
  }
}
