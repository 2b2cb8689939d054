/**
 * DistilBERT with its masked-LM head (Sanh et al., 2019), as Hugging Face stores and computes it: BERT's encoder without segments,
 * with other names. The epsilon of its LayerNorms is no field.
 */
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
import { Embeddings, Encoder, Layer, type LayerKind, MaskedLMHead, type Sizes } from "./encoder.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { MaskedLM } from "./masked-lm.ts";
import type { Names } from "./names.ts";
import { ACTIVATIONS, Linear } from "./nn.ts";
import {
  ClassificationHead,
  classifierNames,
  dropoutOf,
  SequenceClassifier,
} from "./sequence-classifier.ts";
import type { ModelWeights, Weights } from "./weights.ts";

const EPSILON = 1e-12;

const FIELDS = {
  model_type: only("distilbert"),
  vocab_size: count(1),
  dim: count(1, { also: "hidden_size" }),
  n_layers: count(1, { also: "num_hidden_layers" }),
  n_heads: count(1, { also: "num_attention_heads" }),
  hidden_dim: count(1),
  max_position_embeddings: count(1, { absent: 512 }),
  activation: oneOf(ACTIVATIONS, "gelu"),
  dropout: real(0, 1, { absent: 0.1 }),
  attention_dropout: real(0, 1, { absent: 0.1 }),
  initializer_range: real(0, 10, { absent: 0.02 }),
  pad_token_id: count(0, { absent: 0 }),
  tie_word_embeddings: flag({ absent: true }),
  position_embedding_type: only("absolute"),
  is_decoder: only(false),
};

/** Fields that would change what is computed, see `checkFields`. */
const NEUTRAL: Json = { add_cross_attention: false, is_encoder_decoder: false };

/** The fields of config.json that the model reads, and `hidden_size`, which is `dim`. */
export type DistilBertConfig = ReturnType<typeof distilBertConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export function distilBertConfig(json: unknown, where = "config.json") {
  const config = readFields(json, FIELDS, where);
  checkFields(json as Json, config.vocab_size, NEUTRAL, where);
  const { dim, n_heads: heads } = config;
  if (dim % heads !== 0) throw configError(where, [`n_heads ${heads} does not divide dim ${dim}`]);
  return { ...config, hidden_size: dim };
}

const LAYER: LayerKind = {
  query: "attention.q_lin",
  key: "attention.k_lin",
  value: "attention.v_lin",
  attended: "attention.out_lin",
  attentionNorm: "sa_layer_norm",
  wide: "ffn.lin1",
  narrow: "ffn.lin2",
  norm: "output_layer_norm",
  dropped: ["narrow"],
};

function distilBertEncoder(distilbert: Weights, c: DistilBertConfig): Encoder {
  const sizes: Sizes = {
    vocab_size: c.vocab_size,
    hidden_size: c.dim,
    num_attention_heads: c.n_heads,
    intermediate_size: c.hidden_dim,
    max_position_embeddings: c.max_position_embeddings,
    hidden_act: c.activation,
    hidden_dropout_prob: c.dropout,
    attention_probs_dropout_prob: c.attention_dropout,
    layer_norm_eps: EPSILON,
    pad_token_id: c.pad_token_id,
  };
  const embeddings = new Embeddings(distilbert.at("embeddings"), sizes);
  const places = distilbert.layers("transformer.layer", "n_layers", c.n_layers);
  const layers = places.map((place) => new Layer(place, sizes, LAYER));
  return new Encoder(embeddings, layers);
}

const BASE: Names["base"] = { prefix: "distilbert", parts: ["embeddings", "transformer"] };
const SPELLINGS = { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" };
const UNREAD = ["distilbert.embeddings.position_ids"];

/** DistilBERT that says which token belongs at a [MASK]. */
export class DistilBertForMaskedLM extends MaskedLM {
  static readonly fields = distilBertConfig;

  static names({ config, where }: Checkpoint): Names {
    const { tie_word_embeddings: tied } = distilBertConfig(config, `${where}/config.json`);
    return {
      base: BASE,
      parts: ["vocab_transform", "vocab_layer_norm", "vocab_projector"],
      tied: tied
        ? { "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight" }
        : {},
      spellings: SPELLINGS,
      unread: UNREAD,
      head: {
        prefix: "vocab_",
        lacking:
          "it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of DistilBertForMaskedLM",
      },
    };
  }

  readonly config: DistilBertConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = distilBertConfig(json, where);
    const { dim, vocab_size, activation } = c;
    this.config = c;
    this.json = json;
    this.base = distilBertEncoder(w.at("distilbert"), c);
    this.head = new MaskedLMHead(
      w.linear("vocab_transform", dim, dim),
      activation,
      w.layerNorm("vocab_layer_norm", dim, EPSILON),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, w.bias("vocab_projector.bias", vocab_size))
        : w.linear("vocab_projector", dim, vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("DistilBertForMaskedLM");
  }
}

/** DistilBERT that says which label a text, or a pair of texts, has. */
export class DistilBertForSequenceClassification extends SequenceClassifier<DistilBertConfig> {
  static readonly fields = distilBertConfig;
  static readonly beside = ["pre_classifier."];

  static names({ config, where }: Checkpoint): Names {
    distilBertConfig(config, `${where}/config.json`);
    const names = classifierNames("DistilBertForSequenceClassification", BASE, SPELLINGS, UNREAD);
    return { ...names, parts: [...names.parts, "pre_classifier"] };
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const config = distilBertConfig(json, where);
    super({
      model: "DistilBertForSequenceClassification",
      config,
      json,
      where,
      weights: w,
      base: distilBertEncoder(w.at("distilbert"), config),
      head: (labels) => {
        const dense = w.linear("pre_classifier", config.dim, config.dim);
        const out = w.linear("classifier", config.dim, labels);
        const behind = dropoutOf(json, "seq_classif_dropout", 0.2, where);
        return new ClassificationHead(dense, "relu", out, { behind });
      },
    });
  }
}
