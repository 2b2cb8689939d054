/**
 * BERT with its masked-LM head (Devlin et al., 2019), as Hugging Face stores and computes it: the names of its tensors over
 * the shared encoder.
 */
import { configRemarks } from "./config.ts";
import {
  bertLayers,
  Embeddings,
  Encoder,
  type EncoderConfig,
  encoderConfig,
  MaskedLMHead,
} from "./encoder.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { MaskedLM } from "./masked-lm.ts";
import type { Names } from "./names.ts";
import { Linear } from "./nn.ts";
import {
  ClassificationHead,
  classifierNames,
  dropoutOf,
  SequenceClassifier,
} from "./sequence-classifier.ts";
import type { ModelWeights, Weights } from "./weights.ts";

/** Throws `[config] ...` with every missing or wrong field. */
export const bertConfig = (json: unknown, where = "config.json"): EncoderConfig =>
  encoderConfig(json, "bert", 0, where);

/** Files made by other versions of the library, without the model's name, or with heads that masked LMs do not have. */
const BERT_NAMES: Names = {
  base: { prefix: "bert", parts: ["embeddings", "encoder", "pooler"] },
  parts: ["cls.predictions", "cls.seq_relationship"],
  tied: {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
  },
  spellings: { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" },
  unread: [
    "bert.embeddings.position_ids",
    "bert.embeddings.token_type_ids",
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
  ],
  head: {
    prefix: "cls.predictions.",
    lacking:
      "it gives hidden states, but cannot say which token belongs at [MASK]; use a checkpoint of BertForMaskedLM or BertForPreTraining",
  },
};

/** With a decoder of its own (tie_word_embeddings false). */
const BERT_SEPARATE_NAMES: Names = {
  ...BERT_NAMES,
  tied: {},
  instead: { "cls.predictions.decoder.bias": "cls.predictions.bias" },
};

/** The names of a checkpoint, by its config's tie_word_embeddings. Throws `[config] ...`. */
function bertNames({ config, where }: Checkpoint): Names {
  const { tie_word_embeddings: tied } = bertConfig(config, `${where}/config.json`);
  return tied ? BERT_NAMES : BERT_SEPARATE_NAMES;
}

const bertEncoder = (bert: Weights, c: EncoderConfig): Encoder =>
  new Encoder(new Embeddings(bert.at("embeddings"), c), bertLayers(bert, c));

/** BERT that says which token belongs at a [MASK]. */
export class BertForMaskedLM extends MaskedLM {
  static readonly names = bertNames;
  static readonly fields = bertConfig;

  readonly config: EncoderConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = bertConfig(json, where);
    const { hidden_size: h } = c;
    const predictions = w.at("cls.predictions");
    const transform = predictions.at("transform");
    this.config = c;
    this.json = json;
    this.base = bertEncoder(w.at("bert"), c);
    this.head = new MaskedLMHead(
      transform.linear("dense", h, h),
      c.hidden_act,
      transform.layerNorm("LayerNorm", h, c.layer_norm_eps),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, predictions.bias("bias", c.vocab_size))
        : predictions.linear("decoder", h, c.vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("BertForMaskedLM");
  }
}

/** BERT that says which label a text, or a pair of texts, has. */
export class BertForSequenceClassification extends SequenceClassifier<EncoderConfig> {
  static readonly fields = bertConfig;
  /** Files of masked LMs may lack the pooler. */
  static readonly beside = ["bert.pooler."];

  static names({ config, where }: Checkpoint): Names {
    bertConfig(config, `${where}/config.json`);
    const { base, spellings } = BERT_NAMES;
    const buffers = ["bert.embeddings.position_ids", "bert.embeddings.token_type_ids"];
    return classifierNames("BertForSequenceClassification", base, spellings, buffers);
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const config = bertConfig(json, where);
    const { hidden_size: h } = config;
    super({
      model: "BertForSequenceClassification",
      config,
      json,
      where,
      weights: w,
      base: bertEncoder(w.at("bert"), config),
      head: (labels) => {
        const pooler = w.at("bert.pooler").linear("dense", h, h);
        const out = w.linear("classifier", h, labels);
        const behind = dropoutOf(json, "classifier_dropout", config.hidden_dropout_prob, where);
        return new ClassificationHead(pooler, "tanh", out, { behind });
      },
    });
  }
}
