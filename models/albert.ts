/**
 * ALBERT with its masked-LM head (Lan et al., 2020), as Hugging Face stores and computes it: BERT's encoder, whose layers are one
 * layer or a few, computed again and again, over a table of words that is narrower than they are.
 */
import { configError, configRemarks, count, oneOf, real } from "./config.ts";
import {
  Embeddings,
  Encoder,
  encoderConfig,
  Layer,
  type LayerKind,
  MaskedLMHead,
} from "./encoder.ts";
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

/** The fields beside BERT's, and those whose absence means something else. */
const FIELDS = {
  embedding_size: count(1, { absent: 128 }),
  num_hidden_groups: count(1, { absent: 1 }),
  inner_group_num: count(1, { absent: 1 }),
  hidden_act: oneOf(ACTIVATIONS, "geluTanh"),
  hidden_dropout_prob: real(0, 1, { absent: 0 }),
  attention_probs_dropout_prob: real(0, 1, { absent: 0 }),
};

/** The fields of config.json that the model reads. */
export type AlbertConfig = ReturnType<typeof albertConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export function albertConfig(json: unknown, where = "config.json") {
  const config = encoderConfig(json, "albert", 0, where, FIELDS);
  const { num_hidden_layers: layers, num_hidden_groups: groups } = config;
  if (groups > layers) {
    throw configError(where, [
      `num_hidden_groups ${groups} is more than num_hidden_layers ${layers}`,
    ]);
  }
  return config;
}

const LAYER: LayerKind = {
  query: "attention.query",
  key: "attention.key",
  value: "attention.value",
  attended: "attention.dense",
  attentionNorm: "attention.LayerNorm",
  wide: "ffn",
  narrow: "ffn_output",
  norm: "full_layer_layer_norm",
  dropped: ["attended"],
};

function albertEncoder(albert: Weights, c: AlbertConfig): Encoder {
  const { embedding_size: width, hidden_size: h, num_hidden_layers: count } = c;
  const encoder = albert.at("encoder");
  const embeddings = new Embeddings(albert.at("embeddings"), c);
  const projection = encoder.linear("embedding_hidden_mapping_in", width, h);
  const groups = encoder
    .layers("albert_layer_groups", "num_hidden_groups", c.num_hidden_groups)
    .map((group) =>
      group
        .layers("albert_layers", "inner_group_num", c.inner_group_num)
        .map((place) => new Layer(place, c, LAYER)),
    );
  const layers = Array.from({ length: count }, (_, i) =>
    Math.floor(i / (count / c.num_hidden_groups)),
  ).flatMap((group) => groups[group] ?? []); // a file may lack groups, which `finish` tells
  return new Encoder(embeddings, layers, projection);
}

const BASE: Names["base"] = { prefix: "albert", parts: ["embeddings", "encoder", "pooler"] };
const SPELLINGS = { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" };
const BUFFERS = ["albert.embeddings.position_ids", "albert.embeddings.token_type_ids"];
const WORDS = "albert.embeddings.word_embeddings.weight";

/** ALBERT that says which token belongs at a [MASK]. */
export class AlbertForMaskedLM extends MaskedLM {
  static readonly fields = albertConfig;

  static names({ config, where }: Checkpoint): Names {
    const { tie_word_embeddings: tied } = albertConfig(config, `${where}/config.json`);
    return {
      base: BASE,
      parts: ["predictions", "sop_classifier"],
      tied: tied ? { "predictions.decoder.weight": WORDS } : {},
      instead: { "predictions.decoder.bias": "predictions.bias" },
      spellings: SPELLINGS,
      unread: [...BUFFERS, "albert.pooler.weight", "albert.pooler.bias", /^sop_classifier\./],
      head: {
        prefix: "predictions.",
        lacking:
          "it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of AlbertForMaskedLM or AlbertForPreTraining",
      },
    };
  }

  readonly config: AlbertConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = albertConfig(json, where);
    const { embedding_size: width, hidden_size: h } = c;
    const predictions = w.at("predictions");
    this.config = c;
    this.json = json;
    this.base = albertEncoder(w.at("albert"), c);
    this.head = new MaskedLMHead(
      predictions.linear("dense", h, width),
      c.hidden_act,
      predictions.layerNorm("LayerNorm", width, c.layer_norm_eps),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, predictions.bias("decoder.bias", c.vocab_size))
        : predictions.linear("decoder", width, c.vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("AlbertForMaskedLM");
  }
}

/** ALBERT that says which label a text, or a pair of texts, has. */
export class AlbertForSequenceClassification extends SequenceClassifier<AlbertConfig> {
  static readonly fields = albertConfig;
  /** Files of masked LMs may lack the pooler. */
  static readonly beside = ["albert.pooler."];

  static names({ config, where }: Checkpoint): Names {
    albertConfig(config, `${where}/config.json`);
    return classifierNames("AlbertForSequenceClassification", BASE, SPELLINGS, BUFFERS);
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const config = albertConfig(json, where);
    const { hidden_size: h } = config;
    super({
      model: "AlbertForSequenceClassification",
      config,
      json,
      where,
      weights: w,
      base: albertEncoder(w.at("albert"), config),
      head: (labels) => {
        const pooler = w.at("albert").linear("pooler", h, h);
        const out = w.linear("classifier", h, labels);
        const behind = dropoutOf(json, "classifier_dropout_prob", 0.1, where);
        return new ClassificationHead(pooler, "tanh", out, { behind });
      },
    });
  }
}
