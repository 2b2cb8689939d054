/**
 * RoBERTa with its masked-LM head (Liu et al., 2019), as Hugging Face stores and computes it: BERT's encoder, whose positions
 * begin behind the row of the padding token, in a table that has as many rows more.
 */
import { add, cast, mul, notEqual } from "../engine/ops/elementwise.ts";
import type { Tensor } from "../engine/tensor.ts";
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
import { Linear, runningSum, type TextInput } from "./nn.ts";
import { classifierNames, denseHead, SequenceClassifier } from "./sequence-classifier.ts";
import type { ModelWeights, Weights } from "./weights.ts";

/** Throws `[config] ...` with every missing or wrong field. */
export const robertaConfig = (json: unknown, where = "config.json"): EncoderConfig =>
  encoderConfig(json, "roberta", 1, where);

/** Files without the model's name, or with what masked LMs do not have; `model` is the class with the head. */
export const robertaNames = (
  model: string,
  { tie_word_embeddings: tied }: EncoderConfig,
): Names => ({
  base: { prefix: "roberta", parts: ["embeddings", "encoder", "pooler"] },
  parts: ["lm_head"],
  ...(tied
    ? {
        tied: {
          "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
          "lm_head.decoder.bias": "lm_head.bias",
        },
      }
    : { tied: {}, instead: { "lm_head.decoder.bias": "lm_head.bias" } }),
  spellings: { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" },
  unread: [
    "roberta.embeddings.position_ids",
    "roberta.embeddings.token_type_ids",
    "roberta.pooler.dense.weight",
    "roberta.pooler.dense.bias",
  ],
  head: {
    prefix: "lm_head.",
    lacking: `it gives hidden states, but cannot say which token belongs at <mask>; use a checkpoint of ${model}`,
  },
});

function robertaEncoder(roberta: Weights, c: EncoderConfig): Encoder {
  const { pad_token_id: padding } = c;
  const embeddings = new Embeddings(roberta.at("embeddings"), c, {
    offset: padding + 1,
    rows: (input) => countedRows(input, padding),
  });
  return new Encoder(embeddings, bertLayers(roberta, c));
}

/** RoBERTa's computation, for models that have its tensors. */
export abstract class RobertaLM extends MaskedLM {
  readonly config: EncoderConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** @param model the class with the head, as upstream calls it */
  constructor(model: string, w: Weights, c: EncoderConfig, json: Json, where?: string) {
    super();
    const { hidden_size: h } = c;
    const lm = w.at("lm_head");
    this.config = c;
    this.json = json;
    this.base = robertaEncoder(w.at("roberta"), c);
    this.head = new MaskedLMHead(
      lm.linear("dense", h, h),
      "gelu", // whatever hidden_act is, as upstream
      lm.layerNorm("layer_norm", h, c.layer_norm_eps),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, lm.bias("bias", c.vocab_size))
        : lm.linear("decoder", h, c.vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish(model);
  }
}

/** Rows u32 [B, T] of token ids: padding has its own row, the others are counted behind it. */
function countedRows({ ids, embeds, positions }: TextInput, padding: number): Tensor | undefined {
  if (positions || embeds || !ids) return undefined;
  const live = cast(notEqual(ids, padding), "f32"); // [B, T]
  return cast(add(mul(runningSum(live), live), padding), "u32");
}

/** RoBERTa that says which token belongs at a <mask>. */
export class RobertaForMaskedLM extends RobertaLM {
  static readonly fields = robertaConfig;

  static names({ config, where }: Checkpoint): Names {
    return robertaNames("RobertaForMaskedLM", robertaConfig(config, `${where}/config.json`));
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super("RobertaForMaskedLM", w, robertaConfig(json, where), json, where);
  }
}

/** The names of a checkpoint of a classifier; `model` is the class with the head. */
export function classifierNamesOf(model: string, config: EncoderConfig): Names {
  const { base, spellings, unread } = robertaNames(model, config); // a pooler may be there, and is not asked
  return classifierNames(model, base, spellings, unread);
}

/** RoBERTa's classifier, for models that have its tensors. */
export abstract class RobertaClassifier extends SequenceClassifier<EncoderConfig> {
  /** @param model the class with the head, as upstream calls it */
  constructor(model: string, w: Weights, config: EncoderConfig, json: Json, where?: string) {
    super({
      model,
      config,
      json,
      where,
      weights: w,
      base: robertaEncoder(w.at("roberta"), config),
      head: (labels) => denseHead(w, json, config, { labels, activation: "tanh", where }),
    });
  }
}

/** RoBERTa that says which label a text, or a pair of texts, has. */
export class RobertaForSequenceClassification extends RobertaClassifier {
  static readonly fields = robertaConfig;

  static names({ config, where }: Checkpoint): Names {
    const c = robertaConfig(config, `${where}/config.json`);
    return classifierNamesOf("RobertaForSequenceClassification", c);
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super("RobertaForSequenceClassification", w, robertaConfig(json, where), json, where);
  }
}
