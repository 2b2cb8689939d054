/**
 * What can be loaded: the one place that knows every architecture, by config.json's model_type. A new one is a line in the
 * table of its role.
 */
import { BartForConditionalGeneration } from "./bart.ts";
import { BertForMaskedLM } from "./bert.ts";
import { ModelError } from "./errors.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { Json } from "./formats/json.ts";
import { GPT2LMHeadModel } from "./gpt2.ts";
import type { MaskedLM } from "./masked-lm.ts";
import { RobertaForMaskedLM } from "./roberta.ts";
import type { Saveable } from "./save.ts";
import type { Seq2Seq } from "./seq2seq.ts";
import { T5ForConditionalGeneration } from "./t5.ts";
import type { Names, Storage, Weights } from "./weights.ts";

/** A model's class: how it is made of weights, and by which names a checkpoint holds them. */
export type ModelClass<M> = {
  /** As upstream calls it. */
  readonly name: string;
  /** Throws `[config] ...` and `[weights] ...`. */
  new (w: Weights, json: Json, where?: string): M;
  readonly names: (checkpoint: Checkpoint) => Names;
  from(checkpoint: Checkpoint, storage?: Storage): M;
};

/** Classes by model_type. */
type Table<M> = Readonly<Record<string, ModelClass<M>>>;

const MASKED_LMS: Table<MaskedLM> = { bert: BertForMaskedLM, roberta: RobertaForMaskedLM };
const SEQ2SEQS: Table<Seq2Seq> = {
  bart: BartForConditionalGeneration,
  t5: T5ForConditionalGeneration,
};
const CAUSAL_LMS: Table<GPT2LMHeadModel> = { gpt2: GPT2LMHeadModel };

/** Every class that can be loaded, by model_type. */
export const MODELS: Table<Saveable> = { ...MASKED_LMS, ...SEQ2SEQS, ...CAUSAL_LMS };

/** What each table is called in errors: one of its models, and all. */
const ROLES: readonly (readonly [Table<Saveable>, one: string, all: string])[] = [
  [MASKED_LMS, "a masked LM", "masked LMs"],
  [SEQ2SEQS, "an encoder-decoder", "encoder-decoders"],
  [CAUSAL_LMS, "a causal LM", "causal LMs"],
];

/** A config's model_type or, where it has none (as files of before 2020), the type of its first architecture. */
export function modelType({ model_type: type, architectures }: Json): unknown {
  if (type !== undefined) return type;
  const [first] = Array.isArray(architectures) ? architectures : [];
  const name = String(first);
  return Object.keys(MODELS).find(
    (known) => name.toLowerCase().startsWith(known) && /[A-Z]/.test(name[known.length] ?? ""),
  );
}

/** The class of a checkpoint, from one table. */
function classOf<M extends Saveable>(
  table: Table<M>,
  { config, where }: Checkpoint,
): ModelClass<M> {
  const type = modelType(config);
  const name = typeof type === "string" ? type : "";
  if (Object.hasOwn(table, name)) return table[name];
  const [, other] = ROLES.find(([own]) => Object.hasOwn(own, name)) ?? [];
  const [, , all] = ROLES.find(([own]) => own === table) ?? [];
  const given =
    type === undefined
      ? "is missing"
      : `is ${JSON.stringify(type)}${other === undefined ? "" : `, ${other}`}`;
  throw new ModelError(
    `[config] ${where}/config.json: model_type ${given}; the ${all} that are supported are ${Object.keys(table).join(", ")}`,
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

/** The masked LM of a directory with config.json and weights; as `maskedLM`. */
export const loadMaskedLM = async (directory: string, storage?: Storage): Promise<MaskedLM> =>
  maskedLM(await readCheckpoint(directory), storage);

/** The encoder-decoder of a checkpoint; as `maskedLM`. */
export const seq2Seq = (checkpoint: Checkpoint, storage?: Storage): Seq2Seq =>
  classOf(SEQ2SEQS, checkpoint).from(checkpoint, storage);

/** The encoder-decoder of a directory with config.json and weights; as `maskedLM`. */
export const loadSeq2Seq = async (directory: string, storage?: Storage): Promise<Seq2Seq> =>
  seq2Seq(await readCheckpoint(directory), storage);

/** The causal LM of a checkpoint; as `maskedLM`. */
export const causalLM = (checkpoint: Checkpoint, storage?: Storage): GPT2LMHeadModel =>
  classOf(CAUSAL_LMS, checkpoint).from(checkpoint, storage);

/** The causal LM of a directory with config.json and weights; as `maskedLM`. */
export const loadCausalLM = async (
  directory: string,
  storage?: Storage,
): Promise<GPT2LMHeadModel> => causalLM(await readCheckpoint(directory), storage);
