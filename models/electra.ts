/**
 * ELECTRA's generator (Clark et al., 2020), the masked LM of the two models, as Hugging Face stores and computes it: BERT's encoder,
 * over a table of words that may be of another width than its layers.
 */
import { configRemarks, count } from "./config.ts";
import { bertLayers, Embeddings, Encoder, encoderConfig, MaskedLMHead } from "./encoder.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { MaskedLM } from "./masked-lm.ts";
import type { Names } from "./names.ts";
import { Linear } from "./nn.ts";
import { classifierNames, denseHead, SequenceClassifier } from "./sequence-classifier.ts";
import type { ModelWeights, Weights } from "./weights.ts";

/** The fields of config.json that the model reads. */
export type ElectraConfig = ReturnType<typeof electraConfig>;

/** Throws `[config] ...` with every missing or wrong field. */
export const electraConfig = (json: unknown, where = "config.json") =>
  encoderConfig(json, "electra", 0, where, { embedding_size: count(1, { absent: 128 }) });

function electraEncoder(electra: Weights, c: ElectraConfig): Encoder {
  const { embedding_size: width, hidden_size: h } = c;
  const embeddings = new Embeddings(electra.at("embeddings"), c);
  const projection = width === h ? undefined : electra.linear("embeddings_project", width, h);
  return new Encoder(embeddings, bertLayers(electra, c), projection);
}

const BASE: Names["base"] = {
  prefix: "electra",
  parts: ["embeddings", "embeddings_project", "encoder"],
};
const SPELLINGS = { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" };
const UNREAD = ["electra.embeddings.position_ids", "electra.embeddings.token_type_ids"];
const WORDS = "electra.embeddings.word_embeddings.weight";

/** ELECTRA that says which token belongs at a [MASK]: its generator. */
export class ElectraForMaskedLM extends MaskedLM {
  static readonly fields = electraConfig;

  static names({ config, where }: Checkpoint): Names {
    const { tie_word_embeddings: tied } = electraConfig(config, `${where}/config.json`);
    return {
      base: BASE,
      parts: ["generator_predictions", "generator_lm_head"],
      tied: tied ? { "generator_lm_head.weight": WORDS } : {},
      spellings: SPELLINGS,
      unread: UNREAD,
      head: {
        prefix: "generator_",
        lacking:
          "it gives hidden states, but cannot say which token belongs at [MASK], as a discriminator cannot; use a checkpoint of ElectraForMaskedLM, whose name often ends in -generator",
      },
    };
  }

  readonly config: ElectraConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = electraConfig(json, where);
    const { embedding_size: width, hidden_size: h, vocab_size } = c;
    const predictions = w.at("generator_predictions");
    this.config = c;
    this.json = json;
    this.base = electraEncoder(w.at("electra"), c);
    this.head = new MaskedLMHead(
      predictions.linear("dense", h, width),
      "gelu", // whatever hidden_act is, as upstream
      predictions.layerNorm("LayerNorm", width, c.layer_norm_eps),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, w.bias("generator_lm_head.bias", vocab_size))
        : w.linear("generator_lm_head", width, vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("ElectraForMaskedLM");
  }
}

/** ELECTRA, its discriminator as a rule, that says which label a text, or a pair of texts, has. */
export class ElectraForSequenceClassification extends SequenceClassifier<ElectraConfig> {
  static readonly fields = electraConfig;

  static names({ config, where }: Checkpoint): Names {
    electraConfig(config, `${where}/config.json`);
    return classifierNames("ElectraForSequenceClassification", BASE, SPELLINGS, UNREAD);
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    const config = electraConfig(json, where);
    super({
      model: "ElectraForSequenceClassification",
      config,
      json,
      where,
      weights: w,
      base: electraEncoder(w.at("electra"), config),
      // gelu whatever hidden_act is, as upstream
      head: (labels) => denseHead(w, json, config, { labels, activation: "gelu", where }),
    });
  }
}
