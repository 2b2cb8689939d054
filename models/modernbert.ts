/**
 * ModernBERT with its masked-LM head and with one of labels (Warner et al., 2024), as Hugging Face stores and computes it: LayerNorm in front of each part,
 * rotary positions, gated feed-forward parts, and attention that in most layers sees near places only. Classes stand in
 * upstream's order.
 */
import { type Activation, activations, add, mul } from "../engine/ops/elementwise.ts";
import { slice } from "../engine/ops/shape.ts";
import type { Tensor } from "../engine/tensor.ts";
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
import { checkLength, MaskedLMHead } from "./encoder.ts";
import { fail } from "./errors.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import { isObject, type Json } from "./formats/json.ts";
import { MaskedLM } from "./masked-lm.ts";
import type { Names } from "./names.ts";
import {
  ACTIVATIONS,
  drop,
  type Embedding,
  type ForwardOptions,
  type LayerNorm,
  Linear,
  multiHeadAttention,
  type TextInput,
} from "./nn.ts";
import { type Angles, rotaryAngles, rotate, windowMask } from "./rotary.ts";
import {
  ClassificationHead,
  classifierNames,
  type Pooling,
  SequenceClassifier,
} from "./sequence-classifier.ts";
import type { ModelWeights, Weights } from "./weights.ts";

/** Kinds of attention, by the names of layer_types. */
const KINDS = ["full_attention", "sliding_attention"] as const;
type Kind = (typeof KINDS)[number];

const isKind = (value: unknown): value is Kind => KINDS.some((kind) => kind === value);

const layerTypes: Field<readonly Kind[] | null> = {
  absent: null,
  read: (value) =>
    Array.isArray(value) && value.every(isKind)
      ? { value }
      : { wrong: `is ${JSON.stringify(value)} where a list of ${KINDS.join(" and ")} is expected` },
};

const theta = (absent: number) => real(1e-30, 1e30, { absent });

const FIELDS = {
  model_type: only("modernbert"),
  vocab_size: count(1),
  hidden_size: count(1),
  num_hidden_layers: count(1),
  num_attention_heads: count(1),
  intermediate_size: count(1),
  max_position_embeddings: count(1, { absent: 8192 }),
  hidden_activation: oneOf(ACTIVATIONS, "gelu"),
  classifier_activation: oneOf(ACTIVATIONS, "gelu"),
  norm_eps: real(0, 1, { absent: 1e-5 }),
  norm_bias: flag({ absent: false }),
  attention_bias: flag({ absent: false }),
  mlp_bias: flag({ absent: false }),
  classifier_bias: flag({ absent: false }),
  classifier_dropout: real(0, 1, { absent: 0 }),
  classifier_pooling: oneOf<Pooling>({ cls: "cls", mean: "mean" }, "cls"),
  decoder_bias: flag({ absent: true }),
  embedding_dropout: real(0, 1, { absent: 0 }),
  attention_dropout: real(0, 1, { absent: 0 }),
  mlp_dropout: real(0, 1, { absent: 0 }),
  local_attention: count(1, { absent: 128 }),
  layer_types: layerTypes,
  global_attn_every_n_layers: count(1, { absent: 3 }),
  global_rope_theta: theta(160_000),
  local_rope_theta: theta(10_000),
  initializer_range: real(0, 10, { absent: 0.02 }),
  pad_token_id: count(0, { absent: 50_283 }),
  tie_word_embeddings: flag({ absent: true }),
};

/** Fields that would change what is computed, see `checkFields`. */
const NEUTRAL: Json = { is_encoder_decoder: false, is_decoder: false, rope_scaling: null };

/** The bases of the angles: rope_parameters, as transformers 5 writes them, or the two fields of before it. */
function bases(json: Json, where: string, older: Readonly<Record<Kind, number>>) {
  const given = json.rope_parameters ?? {};
  const of = (kind: Kind): number => {
    const one = isObject(given) ? (given[kind] ?? {}) : undefined;
    if (!isObject(one)) {
      throw configError(where, [`rope_parameters ${JSON.stringify(given)} name no ${kind}`]);
    }
    const fields = { rope_type: only("default"), rope_theta: theta(older[kind]) };
    return readFields(one, fields, `${where}: rope_parameters.${kind}`).rope_theta;
  };
  return { full_attention: of("full_attention"), sliding_attention: of("sliding_attention") };
}

/** The fields of config.json that the model reads; `layers` are the kinds of attention, `bases` those of the angles by kind. */
export type ModernBertConfig = ReturnType<typeof modernBertConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export function modernBertConfig(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  checkFields(json as Json, config.vocab_size, NEUTRAL, where);
  const { hidden_size: size, num_attention_heads: heads, num_hidden_layers: depth } = config;
  if (size % (2 * heads) !== 0) {
    throw configError(where, [
      `num_attention_heads ${heads} does not divide hidden_size ${size} into even widths`,
    ]);
  }
  const every = config.global_attn_every_n_layers;
  const layers =
    config.layer_types ??
    Array.from({ length: depth }, (_, i): Kind => KINDS[i % every === 0 ? 0 : 1]);
  if (layers.length !== depth) {
    throw configError(where, [
      `layer_types names ${layers.length} layers where num_hidden_layers is ${depth}`,
    ]);
  }
  const { global_rope_theta, local_rope_theta } = config;
  const older = {
    full_attention: global_rope_theta,
    // null, unlike a field that is not there, is the other's
    sliding_attention:
      (json as Json).local_rope_theta === null ? global_rope_theta : local_rope_theta,
  };
  return { ...config, layers, bases: bases(json as Json, where, older) };
}

const dense = (w: Weights, name: string, inputs: number, outputs: number, bias: boolean): Linear =>
  bias ? w.linear(name, inputs, outputs) : w.projection(name, inputs, outputs);

const norm = (w: Weights, name: string, c: ModernBertConfig): LayerNorm =>
  c.norm_bias
    ? w.layerNorm(name, c.hidden_size, c.norm_eps)
    : w.scaleNorm(name, c.hidden_size, c.norm_eps);

class Embeddings {
  readonly tokEmbeddings: Embedding;
  readonly norm: LayerNorm;
  readonly #dropout: number;
  constructor(w: Weights, c: ModernBertConfig) {
    const { vocab_size, hidden_size, pad_token_id } = c;
    this.tokEmbeddings = w.embedding("tok_embeddings", vocab_size, hidden_size, pad_token_id);
    this.norm = norm(w, "norm", c);
    this.#dropout = c.embedding_dropout;
  }
  /** Texts [B, T] -> [B, T, hidden_size]. */
  forward({ ids, embeds }: TextInput, { training }: ForwardOptions): Tensor {
    const words =
      embeds ?? (ids ? this.tokEmbeddings.apply(ids) : fail("modernbert", "pass ids or embeds"));
    return drop(this.norm.apply(words), this.#dropout, training);
  }
}

class MLP {
  readonly wi: Linear;
  readonly wo: Linear;
  readonly #activation: Activation;
  readonly #size: number;
  readonly #dropout: number;
  constructor(w: Weights, c: ModernBertConfig) {
    const { hidden_size: h, intermediate_size: size, mlp_bias } = c;
    this.wi = dense(w, "Wi", h, 2 * size, mlp_bias);
    this.wo = dense(w, "Wo", size, h, mlp_bias);
    this.#activation = c.hidden_activation;
    this.#size = size;
    this.#dropout = c.mlp_dropout;
  }
  forward(x: Tensor, { training }: ForwardOptions): Tensor {
    const both = this.wi.apply(x);
    const [input, gate] = [0, 1].map((i) => slice(both, 2, i * this.#size, (i + 1) * this.#size));
    const gated = mul(activations[this.#activation](input), gate);
    return this.wo.apply(drop(gated, this.#dropout, training));
  }
}

/** What the layers of one kind of attention share in one pass. */
type Sight = {
  readonly angles: Angles;
  /** u32 [B, T] or [B, T, T]. */
  readonly mask: Tensor | undefined;
};

class Attention {
  readonly wqkv: Linear;
  readonly wo: Linear;
  readonly #heads: number;
  readonly #size: number;
  readonly #dropout: number;
  constructor(w: Weights, c: ModernBertConfig) {
    const { hidden_size: h, attention_bias } = c;
    this.wqkv = dense(w, "Wqkv", h, 3 * h, attention_bias);
    this.wo = dense(w, "Wo", h, h, attention_bias);
    this.#heads = c.num_attention_heads;
    this.#size = h;
    this.#dropout = c.attention_dropout;
  }
  /** x [B, T, h] -> [B, T, h], or [B, 1, h] of one place. */
  forward(x: Tensor, { angles, mask }: Sight, options: ForwardOptions, only?: number): Tensor {
    const [heads, h, p] = [this.#heads, this.#size, this.#dropout];
    const { training } = options;
    const all = this.wqkv.apply(x);
    const [q, k, v] = [0, 1, 2].map((i) => slice(all, 2, i * h, (i + 1) * h));
    const turned = rotate(q, heads, angles);
    const scaled = { heads, scale: 1 / Math.sqrt(h / heads) };
    const seen = multiHeadAttention(
      at(turned, only),
      rotate(k, heads, angles),
      v,
      mask?.shape.length === 3 ? at(mask, only) : mask,
      scaled,
      p,
      training,
    );
    return drop(this.wo.apply(seen), p, training);
  }
}

/** One place of x [B, T, ...], [B, 1, ...]; all without one. */
const at = (x: Tensor, only: number | undefined): Tensor =>
  only === undefined ? x : slice(x, 1, only, only + 1);

class EncoderLayer {
  /** The first layer's input is normalised already. */
  readonly attnNorm: LayerNorm | undefined;
  readonly attn: Attention;
  readonly mlpNorm: LayerNorm;
  readonly mlp: MLP;
  constructor(w: Weights, c: ModernBertConfig, layer: number) {
    this.attnNorm = layer === 0 ? undefined : norm(w, "attn_norm", c);
    this.attn = new Attention(w.at("attn"), c);
    this.mlpNorm = norm(w, "mlp_norm", c);
    this.mlp = new MLP(w.at("mlp"), c);
  }
  forward(x: Tensor, sight: Sight, options: ForwardOptions, only?: number): Tensor {
    const input = this.attnNorm?.apply(x) ?? x;
    const y = add(at(x, only), this.attn.forward(input, sight, options, only));
    return add(y, this.mlp.forward(this.mlpNorm.apply(y), options));
  }
}

export class Base {
  /** @internal */
  readonly embeddings: Embeddings;
  /** @internal */
  readonly layers: readonly EncoderLayer[];
  readonly finalNorm: LayerNorm;
  readonly #config: ModernBertConfig;
  constructor(w: Weights, c: ModernBertConfig) {
    this.embeddings = new Embeddings(w.at("embeddings"), c);
    const places = w.layers("layers", "num_hidden_layers", c.num_hidden_layers);
    this.layers = places.map((place, i) => new EncoderLayer(place, c, i));
    this.finalNorm = norm(w, "final_norm", c);
    this.#config = c;
  }
  get wordEmbeddings(): Embedding {
    return this.embeddings.tokEmbeddings;
  }
  get positions(): number {
    return this.#config.max_position_embeddings;
  }
  /** As `MaskedLM.encode`; the last of the hidden states that are handed out is the normalised one. */
  forward(input: TextInput, options: ForwardOptions, only?: number): Tensor {
    const { layers, bases, local_attention, hidden_size, num_attention_heads } = this.#config;
    const { mask, positions } = input;
    const x = this.embeddings.forward(input, options);
    checkLength(x, this.positions);
    const [batch, length] = x.shape;
    const width = hidden_size / num_attention_heads;
    const far = Math.floor(local_attention / 2);
    const angles = (kind: Kind) =>
      rotaryAngles(width, bases[kind], length, positions, this.positions);
    const sights: Partial<Record<Kind, Sight>> = {};
    const sightOf = (kind: Kind): Sight => {
      sights[kind] ??= {
        angles: angles(kind),
        mask: kind === KINDS[0] ? mask : windowMask(batch, length, far, mask, positions),
      };
      return sights[kind];
    };
    const last = this.layers.length - 1;
    options.hidden?.push(x);
    const y = this.layers.reduce((hidden, layer, i) => {
      if (i > 0) options.hidden?.push(hidden);
      return layer.forward(hidden, sightOf(layers[i]), options, i === last ? only : undefined);
    }, x);
    const normed = this.finalNorm.apply(y);
    options.hidden?.push(normed);
    return normed;
  }
}

const BASE: Names["base"] = { prefix: "model", parts: ["embeddings", "layers", "final_norm"] };

/** ModernBERT that says which token belongs at a [MASK]. */
export class ModernBertForMaskedLM extends MaskedLM {
  static readonly fields = modernBertConfig;

  static names({ config, where }: Checkpoint): Names {
    const { tie_word_embeddings: tied } = modernBertConfig(config, `${where}/config.json`);
    return {
      base: BASE,
      parts: ["head", "decoder"],
      tied: tied ? { "decoder.weight": "model.embeddings.tok_embeddings.weight" } : {},
      spellings: {},
      unread: [],
      head: {
        prefix: "head.",
        lacking:
          "it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of ModernBertForMaskedLM",
      },
    };
  }

  readonly config: ModernBertConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Base;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = modernBertConfig(json, where);
    const { hidden_size: h, vocab_size, decoder_bias } = c;
    const head = w.at("head");
    this.config = c;
    this.json = json;
    this.base = new Base(w.at("model"), c);
    this.head = new MaskedLMHead(
      dense(head, "dense", h, h, c.classifier_bias),
      c.classifier_activation,
      norm(head, "norm", c),
      c.tie_word_embeddings
        ? new Linear(
            this.wordEmbeddings.weight,
            decoder_bias ? w.bias("decoder.bias", vocab_size) : undefined,
          )
        : dense(w, "decoder", h, vocab_size, decoder_bias),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("ModernBertForMaskedLM");
  }
}

/** ModernBERT that says which label a text has. */
export class ModernBertForSequenceClassification extends SequenceClassifier<ModernBertConfig> {
  static readonly fields = modernBertConfig;
  static readonly beside = ["head."];

  static names({ config, where }: Checkpoint): Names {
    modernBertConfig(config, `${where}/config.json`);
    const names = classifierNames("ModernBertForSequenceClassification", BASE, {}, []);
    return { ...names, parts: [...names.parts, "head"] };
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const config = modernBertConfig(json, where);
    const { hidden_size: h, classifier_bias, classifier_activation } = config;
    super({
      model: "ModernBertForSequenceClassification",
      config,
      json,
      where,
      weights: w,
      base: new Base(w.at("model"), config),
      pooling: config.classifier_pooling,
      head: (labels) => {
        const head = w.at("head");
        const first = dense(head, "dense", h, h, classifier_bias);
        const out = w.linear("classifier", h, labels);
        const options = { behind: config.classifier_dropout, norm: norm(head, "norm", config) };
        return new ClassificationHead(first, classifier_activation, out, options);
      },
    });
  }
}
