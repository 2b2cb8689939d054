/**
 * BERT with its masked-LM head (Devlin et al., 2019), as Hugging Face stores and computes it: post-LayerNorm, exact GELU,
 * learned positions, the word embeddings tied to the output. Classes stand in upstream's order. Every token is of segment 0.
 */

import { check, fail } from "../engine/errors.ts";
import { add } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { linear } from "../engine/ops/matmul.ts";
import { slice } from "../engine/ops/shape.ts";
import { show } from "../engine/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
import { configError, count, type Json, only, readFields, real } from "./config.ts";
import {
  drop,
  type Embedding,
  type ForwardOptions,
  type LayerNorm,
  type Linear,
  multiHeadAttention,
} from "./nn.ts";
import {
  type Checkpoint,
  type ModelWeights,
  type Names,
  readCheckpoint,
  type Storage,
  Weights,
} from "./weights.ts";

const FIELDS = {
  vocab_size: count(1),
  hidden_size: count(1),
  num_hidden_layers: count(1),
  num_attention_heads: count(1),
  intermediate_size: count(1),
  max_position_embeddings: count(1),
  type_vocab_size: count(1, { absent: 2 }),
  hidden_act: only("gelu"),
  hidden_dropout_prob: real(0, 1, { absent: 0.1 }),
  attention_probs_dropout_prob: real(0, 1, { absent: 0.1 }),
  layer_norm_eps: real(0, 1, { absent: 1e-12 }),
  initializer_range: real(0, 10, { absent: 0.02 }),
  pad_token_id: count(0, { absent: 0 }),
  position_embedding_type: only("absolute"),
  is_decoder: only(false),
  tie_word_embeddings: only(true),
};

/** The fields of config.json that the model reads. */
export type BertConfig = ReturnType<typeof bertConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export function bertConfig(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  const { hidden_size: size, num_attention_heads: heads } = config;
  if (size % heads !== 0) {
    throw configError(where, [`num_attention_heads ${heads} does not divide hidden_size ${size}`]);
  }
  return config;
}

/** Files made by other versions of the library, or with heads that masked LMs do not have. */
export const BERT_NAMES: Names = {
  tied: {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
  },
  spellings: { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" },
  unread: [
    "bert.embeddings.position_ids",
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
  ],
};

/** A batch of texts: token ids, or embeddings of tokens that are mixtures. */
export interface BertInput {
  /** u32 [B, T]. */
  readonly ids?: Tensor;
  /** f32 [B, T, hidden_size], in place of ids. */
  readonly embeds?: Tensor;
  /** u32 [B, T]: 1 where there is a token; undefined where every place holds one. */
  readonly mask?: Tensor | undefined;
  /** u32 [B, T]; 0, 1, ..., T-1 when left out. */
  readonly positions?: Tensor | undefined;
}

class BertEmbeddings {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding;
  readonly layerNorm: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: BertConfig) {
    const { hidden_size: h } = c;
    this.wordEmbeddings = w.embedding("word_embeddings", c.vocab_size, h, c.pad_token_id);
    this.positionEmbeddings = w.table("position_embeddings", c.max_position_embeddings, h);
    this.tokenTypeEmbeddings = w.table("token_type_embeddings", c.type_vocab_size, h);
    this.layerNorm = w.layerNorm("LayerNorm", h, c.layer_norm_eps);
    this.#dropout = c.hidden_dropout_prob;
  }
  forward({ ids, embeds, positions }: BertInput, { training }: ForwardOptions): Tensor {
    const words =
      embeds ?? (ids ? this.wordEmbeddings.apply(ids) : fail("bert", "pass ids or embeds"));
    const length = words.shape[1];
    const table = this.positionEmbeddings.weight;
    check(length <= table.shape[0], "bert", () => {
      const limit = `max_position_embeddings ${table.shape[0]}`;
      return `input ${show(words.shape)} is longer than ${limit}; shorten the texts`;
    });
    const places = positions ? embedding(table, positions) : slice(table, 0, 0, length); // [B, T, h] or [T, h]
    const segment = slice(this.tokenTypeEmbeddings.weight, 0, 0, 1); // [1, h]
    const sum = add(words, add(places, segment));
    return drop(this.layerNorm.apply(sum), this.#dropout, training); // [B, T, h]
  }
}

class BertSelfAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly #heads: number;
  readonly #scale: number;
  readonly #dropout: number;
  constructor(w: Weights, c: BertConfig) {
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
class BertOutput {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, inputs: number, c: BertConfig) {
    this.dense = w.linear("dense", inputs, c.hidden_size);
    this.layerNorm = w.layerNorm("LayerNorm", c.hidden_size, c.layer_norm_eps);
    this.#dropout = c.hidden_dropout_prob;
  }
  forward(x: Tensor, residual: Tensor, { training }: ForwardOptions): Tensor {
    return this.layerNorm.apply(drop(this.dense.apply(x), this.#dropout, training), residual);
  }
}

class BertAttention {
  readonly self: BertSelfAttention;
  readonly output: BertOutput;
  constructor(w: Weights, c: BertConfig) {
    this.self = new BertSelfAttention(w.at("self"), c);
    this.output = new BertOutput(w.at("output"), c.hidden_size, c);
  }
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, options: ForwardOptions): Tensor {
    return this.output.forward(this.self.forward(rows, x, mask, options), rows, options);
  }
}

class BertLayer {
  readonly attention: BertAttention;
  readonly intermediate: Linear;
  readonly output: BertOutput;
  constructor(w: Weights, c: BertConfig) {
    this.attention = new BertAttention(w.at("attention"), c);
    this.intermediate = w.at("intermediate").linear("dense", c.hidden_size, c.intermediate_size);
    this.output = new BertOutput(w.at("output"), c.intermediate_size, c);
  }
  forward(rows: Tensor, x: Tensor, mask: Tensor | undefined, options: ForwardOptions): Tensor {
    const attended = this.attention.forward(rows, x, mask, options);
    const wide = this.intermediate.apply(attended, { activation: "gelu" });
    return this.output.forward(wide, attended, options);
  }
}

class BertEncoder {
  readonly layer: readonly BertLayer[];
  constructor(w: Weights, c: BertConfig) {
    w.layers("layer", "num_hidden_layers", c.num_hidden_layers);
    this.layer = Array.from(
      { length: c.num_hidden_layers },
      (_, i) => new BertLayer(w.at(`layer.${i}`), c),
    );
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

class BertPredictionHeadTransform {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  constructor(w: Weights, c: BertConfig) {
    this.dense = w.linear("dense", c.hidden_size, c.hidden_size);
    this.layerNorm = w.layerNorm("LayerNorm", c.hidden_size, c.layer_norm_eps);
  }
  forward(hidden: Tensor): Tensor {
    return this.layerNorm.apply(this.dense.apply(hidden, { activation: "gelu" }));
  }
}

class BertLMPredictionHead {
  readonly transform: BertPredictionHeadTransform;
  readonly bias: Tensor;
  constructor(w: Weights, c: BertConfig) {
    this.transform = new BertPredictionHeadTransform(w.at("transform"), c);
    this.bias = w.bias("bias", c.vocab_size);
  }
}

class BertModel {
  readonly embeddings: BertEmbeddings;
  readonly encoder: BertEncoder;
  constructor(w: Weights, c: BertConfig) {
    this.embeddings = new BertEmbeddings(w.at("embeddings"), c);
    this.encoder = new BertEncoder(w.at("encoder"), c);
  }
}

/** BERT that says which token belongs at a [MASK]. */
export class BertForMaskedLM {
  readonly config: BertConfig;
  /** config.json as it was read. */
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly bert: BertModel;
  readonly predictions: BertLMPredictionHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    this.config = bertConfig(json, where);
    this.json = json;
    this.bert = new BertModel(w.at("bert"), this.config);
    this.predictions = new BertLMPredictionHead(w.at("cls.predictions"), this.config);
    this.weights = w.finish("BertForMaskedLM");
  }

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from(checkpoint: Checkpoint, storage: Storage = "f32"): BertForMaskedLM {
    const where = `${checkpoint.where}/config.json`;
    const w = Weights.from(checkpoint, BERT_NAMES, storage);
    return new BertForMaskedLM(w, checkpoint.config, where);
  }

  /** The model of a directory with config.json and model.safetensors. */
  static async load(directory: string, storage: Storage = "f32"): Promise<BertForMaskedLM> {
    return BertForMaskedLM.from(await readCheckpoint(directory), storage);
  }

  /** An untrained model: matrices normal with the config's initializer_range. */
  static random(json: Json, seed: number): BertForMaskedLM {
    const { initializer_range: std } = bertConfig(json);
    return new BertForMaskedLM(Weights.random(seed, std), json);
  }

  /** The tensors that training may change. */
  get parameters(): Tensor[] {
    return [...this.weights.parameters.values()];
  }

  /** Word embeddings of ids u32 [...] -> [..., hidden_size], without positions. */
  embed(ids: Tensor): Tensor {
    return this.bert.embeddings.wordEmbeddings.apply(ids);
  }

  /**
   * Last hidden states [B, T, hidden_size].
   * @param only compute the last layer's output of this place only: [B, 1, hidden_size]
   */
  encode(input: BertInput, options: ForwardOptions = {}, only?: number): Tensor {
    const x = this.bert.embeddings.forward(input, options);
    return this.bert.encoder.forward(x, input.mask, options, only);
  }

  /** The masked-LM head: hidden [..., hidden_size] -> logits [..., vocab_size]. Give it the rows that are needed. */
  logits(hidden: Tensor): Tensor {
    const { transform, bias } = this.predictions;
    const { weight } = this.bert.embeddings.wordEmbeddings; // tied
    return linear(transform.forward(hidden), weight, bias);
  }
}
