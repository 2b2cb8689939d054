/**
 * RoBERTa with its masked-LM head (Liu et al., 2019), as Hugging Face stores and computes it: BERT's encoder, whose positions
 * begin behind the row of the padding token, in a table that has as many rows more.
 */
import { add, cast, mul, notEqual } from "../engine/ops/elementwise.ts";
import type { Tensor } from "../engine/tensor.ts";
import { configRemarks } from "./config.ts";
import { Encoder, type EncoderConfig, encoderConfig, MaskedLMHead } from "./encoder.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { MaskedLM } from "./masked-lm.ts";
import type { Names } from "./names.ts";
import { Linear, runningSum, type TextInput } from "./nn.ts";
import { type ModelWeights, type Storage, Weights } from "./weights.ts";

/** Throws `[config] ...` with every missing or wrong field. */
export const robertaConfig = (json: unknown, where = "config.json"): EncoderConfig =>
  encoderConfig(json, "roberta", 1, where);

/** Files without the model's name, or with what masked LMs do not have. */
const ROBERTA_NAMES: Names = {
  base: { prefix: "roberta", parts: ["embeddings", "encoder", "pooler"] },
  parts: ["lm_head"],
  tied: {
    "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
    "lm_head.decoder.bias": "lm_head.bias",
  },
  spellings: { "LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias" },
  unread: [
    "roberta.embeddings.position_ids",
    "roberta.embeddings.token_type_ids",
    "roberta.pooler.dense.weight",
    "roberta.pooler.dense.bias",
  ],
  head: {
    prefix: "lm_head.",
    lacking:
      "it gives hidden states, but cannot say which token belongs at <mask>; use a checkpoint of RobertaForMaskedLM",
  },
};

/** With a decoder of its own (tie_word_embeddings false). */
const ROBERTA_SEPARATE_NAMES: Names = {
  ...ROBERTA_NAMES,
  tied: {},
  instead: { "lm_head.decoder.bias": "lm_head.bias" },
};

/** The names of a checkpoint, by its config's tie_word_embeddings. Throws `[config] ...`. */
function robertaNames({ config, where }: Checkpoint): Names {
  const { tie_word_embeddings: tied } = robertaConfig(config, `${where}/config.json`);
  return tied ? ROBERTA_NAMES : ROBERTA_SEPARATE_NAMES;
}

/** RoBERTa that says which token belongs at a <mask>. */
export class RobertaForMaskedLM extends MaskedLM {
  /** The names by which a checkpoint holds the tensors. */
  static readonly names = robertaNames;

  readonly config: EncoderConfig;
  readonly json: Json;
  readonly weights: ModelWeights;
  readonly base: Encoder;
  readonly head: MaskedLMHead;

  /** Throws `[weights] ...` where the weights do not fit the config. */
  constructor(w: Weights, json: Json, where?: string) {
    super();
    const c = robertaConfig(json, where);
    const { hidden_size: h } = c;
    const lm = w.at("lm_head");
    this.config = c;
    this.json = json;
    this.base = new Encoder(w.at("roberta"), c, c.pad_token_id + 1);
    this.head = new MaskedLMHead(
      lm.linear("dense", h, h),
      "gelu", // whatever hidden_act is, as upstream
      lm.layerNorm("layer_norm", h, c.layer_norm_eps),
      c.tie_word_embeddings
        ? new Linear(this.wordEmbeddings.weight, lm.bias("bias", c.vocab_size))
        : lm.linear("decoder", h, c.vocab_size),
    );
    for (const remark of configRemarks(json, where)) w.remark(remark);
    this.weights = w.finish("RobertaForMaskedLM");
  }

  /** The model of a checkpoint; `storage` f16 or bf16 keeps the matrices of a frozen model in half the memory. */
  static from(checkpoint: Checkpoint, storage: Storage = "f32"): RobertaForMaskedLM {
    const w = Weights.from(checkpoint, robertaNames(checkpoint), storage);
    return new RobertaForMaskedLM(w, checkpoint.config, `${checkpoint.where}/config.json`);
  }

  /** The model of a directory with config.json and weights. */
  static async load(directory: string, storage: Storage = "f32"): Promise<RobertaForMaskedLM> {
    return RobertaForMaskedLM.from(await readCheckpoint(directory), storage);
  }

  /** An untrained model: matrices normal with the config's initializer_range. */
  static random(json: Json, seed: number, storage?: Storage): RobertaForMaskedLM {
    const { initializer_range: std } = robertaConfig(json);
    return new RobertaForMaskedLM(Weights.random(seed, std, storage), json);
  }

  /** Of token ids: padding has its own row, the others are counted. */
  protected override positionRows({ ids, embeds, positions }: TextInput): Tensor | undefined {
    if (positions || embeds || !ids) return undefined;
    const { pad_token_id: padding } = this.config;
    const live = cast(notEqual(ids, padding), "f32"); // [B, T]
    return cast(add(mul(runningSum(live), live), padding), "u32");
  }
}
