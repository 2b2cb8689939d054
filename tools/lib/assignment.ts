/** Which tensors of a checkpoint a model takes, and which not and why; no data is read. */
import { numel, sameShape, show } from "../../engine/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { BART_NAMES, BartForConditionalGeneration } from "../../models/bart.ts";
import { BERT_NAMES, BERT_SEPARATE_NAMES, BertForMaskedLM, bertConfig } from "../../models/bert.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { FLOAT_BYTES } from "../../models/formats/floats.ts";
import type { FileTensor } from "../../models/formats/safetensors.ts";
import { GPT2LMHeadModel, gpt2Names } from "../../models/gpt2.ts";
import {
  ROBERTA_NAMES,
  ROBERTA_SEPARATE_NAMES,
  RobertaForMaskedLM,
  robertaConfig,
} from "../../models/roberta.ts";
import { destinations, type ModelWeights, type Names, Weights } from "../../models/weights.ts";

type Json = Checkpoint["config"];

/** A tensor of a file, and what becomes of it. */
export interface Row {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly bytes: number;
  /** `tied`: only compared with another one. Left out where the model is not known. */
  readonly status?: "loaded" | "tied" | "unread" | "unused" | "wrong";
  /** Its name in the model. */
  readonly as?: string;
  readonly why?: string;
}

/** What a model makes of a file. */
export interface Loading {
  readonly model: string;
  /** Elements of the model's tensors. */
  readonly parameters: number;
  /** Names and shapes that the file lacks and the model needs. */
  readonly missing: readonly string[];
  /** Names that the file lacks, which are 0 then. */
  readonly zeros: readonly string[];
  /** Why the file cannot be loaded, the loader's own sentence. */
  readonly problem?: string;
}

interface Kind {
  readonly model: string;
  names(checkpoint: Checkpoint): Names;
  /** The model without values. */
  describe(config: Json): { readonly weights: ModelWeights };
  load(checkpoint: Checkpoint): unknown;
}

/** By config.json's model_type. */
const KINDS: Readonly<Record<string, Kind>> = {
  bert: {
    model: "BertForMaskedLM",
    names: ({ config }) =>
      bertConfig(config).tie_word_embeddings ? BERT_NAMES : BERT_SEPARATE_NAMES,
    describe: (config) => new BertForMaskedLM(Weights.described(), config),
    load: (checkpoint) => BertForMaskedLM.from(checkpoint),
  },
  roberta: {
    model: "RobertaForMaskedLM",
    names: ({ config }) =>
      robertaConfig(config).tie_word_embeddings ? ROBERTA_NAMES : ROBERTA_SEPARATE_NAMES,
    describe: (config) => new RobertaForMaskedLM(Weights.described(), config),
    load: (checkpoint) => RobertaForMaskedLM.from(checkpoint),
  },
  bart: {
    model: "BartForConditionalGeneration",
    names: () => BART_NAMES,
    describe: (config) => new BartForConditionalGeneration(Weights.described(), config),
    load: (checkpoint) => BartForConditionalGeneration.from(checkpoint),
  },
  gpt2: {
    model: "GPT2LMHeadModel",
    names: gpt2Names,
    describe: (config) => new GPT2LMHeadModel(Weights.described(), config),
    load: (checkpoint) => GPT2LMHeadModel.from(checkpoint),
  },
};

const FLOATS = Object.keys(FLOAT_BYTES);

/** model_type, or in files of before 2020, which have none, what the first architecture begins with. */
function typeOf({ model_type: type, architectures }: Json): unknown {
  const [first] = Array.isArray(architectures) ? architectures : [];
  return type ?? /^(Bert|Roberta|Bart|GPT2)[A-Z]/.exec(String(first))?.[1].toLowerCase();
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/**
 * The tensors of a file in its order, and what a model makes of them: a sentence where there is no config.json, or none of a
 * model that is supported.
 *
 * @param where the directory, for sentences
 */
export function loadingOf(
  where: string,
  config: Json | undefined,
  tensors: ReadonlyMap<string, FileTensor>,
): { rows: Row[]; loading: Loading | string } {
  const rows = [...tensors].map(
    ([name, { dtype, shape, byteLength }]): Row => ({
      name,
      dtype,
      shape,
      elements: numel(shape),
      bytes: byteLength,
    }),
  );
  if (config === undefined) return { rows, loading: "no config.json beside it names a model" };
  const type = typeOf(config);
  const kind = typeof type === "string" && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind === undefined) {
    const known = Object.keys(KINDS).join(", ");
    const given = type === undefined ? "no model_type" : `model_type ${JSON.stringify(type)}`;
    return { rows, loading: `config.json has ${given}; those that are supported are ${known}` };
  }
  const checkpoint = { where, config, tensors };
  let wanted: ReadonlyMap<string, Tensor>;
  let names: Names;
  try {
    names = kind.names(checkpoint);
    const { parameters, buffers } = kind.describe(config).weights;
    wanted = new Map([...parameters, ...buffers]);
  } catch (error) {
    return { rows, loading: messageOf(error) };
  }
  const places = destinations(tensors, names);
  const given = new Set([...places.values()].map(({ name }) => name));
  const absent = [...wanted].filter(([name]) => !given.has(name));
  const isOptional = (name: string) => names.optional?.includes(name) === true;
  const problem = problemOf(kind, checkpoint);
  return {
    rows: rows.map((row) => ({ ...row, ...fateOf(row, places.get(row.name), wanted) })),
    loading: {
      model: kind.model,
      parameters: [...wanted.values()].reduce((sum, { size }) => sum + size, 0),
      missing: absent
        .filter(([name]) => !isOptional(name))
        .map(([name, { shape }]) => `${name} ${show(shape)}`),
      zeros: absent.map(([name]) => name).filter(isOptional),
      ...(problem === undefined ? {} : { problem }),
    },
  };
}

function fateOf(
  { dtype, shape }: Row,
  place: { readonly name: string; readonly twin?: string } | undefined,
  wanted: ReadonlyMap<string, Tensor>,
): Pick<Row, "status" | "as" | "why"> {
  if (place === undefined) return { status: "unread", why: "the model has no use for it" };
  const { name, twin } = place;
  const target = wanted.get(name);
  if (target === undefined) {
    return { status: "unused", why: `the model that config.json describes has no ${name}` };
  }
  if (!FLOATS.includes(dtype)) {
    return { status: "wrong", as: name, why: `one of ${FLOATS.join(", ")} is expected` };
  }
  if (!sameShape(target.shape, shape)) {
    return { status: "wrong", as: name, why: `config.json asks for ${show(target.shape)}` };
  }
  if (twin === undefined) return { status: "loaded", as: name };
  return { status: "tied", as: name, why: `has to be equal to ${twin}` };
}

/** The loader's own sentence, without the list that the rows show. */
function problemOf(kind: Kind, checkpoint: Checkpoint): string | undefined {
  try {
    kind.load(checkpoint);
    return undefined;
  } catch (error) {
    const [sentence, ...list] = messageOf(error).split("\n");
    const others = list.map((line) => line.trim()).filter((line) => line.startsWith("config.json"));
    return [sentence.replace(/:$/, ""), ...others].join("; ");
  }
}
