/**
 * The encoder that BERT and its kin share, with the head that says which token belongs at a mask: learned positions and
 * post-LayerNorm (Devlin et al., 2019). Tokens are of segment 0 unless types say otherwise. Architectures differ in the names of tensors, in what is
 * dropped, in the width of the table of words, in rows of positions and in which layers are one; this file knows none of them.
 */

import { type Activation, add } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { slice } from "../engine/ops/shape.ts";
import { show } from "../engine/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import {
  checkFields,
  configError,
  count,
  type Field,
  flag,
  oneOf,
  only,
  readFields,
  real,
  type Values,
} from "./config.ts";
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

/** The fields that BERT, RoBERTa, ALBERT and ELECTRA have. */
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
export type EncoderConfig = {
  readonly model_type: string;
  readonly pad_token_id: number;
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly max_position_embeddings: number;
  readonly type_vocab_size: number;
  readonly hidden_act: Activation;
  readonly hidden_dropout_prob: number;
  readonly attention_probs_dropout_prob: number;
  readonly layer_norm_eps: number;
  readonly initializer_range: number;
  readonly position_embedding_type: "absolute";
  readonly is_decoder: false;
  readonly tie_word_embeddings: boolean;
};

/**
 * @param padding what an absent pad_token_id means
 * @param own fields beside BERT's, or in their place
 * @throws `[config] ...` with every missing or wrong field
 */
export function encoderConfig<F extends Record<string, Field<unknown>> = Record<never, never>>(
  json: unknown,
  type: string,
  padding: number,
  where: string,
  own?: F,
): EncoderConfig & Values<F> {
  const fields = {
    model_type: only(type),
    pad_token_id: count(0, { absent: padding }),
    ...FIELDS,
    ...own,
  };
  const config = readFields(json, fields, where) as EncoderConfig & Values<F>;
  checkFields(json as Json, config.vocab_size, NEUTRAL, where);
  const { hidden_size: size, num_attention_heads: heads } = config;
  if (size % heads !== 0) {
    throw configError(where, [`num_attention_heads ${heads} does not divide hidden_size ${size}`]);
  }
  return config;
}

/** What the encoder is made by. */
export type Sizes = Pick<
  EncoderConfig,
  | "vocab_size"
  | "hidden_size"
  | "num_attention_heads"
  | "intermediate_size"
  | "max_position_embeddings"
  | "hidden_act"
  | "hidden_dropout_prob"
  | "attention_probs_dropout_prob"
  | "layer_norm_eps"
  | "pad_token_id"
> & {
  /** Rows of the table of segments; undefined where there is none. */
  readonly type_vocab_size?: number;
  /** Width of the tables; that of the layers when left out. */
  readonly embedding_size?: number;
};

/** How a model finds rows of the table of positions. */
export type Places = {
  /** Rows before that of position 0. */
  readonly offset: number;
  /** Rows u32 [B, T] by a rule of the model's own; undefined: the input's positions, or 0, 1, ..., T-1, behind the offset. */
  readonly rows?: (input: TextInput) => Tensor | undefined;
};

export class Embeddings {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding | undefined;
  readonly layerNorm: LayerNorm;
  readonly #places: Places;
  readonly #dropout: number;
  constructor(w: Weights, c: Sizes, places: Places = { offset: 0 }) {
    const { embedding_size: width = c.hidden_size, type_vocab_size: segments } = c;
    this.wordEmbeddings = w.embedding("word_embeddings", c.vocab_size, width, c.pad_token_id);
    this.positionEmbeddings = w.table("position_embeddings", c.max_position_embeddings, width);
    this.tokenTypeEmbeddings = segments
      ? w.table("token_type_embeddings", segments, width)
      : undefined;
    this.layerNorm = w.layerNorm("LayerNorm", width, c.layer_norm_eps);
    this.#places = places;
    this.#dropout = c.hidden_dropout_prob;
  }
  /** Tokens of the longest text. */
  get positions(): number {
    return this.positionEmbeddings.weight.shape[0] - this.#places.offset;
  }
  /** Texts [B, T] -> [B, T, embedding_size]. */
  forward(input: TextInput, { training }: ForwardOptions): Tensor {
    const { ids, embeds, positions, types } = input;
    const { offset, rows } = this.#places;
    const words =
      embeds ?? (ids ? this.wordEmbeddings.apply(ids) : fail("encoder", "pass ids or embeds"));
    const length = words.shape[1];
    const table = this.positionEmbeddings.weight;
    checkLength(words, this.positions);
    const given = rows?.(input) ?? (positions && offset > 0 ? add(positions, offset) : positions);
    const places = given
      ? embedding(table, given) // [B, T, width]
      : slice(table, 0, offset, offset + length); // [T, width]
    const segments = this.tokenTypeEmbeddings;
    const segment = types ? segments?.apply(types) : segments && slice(segments.weight, 0, 0, 1);
    const beside = segment ? add(places, segment) : places;
    return drop(this.layerNorm.apply(add(words, beside)), this.#dropout, training);
  }
}

/** Refuses texts [B, T, width] of more tokens than a model has positions. */
export function checkLength({ shape }: Tensor, positions: number): void {
  check(shape[1] <= positions, "encoder", () => {
    const limit = `the ${positions} positions of the model`;
    return `input ${show(shape)} is longer than ${limit}; shorten the texts`;
  });
}

/** The names of a layer's tensors, in the order in which they are made, and what is dropped while training. */
export type LayerKind = {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  /** Behind the heads. */
  readonly attended: string;
  readonly attentionNorm: string;
  /** To intermediate_size, and back. */
  readonly wide: string;
  readonly narrow: string;
  readonly norm: string;
  /** Which of the two sums with the residual has dropout on its other part. */
  readonly dropped: readonly ("attended" | "narrow")[];
};

const BERT_LAYER: LayerKind = {
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  attended: "attention.output.dense",
  attentionNorm: "attention.output.LayerNorm",
  wide: "intermediate.dense",
  narrow: "output.dense",
  norm: "output.LayerNorm",
  dropped: ["attended", "narrow"],
};

/** Self-attention and two matrices with an activation between them, each followed by LayerNorm of the sum with its input. */
export class Layer {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly attended: Linear;
  readonly attentionNorm: LayerNorm;
  readonly wide: Linear;
  readonly narrow: Linear;
  readonly norm: LayerNorm;
  readonly #config: Sizes;
  readonly #rates: { readonly attended: number; readonly narrow: number };
  constructor(w: Weights, c: Sizes, kind: LayerKind) {
    const { hidden_size: h, intermediate_size: wide } = c;
    this.query = w.linear(kind.query, h, h);
    this.key = w.linear(kind.key, h, h);
    this.value = w.linear(kind.value, h, h);
    this.attended = w.linear(kind.attended, h, h);
    this.attentionNorm = w.layerNorm(kind.attentionNorm, h, c.layer_norm_eps);
    this.wide = w.linear(kind.wide, h, wide);
    this.narrow = w.linear(kind.narrow, wide, h);
    this.norm = w.layerNorm(kind.norm, h, c.layer_norm_eps);
    this.#config = c;
    const rate = (of: "attended" | "narrow") =>
      kind.dropped.includes(of) ? c.hidden_dropout_prob : 0;
    this.#rates = { attended: rate("attended"), narrow: rate("narrow") };
  }
  /** rows [B, Tq, h] ask x [B, T, h] -> [B, Tq, h]. */
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, { training }: ForwardOptions): Tensor {
    const c = this.#config;
    const { attended: ofAttended, narrow: ofNarrow } = this.#rates;
    const heads = c.num_attention_heads;
    const scaled = { heads, scale: 1 / Math.sqrt(c.hidden_size / heads) };
    const [q, k, v] = [this.query.apply(rows), this.key.apply(x), this.value.apply(x)];
    const p = c.attention_probs_dropout_prob;
    const seen = this.attended.apply(multiHeadAttention(q, k, v, mask, scaled, p, training));
    const attended = this.attentionNorm.apply(seen, rows, ofAttended, training);
    const wide = this.wide.apply(attended, { activation: c.hidden_act });
    return this.norm.apply(this.narrow.apply(wide), attended, ofNarrow, training);
  }
}

/** Layers with BERT's names. */
export const bertLayers = (w: Weights, c: EncoderConfig): Layer[] =>
  w
    .layers("encoder.layer", "num_hidden_layers", c.num_hidden_layers)
    .map((place) => new Layer(place, c, BERT_LAYER));

/** Embeddings and layers, without a head. */
export class Encoder {
  /** @internal */
  readonly embeddings: Embeddings;
  /** From the width of the tables to that of the layers. */
  readonly projection: Linear | undefined;
  /** @internal In the order in which they are computed; one may be there more than once. */
  readonly layers: readonly Layer[];
  /** @internal */
  constructor(embeddings: Embeddings, layers: readonly Layer[], projection?: Linear) {
    this.embeddings = embeddings;
    this.layers = layers;
    this.projection = projection;
  }
  get wordEmbeddings(): Embedding {
    return this.embeddings.wordEmbeddings;
  }
  get positions(): number {
    return this.embeddings.positions;
  }
  /** As `EncoderModel.encode`. */
  forward(input: TextInput, options: ForwardOptions, only?: number): Tensor {
    const words = this.embeddings.forward(input, options);
    const x = this.projection?.apply(words) ?? words;
    options.hidden?.push(x);
    return this.layers.reduce((hidden, layer, i) => {
      const last = i === this.layers.length - 1;
      const rows = last && only !== undefined ? slice(hidden, 1, only, only + 1) : hidden;
      const next = layer.forward(rows, hidden, input.mask, options);
      options.hidden?.push(next);
      return next;
    }, x);
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
