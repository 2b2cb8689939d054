/**
 * T5 with its LM head (Raffel et al., 2020) and T5 v1.1 (Shazeer, 2020), as Hugging Face stores and computes them: RMSNorm in front
 * of each part, positions as biases of the attention's scores by distance, no other bias, scores that are not scaled. Classes stand
 * in upstream's order.
 *
 * The encoder is batch first, [B, S, d]; the decoder step-major, [T, B, d], so that its key/value cache grows at the end.
 */

import type { Layout } from "../engine/ops/attention.ts";
import {
  add,
  gelu,
  geluTanh,
  logicalAnd,
  maximum,
  minimum,
  mul,
  relu,
  silu,
  sub,
  where,
} from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { linear, matmul } from "../engine/ops/matmul.ts";
import { concat, permute, reshape } from "../engine/ops/shape.ts";
import { softmax } from "../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import {
  checkFields,
  configError,
  configRemarks,
  count,
  type Field,
  flag,
  oneOf,
  only,
  readFields,
  real,
} from "./config.ts";
import { fail } from "./errors.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import type { ModelSource } from "./hub/open.ts";
import type { HubOptions } from "./hub/settings.ts";
import type { Names } from "./names.ts";
import {
  drop,
  type Embedding,
  type ForwardOptions,
  type Linear,
  type RMSNorm,
  type TextInput,
} from "./nn.ts";
import type { DecoderCache, KeyValue, Seq2Seq } from "./seq2seq.ts";
import { type ModelWeights, type Storage, Weights } from "./weights.ts";

/** What stands between the two matrices of a feed-forward part, by transformers' names. */
const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  relu,
  gelu,
  gelu_new: geluTanh,
  silu,
};

/** A field with a few supported values. */
const among = (values: readonly string[], absent: string): Field<string> =>
  oneOf(Object.fromEntries(values.map((value) => [value, value])), absent);

const GATED = "gated-";
const PROJECTIONS = Object.keys(ACTIVATIONS).flatMap((name) => [name, GATED + name]);

const optionalFlag: Field<boolean | null> = { ...flag(), absent: null };

const FIELDS = {
  model_type: only("t5"),
  vocab_size: count(1),
  d_model: count(1),
  d_kv: count(1),
  d_ff: count(1),
  num_layers: count(1),
  num_decoder_layers: count(1, { absent: 0 }), // null: num_layers
  num_heads: count(1),
  relative_attention_num_buckets: count(4, { absent: 32 }),
  relative_attention_max_distance: count(1, { absent: 128 }),
  dropout_rate: real(0, 1, { absent: 0.1 }),
  layer_norm_epsilon: real(0, 1, { absent: 1e-6 }),
  initializer_factor: real(0, 1000, { absent: 1 }),
  feed_forward_proj: among(PROJECTIONS, "relu"),
  dense_act_fn: among(Object.keys(ACTIVATIONS), ""),
  is_gated_act: optionalFlag,
  tie_word_embeddings: flag({ absent: true }),
  scale_decoder_outputs: optionalFlag,
  is_encoder_decoder: only(true),
  tie_encoder_decoder: only(false),
};

/** Rows of the table of distances on either side, at most. */
const FARTHEST = 2 ** 16;

/** The fields of config.json that the model reads. */
export type T5Config = ReturnType<typeof t5Config>;

/** Throws `[config] ...` with every missing or wrong field. */
export function t5Config(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  const { feed_forward_proj: projection, is_gated_act, dense_act_fn } = config;
  const { relative_attention_num_buckets: buckets, relative_attention_max_distance: far } = config;
  const gated = projection.startsWith(GATED);
  const named = gated ? projection.slice(GATED.length) : projection;
  const activation = projection === "gated-gelu" ? "gelu_new" : named;
  const problems: string[] = [];
  const means = (name: string, given: unknown, meant: unknown) =>
    problems.push(
      `${name} is ${JSON.stringify(given)} where feed_forward_proj ${JSON.stringify(projection)} means ${JSON.stringify(meant)}`,
    );
  if (dense_act_fn !== "" && dense_act_fn !== activation) {
    means("dense_act_fn", dense_act_fn, activation);
  }
  if (is_gated_act !== null && is_gated_act !== gated) means("is_gated_act", is_gated_act, gated);
  if (far <= Math.floor(buckets / 2) || far > FARTHEST) {
    problems.push(
      `relative_attention_max_distance ${far} is not above half of relative_attention_num_buckets ${buckets} and at most ${FARTHEST}`,
    );
  }
  if (problems.length > 0) throw configError(where, problems);
  checkFields(json as Json, config.vocab_size, { is_decoder: false }, where);
  return {
    ...config,
    num_decoder_layers: config.num_decoder_layers || config.num_layers,
    dense_act_fn: activation,
    is_gated_act: gated,
    scale_decoder_outputs: config.scale_decoder_outputs ?? config.tie_word_embeddings,
  };
}

const SHARED = "shared.weight";
const HEAD = "lm_head.weight";

/**
 * Whether the output has a table of its own. transformers 5 writes tie_word_embeddings true for every model; what it does not
 * scale and has a head in the file is a T5 v1.1.
 */
const hasHead = (c: T5Config, holds: (name: string) => boolean): boolean =>
  !c.tie_word_embeddings || (!c.scale_decoder_outputs && holds(HEAD));

const NO_HEAD =
  "it gives hidden states, but cannot write; use a checkpoint of T5ForConditionalGeneration, or, where the table of " +
  'its words is that of its output too, set "tie_word_embeddings" to true in config.json';

/** One table serves two or three more places; a file may hold it under any of their names. Older files have a table that is not read. */
function t5Names({ config, where, tensors }: Checkpoint): Names {
  const c = t5Config(config, `${where}/config.json`);
  const own = hasHead(c, (name) => tensors.has(name));
  return {
    base: { prefix: "encoder", parts: [] },
    parts: ["shared", "encoder", "decoder", "lm_head"],
    tied: {
      "encoder.embed_tokens.weight": SHARED,
      "decoder.embed_tokens.weight": SHARED,
      ...(own ? {} : { [HEAD]: SHARED }),
    },
    spellings: {},
    unread: ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"],
    ...(own ? { head: { prefix: HEAD, lacking: NO_HEAD } } : {}),
  };
}

/** Stands for the scores of what is not seen, as in `attention`. */
const UNSEEN = -1e30;

/**
 * The bucket of each distance -limit, ..., limit from a query to a key: small ones have their own, larger ones share them by
 * their logarithms, those from `farthest` on the last. Of a decoder (not `bidirectional`) all keys behind the query have bucket 0.
 */
export function relativeBuckets(
  limit: number,
  bidirectional: boolean,
  buckets: number,
  farthest: number,
): Uint32Array {
  const half = bidirectional ? Math.floor(buckets / 2) : buckets;
  const exact = Math.floor(half / 2);
  const f = Math.fround; // transformers computes them in float32
  const scale = f(Math.log(farthest / exact));
  const bucket = (distance: number): number => {
    if (distance < exact) return distance;
    const share = f(f(Math.log(f(distance / exact))) / scale);
    return Math.min(half - 1, exact + Math.trunc(f(share * (half - exact))));
  };
  return Uint32Array.from({ length: 2 * limit + 1 }, (_, i) => {
    const distance = i - limit;
    if (distance <= 0) return bucket(-distance);
    return bidirectional ? half + bucket(distance) : 0;
  });
}

/** Positions of places: start, start + 1, ..., or u32 [B, T]. */
type Places = Tensor | { readonly start: number; readonly length: number };

/** u32 [B, T], or [1, T] of a run. */
function placesTensor(places: Places): Tensor {
  if (!("start" in places)) return places;
  const { start, length } = places;
  return tensor(
    Uint32Array.from({ length }, (_, i) => start + i),
    [1, length],
  );
}

class RelativeAttentionBias {
  readonly table: Tensor; // [buckets, heads]
  readonly #farthest: number;
  readonly #buckets: Uint32Array;
  constructor(w: Weights, c: T5Config, bidirectional: boolean) {
    const { relative_attention_num_buckets: buckets, num_heads } = c;
    const spread = c.d_model ** -0.5;
    this.table = w.biasTable("relative_attention_bias", buckets, num_heads, spread).weight;
    this.#farthest = c.relative_attention_max_distance;
    this.#buckets = relativeBuckets(this.#farthest, bidirectional, buckets, this.#farthest);
  }
  /** [B, heads, Tq, Tk], or [1, ...] where both are runs. */
  forward(queries: Places, keys: Places): Tensor {
    const far = this.#farthest;
    // a table by distance lies between, so that each row of a gradient has few parts
    const byDistance = embedding(this.table, tensor(this.#buckets, [2 * far + 1]));
    const rows = embedding(byDistance, this.#distances(queries, keys)); // [B, Tq, Tk, heads]
    return permute(rows, [0, 3, 1, 2]);
  }
  /** Rows of the table by distance, u32 [B, Tq, Tk]. */
  #distances(queries: Places, keys: Places): Tensor {
    const far = this.#farthest;
    if ("start" in queries && "start" in keys) {
      const rows = Uint32Array.from({ length: queries.length * keys.length }, (_, i) => {
        const query = queries.start + Math.floor(i / keys.length);
        const key = keys.start + (i % keys.length);
        return Math.min(Math.max(key - query, -far), far) + far;
      });
      return tensor(rows, [1, queries.length, keys.length]);
    }
    const [q, k] = [placesTensor(queries), placesTensor(keys)];
    const query = reshape(q, [q.shape[0], q.shape[1], 1]);
    const key = reshape(k, [k.shape[0], 1, k.shape[1]]);
    return minimum(sub(maximum(add(key, far), query), query), 2 * far);
  }
}

/**
 * What is added to the scores of one stack's attentions: biases [B or 1, heads, Tq, Tk] or none, and UNSEEN for keys that are not
 * visible. Undefined where that is nothing.
 *
 * @param mask u32 [B, Tk] or [B, Tq, Tk], 1 = visible
 * @param causal the queries are the last of the keys, and see themselves and what is before them
 */
function scoresOf(
  bias: Tensor | undefined,
  mask: Tensor | undefined,
  [queries, keys]: readonly [number, number],
  causal: boolean,
): Tensor | undefined {
  let visible =
    mask && reshape(mask, [mask.shape[0], 1, mask.shape.length === 3 ? queries : 1, keys]);
  if (causal) {
    const seen = Uint32Array.from({ length: queries * keys }, (_, at) =>
      (at % keys) - Math.floor(at / keys) <= keys - queries ? 1 : 0,
    );
    const triangle = tensor(seen, [1, 1, queries, keys]);
    visible = visible ? logicalAnd(visible, triangle) : triangle;
  }
  return visible ? where(visible, bias ?? 0, UNSEEN) : bias;
}

/** What a feed-forward part of either kind does. */
type FeedForward = { forward(x: Tensor, options: ForwardOptions): Tensor };

class T5DenseActDense implements FeedForward {
  readonly wi: Linear;
  readonly wo: Linear;
  readonly #config: T5Config;
  constructor(w: Weights, c: T5Config) {
    this.wi = w.projection("wi", c.d_model, c.d_ff, c.d_model ** -0.5);
    this.wo = w.projection("wo", c.d_ff, c.d_model, c.d_ff ** -0.5);
    this.#config = c;
  }
  forward(x: Tensor, { training }: ForwardOptions): Tensor {
    const { dense_act_fn, dropout_rate } = this.#config;
    return this.wo.apply(drop(ACTIVATIONS[dense_act_fn](this.wi.apply(x)), dropout_rate, training));
  }
}

class T5DenseGatedActDense implements FeedForward {
  readonly wi0: Linear;
  readonly wi1: Linear;
  readonly wo: Linear;
  readonly #config: T5Config;
  constructor(w: Weights, c: T5Config) {
    this.wi0 = w.projection("wi_0", c.d_model, c.d_ff, c.d_model ** -0.5);
    this.wi1 = w.projection("wi_1", c.d_model, c.d_ff, c.d_model ** -0.5);
    this.wo = w.projection("wo", c.d_ff, c.d_model, c.d_ff ** -0.5);
    this.#config = c;
  }
  forward(x: Tensor, { training }: ForwardOptions): Tensor {
    const { dense_act_fn, dropout_rate } = this.#config;
    const wide = mul(ACTIVATIONS[dense_act_fn](this.wi0.apply(x)), this.wi1.apply(x));
    return this.wo.apply(drop(wide, dropout_rate, training));
  }
}

class T5LayerFF {
  readonly dense: FeedForward;
  readonly layerNorm: RMSNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: T5Config) {
    const place = w.at("DenseReluDense");
    this.dense = c.is_gated_act
      ? new T5DenseGatedActDense(place, c)
      : new T5DenseActDense(place, c);
    this.layerNorm = normOf(w, "layer_norm", c);
    this.#dropout = c.dropout_rate;
  }
  forward(x: Tensor, options: ForwardOptions): Tensor {
    const made = this.dense.forward(this.layerNorm.apply(x), options);
    return add(x, drop(made, this.#dropout, options.training));
  }
}

const normOf = (w: Weights, name: string, c: T5Config): RMSNorm =>
  w.rmsNorm(name, c.d_model, c.layer_norm_epsilon, c.initializer_factor);

class T5Attention {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  /** Of a stack's first self-attention, for all of them. */
  readonly relativeAttentionBias: RelativeAttentionBias | undefined;
  readonly #config: T5Config;
  readonly #layouts: readonly [query: Layout, key: Layout];
  constructor(
    w: Weights,
    layouts: readonly [query: Layout, key: Layout],
    c: T5Config,
    bias?: "bidirectional" | "causal",
  ) {
    const { d_model: d, d_kv } = c;
    const inner = c.num_heads * d_kv;
    this.q = w.projection("q", d, inner, (d * d_kv) ** -0.5);
    this.k = w.projection("k", d, inner, d ** -0.5);
    this.v = w.projection("v", d, inner, d ** -0.5);
    this.o = w.projection("o", inner, d, inner ** -0.5);
    this.relativeAttentionBias = bias && new RelativeAttentionBias(w, c, bias === "bidirectional");
    this.#config = c;
    this.#layouts = layouts;
  }
  keyValue(x: Tensor): KeyValue {
    return { k: this.k.apply(x), v: this.v.apply(x) };
  }
  /** x asks the keys; `scores` are added to q . k (see `scoresOf`). */
  forward(
    x: Tensor,
    { k, v }: KeyValue,
    scores: Tensor | undefined,
    { training }: ForwardOptions,
  ): Tensor {
    const [layout, keyLayout] = this.#layouts;
    const q = this.q.apply(x);
    const products = matmul(this.#heads(q, layout), this.#heads(k, keyLayout), { transB: true });
    const weights = softmax(scores ? add(products, scores) : products); // [B, heads, Tq, Tk]
    const dropped = drop(weights, this.#config.dropout_rate, training);
    const mixed = matmul(dropped, this.#heads(v, keyLayout)); // [B, heads, Tq, d_kv]
    const order = layout === "btd" ? [0, 2, 1, 3] : [2, 0, 1, 3];
    return this.o.apply(reshape(permute(mixed, order), q.shape));
  }
  /** -> [B, heads, T, d_kv]. */
  #heads(x: Tensor, layout: Layout): Tensor {
    const { num_heads, d_kv } = this.#config;
    const apart = reshape(x, [x.shape[0], x.shape[1], num_heads, d_kv]);
    return permute(apart, layout === "btd" ? [0, 2, 1, 3] : [1, 2, 0, 3]);
  }
}

/** RMSNorm, attention, dropout and the sum with what came in. */
class T5LayerAttention {
  readonly attention: T5Attention;
  readonly layerNorm: RMSNorm;
  readonly #dropout: number;
  constructor(w: Weights, attention: T5Attention, c: T5Config) {
    this.attention = attention;
    this.layerNorm = normOf(w, "layer_norm", c);
    this.#dropout = c.dropout_rate;
  }
  /** @param normed x behind `layerNorm` */
  forward(
    x: Tensor,
    normed: Tensor,
    keyValue: KeyValue,
    scores: Tensor | undefined,
    options: ForwardOptions,
  ): Tensor {
    const read = this.attention.forward(normed, keyValue, scores, options);
    return add(x, drop(read, this.#dropout, options.training));
  }
}

class T5EncoderBlock {
  readonly selfAttention: T5LayerAttention;
  readonly feedForward: T5LayerFF;
  constructor(w: Weights, c: T5Config, first: boolean) {
    const [self, feedForward] = [w.at("layer.0"), w.at("layer.1")];
    const bias = first ? "bidirectional" : undefined;
    const attention = new T5Attention(self.at("SelfAttention"), ["btd", "btd"], c, bias);
    this.selfAttention = new T5LayerAttention(self, attention, c);
    this.feedForward = new T5LayerFF(feedForward, c);
  }
  forward(x: Tensor, scores: Tensor | undefined, options: ForwardOptions): Tensor {
    const { attention, layerNorm } = this.selfAttention;
    const normed = layerNorm.apply(x);
    const y = this.selfAttention.forward(x, normed, attention.keyValue(normed), scores, options);
    return this.feedForward.forward(y, options);
  }
}

const behind = (past: Tensor, own: Tensor): Tensor => concat([past, own], 0);

class T5DecoderBlock {
  readonly selfAttention: T5LayerAttention;
  readonly crossAttention: T5LayerAttention;
  readonly feedForward: T5LayerFF;
  constructor(w: Weights, c: T5Config, first: boolean) {
    const [self, cross, feedForward] = [w.at("layer.0"), w.at("layer.1"), w.at("layer.2")];
    const bias = first ? "causal" : undefined;
    const own = new T5Attention(self.at("SelfAttention"), ["tbd", "tbd"], c, bias);
    this.selfAttention = new T5LayerAttention(self, own, c);
    const read = new T5Attention(cross.at("EncDecAttention"), ["tbd", "btd"], c);
    this.crossAttention = new T5LayerAttention(cross, read, c);
    this.feedForward = new T5LayerFF(feedForward, c);
  }
  /** x [T, B, d] behind the places of `past`; returns its output and all keys and values up to its end. */
  forward(
    x: Tensor,
    scores: Tensor | undefined,
    past: KeyValue | undefined,
    cross: KeyValue,
    crossScores: Tensor | undefined,
    options: ForwardOptions,
    join = behind,
  ): { x: Tensor; self: KeyValue } {
    const normed = this.selfAttention.layerNorm.apply(x);
    const own = this.selfAttention.attention.keyValue(normed);
    const self = past ? { k: join(past.k, own.k), v: join(past.v, own.v) } : own; // [past + T, B, inner]
    const y = this.selfAttention.forward(x, normed, self, scores, options);
    const asking = this.crossAttention.layerNorm.apply(y);
    const z = this.crossAttention.forward(y, asking, cross, crossScores, options);
    return { x: this.feedForward.forward(z, options), self };
  }
}

/** The table of a stack's biases, which its first self-attention owns. */
function biasOf(blocks: readonly (T5EncoderBlock | T5DecoderBlock)[]): RelativeAttentionBias {
  const { relativeAttentionBias } = blocks[0].selfAttention.attention;
  return relativeAttentionBias ?? fail("t5", "the first block has no table of biases");
}

class T5Encoder {
  readonly block: readonly T5EncoderBlock[];
  readonly finalLayerNorm: RMSNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: T5Config) {
    const places = w.layers("block", "num_layers", c.num_layers);
    this.block = places.map((place, i) => new T5EncoderBlock(place, c, i === 0));
    this.finalLayerNorm = normOf(w, "final_layer_norm", c);
    this.#dropout = c.dropout_rate;
  }
  /** embeds [B, S, d], mask u32 [B, S] or [B, S, S], positions u32 [B, S]. */
  forward(
    embeds: Tensor,
    mask: Tensor | undefined,
    positions: Tensor | undefined,
    options: ForwardOptions,
  ): Tensor {
    const [, length] = embeds.shape;
    const places = positions ?? { start: 0, length };
    const bias = biasOf(this.block).forward(places, places);
    const scores = scoresOf(bias, mask, [length, length], false);
    let x = drop(embeds, this.#dropout, options.training);
    for (const block of this.block) {
      options.hidden?.push(x);
      x = block.forward(x, scores, options);
    }
    const last = drop(this.finalLayerNorm.apply(x), this.#dropout, options.training);
    options.hidden?.push(last);
    return last;
  }
}

class T5Decoder {
  readonly block: readonly T5DecoderBlock[];
  readonly finalLayerNorm: RMSNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: T5Config) {
    const places = w.layers("block", "num_decoder_layers", c.num_decoder_layers);
    this.block = places.map((place, i) => new T5DecoderBlock(place, c, i === 0));
    this.finalLayerNorm = normOf(w, "final_layer_norm", c);
    this.#dropout = c.dropout_rate;
  }
  /** See `Seq2Seq.decode`. */
  forward(
    embeds: Tensor,
    cache: DecoderCache,
    mask: Tensor | undefined,
    positions: Tensor | undefined,
    options: ForwardOptions,
  ): { hidden: Tensor; cache: DecoderCache } {
    const [length, batch] = embeds.shape;
    const { encoderMask, join } = cache;
    const all = positionsOf(cache, positions, length, batch); // of the keys
    const queries = positions ? permute(positions, [1, 0]) : { start: cache.length, length };
    const keys = all ? permute(all, [1, 0]) : { start: 0, length: cache.length + length };
    const bias = biasOf(this.block).forward(queries, keys);
    const scores = scoresOf(bias, mask, [length, bias.shape[3]], length > 1);
    const source = cache.layers[0].cross.k.shape[1];
    const crossScores = scoresOf(undefined, encoderMask, [length, source], false);
    let x = drop(embeds, this.#dropout, options.training);
    const layers = this.block.map((block, i) => {
      options.hidden?.push(x);
      const { self: past, cross } = cache.layers[i];
      const step = block.forward(x, scores, past, cross, crossScores, options, join);
      x = step.x;
      return { self: step.self, cross };
    });
    const hidden = drop(this.finalLayerNorm.apply(x), this.#dropout, options.training);
    options.hidden?.push(hidden);
    return { hidden, cache: { ...cache, length: cache.length + length, layers, positions: all } };
  }
}

/** Positions u32 [all places, B] after a pass; undefined where they are 0, 1, ... */
function positionsOf(
  { length: start, positions: past, join }: DecoderCache,
  own: Tensor | undefined,
  length: number,
  batch: number,
): Tensor | undefined {
  if (join || !(past || own)) return past;
  const run = (from: number, count: number) =>
    tensor(
      Uint32Array.from({ length: count * batch }, (_, i) => from + Math.floor(i / batch)),
      [count, batch],
    );
  const last = own ?? run(start, length);
  return start === 0 ? last : concat([past ?? run(0, start), last], 0);
}

/** T5 that writes text about a text. */
export class T5ForConditionalGeneration implements Seq2Seq {
  /** The names by which a checkpoint holds the tensors. */
  static readonly names = t5Names;

  readonly config: T5Config;
  /** config.json as it was read. */
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly shared: Embedding;
  readonly encoder: T5Encoder;
  readonly decoder: T5Decoder;
  /** Where it is not that of `shared`. */
  readonly lmHead: Linear | undefined;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const c = t5Config(json, where);
    this.config = c;
    this.json = json;
    this.shared = w.embedding("shared", c.vocab_size, c.d_model);
    this.encoder = new T5Encoder(w.at("encoder"), c);
    this.decoder = new T5Decoder(w.at("decoder"), c);
    if (hasHead(c, (name) => w.holds(name))) {
      this.lmHead = w.projection("lm_head", c.d_model, c.vocab_size);
    }
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("T5ForConditionalGeneration");
  }

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from(checkpoint: Checkpoint, storage: Storage = "f32"): T5ForConditionalGeneration {
    const w = Weights.from(checkpoint, t5Names(checkpoint), storage);
    return new T5ForConditionalGeneration(w, checkpoint.config, `${checkpoint.where}/config.json`);
  }

  /** The model of a directory, name or address, or of given files; as `loadMaskedLM`. */
  static async load(
    source: ModelSource,
    storage: Storage = "f32",
    options?: HubOptions,
  ): Promise<T5ForConditionalGeneration> {
    return T5ForConditionalGeneration.from(await readCheckpoint(source, options), storage);
  }

  /** An untrained model: tables of words normal with the config's initializer_factor, matrices by their sizes. */
  static random(json: Json, seed: number): T5ForConditionalGeneration {
    const { initializer_factor: std } = t5Config(json);
    return new T5ForConditionalGeneration(Weights.random(seed, std), json);
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

  /** Positions are distances: a text may have any length. */
  get positions(): number {
    return Number.POSITIVE_INFINITY;
  }

  get wordEmbeddings(): Embedding {
    return this.shared;
  }

  get embedScale(): number {
    return 1;
  }

  get outputTable(): Tensor {
    return (this.lmHead ?? this.shared).weight;
  }

  get outputScale(): number {
    return this.config.scale_decoder_outputs ? this.config.d_model ** -0.5 : 1;
  }

  get outputBias(): undefined {
    return undefined;
  }

  embed(ids: Tensor): Tensor {
    return this.shared.apply(ids);
  }

  encode(input: TextInput, options: ForwardOptions = {}): Tensor {
    return this.encoder.forward(this.#embeds(input), input.mask, input.positions, options);
  }

  start(encoded: Tensor, encoderMask: Tensor | undefined): DecoderCache {
    const layers = this.decoder.block.map(({ crossAttention }) => ({
      cross: crossAttention.attention.keyValue(encoded),
    }));
    return { length: 0, layers, encoderMask };
  }

  decode(input: TextInput, cache: DecoderCache, options: ForwardOptions = {}) {
    const { mask, positions } = input;
    return this.decoder.forward(this.#embeds(input), cache, mask, positions, options);
  }

  logits(hidden: Tensor): Tensor {
    const scale = this.outputScale;
    return linear(scale === 1 ? hidden : mul(hidden, scale), this.outputTable);
  }

  #embeds({ ids, embeds }: TextInput): Tensor {
    return embeds ?? (ids ? this.embed(ids) : fail("t5", "pass ids or embeds"));
  }
}
