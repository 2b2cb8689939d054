/**
 * XLM-RoBERTa with its masked-LM head (Conneau et al., 2020), as Hugging Face stores and computes it: RoBERTa's tensors and
 * computation over a vocabulary of many languages.
 */
import { type EncoderConfig, encoderConfig } from "./encoder.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import type { Names } from "./names.ts";
import { classifierNamesOf, RobertaClassifier, RobertaLM, robertaNames } from "./roberta.ts";
import type { Weights } from "./weights.ts";

/** Throws `[config] ...` with every missing or wrong field. */
export const xlmRobertaConfig = (json: unknown, where = "config.json"): EncoderConfig =>
  encoderConfig(json, "xlm-roberta", 1, where);

/** XLM-RoBERTa that says which token belongs at a <mask>. */
export class XLMRobertaForMaskedLM extends RobertaLM {
  static readonly fields = xlmRobertaConfig;

  static names({ config, where }: Checkpoint): Names {
    return robertaNames("XLMRobertaForMaskedLM", xlmRobertaConfig(config, `${where}/config.json`));
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super("XLMRobertaForMaskedLM", w, xlmRobertaConfig(json, where), json, where);
  }
}

/** XLM-RoBERTa that says which label a text, or a pair of texts, has. */
export class XLMRobertaForSequenceClassification extends RobertaClassifier {
  static readonly fields = xlmRobertaConfig;

  static names({ config, where }: Checkpoint): Names {
    const c = xlmRobertaConfig(config, `${where}/config.json`);
    return classifierNamesOf("XLMRobertaForSequenceClassification", c);
  }

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super("XLMRobertaForSequenceClassification", w, xlmRobertaConfig(json, where), json, where);
  }
}
