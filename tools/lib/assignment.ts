/** Which tensors of a checkpoint a model takes, and which not and why; no data is read. */
import { numel, sameShape, show } from "../../engine/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { FLOAT_BYTES } from "../../models/formats/floats.ts";
import type { FileTensor } from "../../models/formats/safetensors.ts";
import { type Names, placeOf, wrapperOf } from "../../models/names.ts";
import { MODELS, type ModelClass, modelType } from "../../models/registry.ts";
import type { Saveable } from "../../models/save.ts";
import { destinations, Weights } from "../../models/weights.ts";

type Json = Checkpoint["config"];

/** A tensor of a file, and what becomes of it. */
export type Row = {
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
};

/** What a model makes of a file. */
export type Loading = {
  readonly model: string;
  /** Elements of the model's tensors. */
  readonly parameters: number;
  /** Names and shapes that the file lacks and the model needs. */
  readonly missing: readonly string[];
  /** Names that the file lacks, which are 0 then. */
  readonly zeros: readonly string[];
  /** Why the file cannot be loaded, the loader's own sentence. */
  readonly problem?: string;
  /** What the loader says beside that, a sentence each. */
  readonly remarks?: readonly string[];
};

const FLOATS = Object.keys(FLOAT_BYTES);

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
  const type = modelType({ config, tensors });
  const model = typeof type === "string" && Object.hasOwn(MODELS, type) ? MODELS[type] : undefined;
  if (model === undefined) {
    const known = Object.keys(MODELS).join(", ");
    const given =
      type === undefined
        ? "no model_type, and the names of the tensors do not tell it"
        : `model_type ${JSON.stringify(type)}`;
    return { rows, loading: `config.json has ${given}; those that are supported are ${known}` };
  }
  const checkpoint = { where, config, tensors };
  let wanted: ReadonlyMap<string, Tensor>;
  let names: Names;
  try {
    names = model.names(checkpoint);
    const { parameters, buffers } = new model(Weights.described(), config).weights;
    wanted = new Map([...parameters, ...buffers]);
  } catch (error) {
    return { rows, loading: messageOf(error) };
  }
  const places = destinations(tensors, names);
  const given = new Set([...places.values()].map(({ name }) => name));
  const absent = [...wanted].filter(([name]) => !given.has(name));
  const isOptional = (name: string) => names.optional?.includes(name) === true;
  const { problem, remarks } = outcomeOf(model, checkpoint);
  const wrapper = wrapperOf([...tensors.keys()], names);
  const useless = (name: string): string =>
    placeOf(name.slice(wrapper.length), names) === "foreign"
      ? `no part of ${model.name} has such a name`
      : "the model has no use for it";
  const fate = (row: Row): Pick<Row, "status" | "as" | "why"> => {
    const place = places.get(row.name);
    if (place) return fateOf(row, place, wanted);
    return { status: "unread", why: useless(row.name) };
  };
  return {
    rows: rows.map((row) => ({ ...row, ...fate(row) })),
    loading: {
      model: model.name,
      parameters: [...wanted.values()].reduce((sum, { size }) => sum + size, 0),
      missing: absent
        .filter(([name]) => !isOptional(name))
        .map(([name, { shape }]) => `${name} ${show(shape)}`),
      zeros: absent.map(([name]) => name).filter(isOptional),
      ...(problem === undefined ? {} : { problem }),
      ...(remarks.length === 0 ? {} : { remarks }),
    },
  };
}

function fateOf(
  { dtype, shape }: Row,
  { name, twin }: { readonly name: string; readonly twin?: string },
  wanted: ReadonlyMap<string, Tensor>,
): Pick<Row, "status" | "as" | "why"> {
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

/** The loader's own sentence, without the list that the rows show, or its remarks. */
function outcomeOf(
  model: ModelClass<Saveable>,
  checkpoint: Checkpoint,
): { problem?: string; remarks: readonly string[] } {
  try {
    return { remarks: model.from(checkpoint).weights.remarks };
  } catch (error) {
    const [sentence, ...list] = messageOf(error).split("\n");
    const others = list.map((line) => line.trim()).filter((line) => line.startsWith("config.json"));
    return { problem: [sentence.replace(/:$/, ""), ...others].join("; "), remarks: [] };
  }
}
