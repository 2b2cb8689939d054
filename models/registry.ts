/**
 * What can be loaded: the one place that knows every architecture, by config.json's model_type. A new one is a line in the
 * table of its role.
 */
import { AlbertForMaskedLM, AlbertForSequenceClassification } from "./albert.ts";
import { BartForConditionalGeneration } from "./bart.ts";
import { BertForMaskedLM, BertForSequenceClassification } from "./bert.ts";
import { DistilBertForMaskedLM, DistilBertForSequenceClassification } from "./distilbert.ts";
import { ElectraForMaskedLM, ElectraForSequenceClassification } from "./electra.ts";
import { ModelError } from "./errors.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { GPT2LMHeadModel } from "./gpt2.ts";
import type { ModelSource } from "./hub/open.ts";
import type { HubOptions } from "./hub/settings.ts";
import type { MaskedLM } from "./masked-lm.ts";
import { ModernBertForMaskedLM, ModernBertForSequenceClassification } from "./modernbert.ts";
import { type Names, WRAPPED } from "./names.ts";
import { RobertaForMaskedLM, RobertaForSequenceClassification } from "./roberta.ts";
import type { Saveable } from "./save.ts";
import type { Seq2Seq } from "./seq2seq.ts";
import type { FreshOptions, SequenceClassifier } from "./sequence-classifier.ts";
import { T5ForConditionalGeneration } from "./t5.ts";
import type { Storage, Weights } from "./weights.ts";
import { XLMRobertaForMaskedLM, XLMRobertaForSequenceClassification } from "./xlm-roberta.ts";

/** A model's class: how it is made of weights, and by which names a checkpoint holds them. */
export type ModelClass<M> = {
  /** As upstream calls it. */
  readonly name: string;
  /** Throws `[config] ...` and `[weights] ...`. */
  new (w: Weights, json: Json, where?: string): M;
  readonly names: (checkpoint: Checkpoint) => Names;
  from(checkpoint: Checkpoint, storage?: Storage): M;
  /** An untrained one, as config.json says how weights begin. */
  random(json: Json, seed: number, storage?: Storage): M;
};

/** Classes by model_type. */
type Table<M> = Readonly<Record<string, ModelClass<M>>>;

const MASKED_LMS: Table<MaskedLM> = {
  bert: BertForMaskedLM,
  roberta: RobertaForMaskedLM,
  distilbert: DistilBertForMaskedLM,
  albert: AlbertForMaskedLM,
  electra: ElectraForMaskedLM,
  "xlm-roberta": XLMRobertaForMaskedLM,
  modernbert: ModernBertForMaskedLM,
};
const SEQ2SEQS: Table<Seq2Seq> = {
  bart: BartForConditionalGeneration,
  t5: T5ForConditionalGeneration,
};
const CAUSAL_LMS: Table<GPT2LMHeadModel> = { gpt2: GPT2LMHeadModel };

type ClassifierClass = ModelClass<SequenceClassifier> & {
  fresh(checkpoint: Checkpoint, options: FreshOptions): SequenceClassifier;
};
const CLASSIFIERS: Readonly<Record<string, ClassifierClass>> = {
  bert: BertForSequenceClassification,
  roberta: RobertaForSequenceClassification,
  distilbert: DistilBertForSequenceClassification,
  albert: AlbertForSequenceClassification,
  electra: ElectraForSequenceClassification,
  "xlm-roberta": XLMRobertaForSequenceClassification,
  modernbert: ModernBertForSequenceClassification,
};

/** Those that give a text a likelihood, whole or place by place. */
const LMS: Table<MaskedLM | GPT2LMHeadModel> = { ...MASKED_LMS, ...CAUSAL_LMS };

/** Every class that can be loaded, by model_type. */
export const MODELS: Table<Saveable> = { ...MASKED_LMS, ...SEQ2SEQS, ...CAUSAL_LMS };

/** What each table is called in errors: one of its models, and all. */
const ROLES: readonly (readonly [Table<Saveable>, one: string, all: string])[] = [
  [MASKED_LMS, "a masked LM", "masked LMs"],
  [SEQ2SEQS, "an encoder-decoder", "encoder-decoders"],
  [CAUSAL_LMS, "a causal LM", "causal LMs"],
  [LMS, "a language model", "masked and causal LMs"],
  [CLASSIFIERS, "a classifier", "classifiers"],
];

/** Names that only files of one type have, behind whatever wrappers put before them. */
const MARKS = Object.entries({
  bert: "(?:bert\\.|cls\\.predictions\\.)",
  roberta: "(?:roberta\\.|lm_head\\.layer_norm\\.)",
  distilbert: "(?:distilbert\\.|vocab_layer_norm\\.)",
  albert: "(?:albert\\.|predictions\\.LayerNorm\\.)",
  electra: "(?:electra\\.|generator_predictions\\.)",
  modernbert: "embeddings\\.tok_embeddings\\.",
  bart: "(?:encoder|decoder)\\.layernorm_embedding\\.",
  gpt2: "(?:transformer\\.)?h\\.\\d+\\.attn\\.c_attn\\.",
}).map(([type, mark]) => [type, new RegExp(WRAPPED + mark)] as const);

/**
 * A checkpoint's type: the config's model_type or, where it has none (as files of before 2020), that of its first architecture
 * or of the names of its tensors. Undefined where none of them tells.
 */
export function modelType({ config, tensors }: Pick<Checkpoint, "config" | "tensors">): unknown {
  const { model_type: type, architectures } = config;
  if (type !== undefined && type !== null) return type;
  const [first] = Array.isArray(architectures) ? architectures : [];
  const name = String(first);
  const named = Object.keys(MODELS).find((known) => {
    const word = known.replaceAll("-", "");
    return name.toLowerCase().startsWith(word) && /[A-Z]/.test(name[word.length] ?? "");
  });
  if (named !== undefined) return named;
  const given = [...tensors.keys()];
  const marked = MARKS.filter(([, mark]) => given.some((one) => mark.test(one)));
  return marked.length === 1 ? marked[0][0] : undefined;
}

/** The class of a checkpoint, from one table. */
function classOf<C extends ModelClass<Saveable>>(
  table: Readonly<Record<string, C>>,
  checkpoint: Checkpoint,
): C {
  const type = modelType(checkpoint);
  const name = typeof type === "string" ? type : "";
  if (Object.hasOwn(table, name)) return table[name];
  const [, other] = ROLES.find(([own]) => Object.hasOwn(own, name)) ?? [];
  const [, , all] = ROLES.find(([own]) => own === table) ?? [];
  const supported = Object.keys(table).join(", ");
  const path = `${checkpoint.where}/config.json`;
  if (type === undefined) {
    throw new ModelError(
      `[config] ${path} has no model_type, and neither its architectures nor the names of the weights tell it; write one into it, as in "model_type": ${JSON.stringify(Object.keys(table)[0])} (the ${all} that are supported are ${supported})`,
    );
  }
  const given = `is ${JSON.stringify(type)}${other === undefined ? "" : `, ${other}`}`;
  throw new ModelError(
    `[config] ${path}: model_type ${given}; the ${all} that are supported are ${supported}`,
  );
}

/**
 * The masked LM of a checkpoint.
 *
 * @param storage f16 or bf16 keeps the matrices of a frozen model in half the memory
 * @throws one sentence for a model_type that is not supported, `[config] ...`, `[weights] ...`
 */
export const maskedLM = (checkpoint: Checkpoint, storage?: Storage): MaskedLM =>
  classOf(MASKED_LMS, checkpoint).from(checkpoint, storage);

/** A masked LM of the architecture of a checkpoint, with random weights, of which none of its own is read. */
export const randomMaskedLM = (checkpoint: Checkpoint, seed: number, storage?: Storage): MaskedLM =>
  classOf(MASKED_LMS, checkpoint).random(checkpoint.config, seed, storage);

/**
 * The masked LM of a directory (Node), of a name on the Hub, of the address of a folder, or of files that a visitor gives.
 *
 * @param options of what is fetched: revision, progress, token, cache
 * @throws as `maskedLM` and `readCheckpoint`
 */
export const loadMaskedLM = async (
  source: ModelSource,
  storage?: Storage,
  options?: HubOptions,
): Promise<MaskedLM> => maskedLM(await readCheckpoint(source, options), storage);

/** The encoder-decoder of a checkpoint; as `maskedLM`. */
export const seq2Seq = (checkpoint: Checkpoint, storage?: Storage): Seq2Seq =>
  classOf(SEQ2SEQS, checkpoint).from(checkpoint, storage);

/** The encoder-decoder of a source; as `loadMaskedLM`. */
export const loadSeq2Seq = async (
  source: ModelSource,
  storage?: Storage,
  options?: HubOptions,
): Promise<Seq2Seq> => seq2Seq(await readCheckpoint(source, options), storage);

/** The causal LM of a checkpoint; as `maskedLM`. */
export const causalLM = (checkpoint: Checkpoint, storage?: Storage): GPT2LMHeadModel =>
  classOf(CAUSAL_LMS, checkpoint).from(checkpoint, storage);

/** The causal LM of a source; as `loadMaskedLM`. */
export const loadCausalLM = async (
  source: ModelSource,
  storage?: Storage,
  options?: HubOptions,
): Promise<GPT2LMHeadModel> => causalLM(await readCheckpoint(source, options), storage);

/** The masked or causal LM of a checkpoint, whichever it is; as `maskedLM`. */
export const languageModel = (
  checkpoint: Checkpoint,
  storage?: Storage,
): MaskedLM | GPT2LMHeadModel => classOf(LMS, checkpoint).from(checkpoint, storage);

/**
 * The classifier of a checkpoint; as `maskedLM`.
 * @param fresh begins a head for these labels over the encoder of any checkpoint, to be trained
 */
export function sequenceClassifier(
  checkpoint: Checkpoint,
  fresh?: FreshOptions,
  storage?: Storage,
): SequenceClassifier {
  const found = classOf(CLASSIFIERS, checkpoint);
  return fresh ? found.fresh(checkpoint, fresh) : found.from(checkpoint, storage);
}

/** The classifier of a directory with config.json and weights; as `sequenceClassifier`. */
export const loadSequenceClassifier = async (
  directory: string,
  fresh?: FreshOptions,
  storage?: Storage,
): Promise<SequenceClassifier> =>
  sequenceClassifier(await readCheckpoint(directory), fresh, storage);
