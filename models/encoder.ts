/**
 * The encoder that BERT and RoBERTa share, with the head that says which token belongs at a mask: post-LayerNorm, learned
 * positions (Devlin et al., 2019). Every token is of segment 0. Knows neither of the two.
 */

import { type Activation, add } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { slice } from "../engine/ops/shape.ts";
import { show } from "../engine/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import { checkFields, configError, count, flag, oneOf, only, readFields, real } from "./config.ts";
import { check, fail } from "./errors.ts";
import type { Json } from "./formats/json.ts";
import {
  ACTIVATIONS,
  drop,
  type Embedding,
  type ForwardOptions,
  type LayerNorm,
  type Linear,
  multiHeadAttention,
  type TextInput,
} from "./nn.ts";
import type { Weights } from "./weights.ts";

const FIELDS = {
  vocab_size: count(1),
  hidden_size: count(1),
  num_hidden_layers: count(1),
  num_attention_heads: count(1),
  intermediate_size: count(1),
  max_position_embeddings: count(1),
  type_vocab_size: count(1, { absent: 2 }),
  hidden_act: oneOf(ACTIVATIONS, "gelu"),
  hidden_dropout_prob: real(0, 1, { absent: 0.1 }),
  attention_probs_dropout_prob: real(0, 1, { absent: 0.1 }),
  layer_norm_eps: real(0, 1, { absent: 1e-12 }),
  initializer_range: real(0, 10, { absent: 0.02 }),
  position_embedding_type: only("absolute"),
  is_decoder: only(false),
  tie_word_embeddings: flag({ absent: true }),
};

/** Fields that would change what is computed, see `checkFields`. */
const NEUTRAL: Json = { add_cross_attention: false, is_encoder_decoder: false };

/** The fields of config.json that the encoder reads. */
export type EncoderConfig = ReturnType<typeof encoderConfig>;

/**
 * @param padding what an absent pad_token_id means
 * @throws `[config] ...` with every missing or wrong field
 */
export function encoderConfig(json: unknown, type: string, padding: number, where: string) {
  const own = { model_type: only(type), pad_token_id: count(0, { absent: padding }) };
  const config = readFields(json, { ...own, ...FIELDS }, where);
  checkFields(json as Json, config.vocab_size, NEUTRAL, where);
  const { hidden_size: size, num_attention_heads: heads } = config;
  if (size % heads !== 0) {
    throw configError(where, [`num_attention_heads ${heads} does not divide hidden_size ${size}`]);
  }
  return config;
}

class Embeddings {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding;
  readonly layerNorm: LayerNorm;
  /** Rows of the position table before that of position 0. */
  readonly offset: number;
  readonly #dropout: number;
  constructor(w: Weights, c: EncoderConfig, offset: number) {
    const { hidden_size: h } = c;
    this.wordEmbeddings = w.embedding("word_embeddings", c.vocab_size, h, c.pad_token_id);
    this.positionEmbeddings = w.table("position_embeddings", c.max_position_embeddings, h);
    this.tokenTypeEmbeddings = w.table("token_type_embeddings", c.type_vocab_size, h);
    this.layerNorm = w.layerNorm("LayerNorm", h, c.layer_norm_eps);
    this.offset = offset;
    this.#dropout = c.hidden_dropout_prob;
  }
  /** Texts [B, T] -> [B, T, h]. `rows` u32 [B, T] of the position table are taken instead of the input's positions. */
  forward(
    { ids, embeds, positions }: TextInput,
    rows: Tensor | undefined,
    { training }: ForwardOptions,
  ): Tensor {
    const words =
      embeds ?? (ids ? this.wordEmbeddings.apply(ids) : fail("encoder", "pass ids or embeds"));
    const length = words.shape[1];
    const table = this.positionEmbeddings.weight;
    check(length + this.offset <= table.shape[0], "encoder", () => {
      const limit = `the ${table.shape[0] - this.offset} positions of the model`;
      return `input ${show(words.shape)} is longer than ${limit}; shorten the texts`;
    });
    const given = rows ?? (positions && this.offset > 0 ? add(positions, this.offset) : positions);
    const places = given
      ? embedding(table, given) // [B, T, h]
      : slice(table, 0, this.offset, this.offset + length); // [T, h]
    const segment = slice(this.tokenTypeEmbeddings.weight, 0, 0, 1); // [1, h]
    const sum = add(words, add(places, segment));
    return drop(this.layerNorm.apply(sum), this.#dropout, training); // [B, T, h]
  }
}

class SelfAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly #heads: number;
  readonly #scale: number;
  readonly #dropout: number;
  constructor(w: Weights, c: EncoderConfig) {
    const { hidden_size: h } = c;
    this.query = w.linear("query", h, h);
    this.key = w.linear("key", h, h);
    this.value = w.linear("value", h, h);
    this.#heads = c.num_attention_heads;
    this.#scale = 1 / Math.sqrt(h / c.num_attention_heads);
    this.#dropout = c.attention_probs_dropout_prob;
  }
  /** rows [B, Tq, h] ask x [B, T, h]. */
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, { training }: ForwardOptions): Tensor {
    const [q, k, v] = [this.query.apply(rows), this.key.apply(x), this.value.apply(x)];
    const options = { heads: this.#heads, scale: this.#scale };
    return multiHeadAttention(q, k, v, mask, options, this.#dropout, training);
  }
}

/** dense, dropout, LayerNorm of the sum with the residual; both BertSelfOutput and BertOutput. */
class Output {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, inputs: number, c: EncoderConfig) {
    this.dense = w.linear("dense", inputs, c.hidden_size);
    this.layerNorm = w.layerNorm("LayerNorm", c.hidden_size, c.layer_norm_eps);
    this.#dropout = c.hidden_dropout_prob;
  }
  forward(x: Tensor, residual: Tensor, { training }: ForwardOptions): Tensor {
    return this.layerNorm.apply(this.dense.apply(x), residual, this.#dropout, training);
  }
}

class Attention {
  readonly self: SelfAttention;
  readonly output: Output;
  constructor(w: Weights, c: EncoderConfig) {
    this.self = new SelfAttention(w.at("self"), c);
    this.output = new Output(w.at("output"), c.hidden_size, c);
  }
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, options: ForwardOptions): Tensor {
    return this.output.forward(this.self.forward(rows, x, mask, options), rows, options);
  }
}

class Layer {
  readonly attention: Attention;
  readonly intermediate: Linear;
  readonly output: Output;
  readonly #activation: Activation;
  constructor(w: Weights, c: EncoderConfig) {
    this.attention = new Attention(w.at("attention"), c);
    this.intermediate = w.at("intermediate").linear("dense", c.hidden_size, c.intermediate_size);
    this.output = new Output(w.at("output"), c.intermediate_size, c);
    this.#activation = c.hidden_act;
  }
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, options: ForwardOptions): Tensor {
    const attended = this.attention.forward(rows, x, mask, options);
    const wide = this.intermediate.apply(attended, { activation: this.#activation });
    return this.output.forward(wide, attended, options);
  }
}

class Layers {
  readonly layer: readonly Layer[];
  constructor(w: Weights, c: EncoderConfig) {
    const places = w.layers("layer", "num_hidden_layers", c.num_hidden_layers);
    this.layer = places.map((place) => new Layer(place, c));
  }
  forward(x: Tensor, mask: Tensor | undefined, options: ForwardOptions, only?: number): Tensor {
    options.hidden?.push(x);
    return this.layer.reduce((hidden, layer, i) => {
      const last = i === this.layer.length - 1;
      const rows = last && only !== undefined ? slice(hidden, 1, only, only + 1) : hidden;
      const next = layer.forward(rows, hidden, mask, options);
      options.hidden?.push(next);
      return next;
    }, x);
  }
}

/** Embeddings and layers, without a head. */
export class Encoder {
  readonly embeddings: Embeddings;
  readonly encoder: Layers;
  /** @param offset rows of the position table before that of position 0 */
  constructor(w: Weights, c: EncoderConfig, offset: number) {
    this.embeddings = new Embeddings(w.at("embeddings"), c, offset);
    this.encoder = new Layers(w.at("encoder"), c);
  }
}

/** From hidden states to logits: dense, the activation, LayerNorm, then the table of words. */
export class MaskedLMHead {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  /** Tied to the word embeddings, or the head's own. */
  readonly decoder: Linear;
  readonly #activation: Activation;
  constructor(dense: Linear, activation: Activation, layerNorm: LayerNorm, decoder: Linear) {
    this.dense = dense;
    this.layerNorm = layerNorm;
    this.decoder = decoder;
    this.#activation = activation;
  }
  forward(hidden: Tensor): Tensor {
    const dense = this.dense.apply(hidden, { activation: this.#activation });
    return this.decoder.apply(this.layerNorm.apply(dense));
  }
}
