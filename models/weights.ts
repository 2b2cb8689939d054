/**
 * Weights by name: from a checkpoint, strictly, or random ones for a model that starts from nothing.
 *
 * A model asks for each tensor by the name that stands in the file: `w.at("attention.self").linear("query", h, h)` is
 * `attention.self.query.weight` and `.bias`, behind whatever `w` itself is at. What does not fit is collected while the model is
 * built, and `finish()` reports all of it at once. Knows the shared layers, no architecture.
 */

import { normal } from "../engine/init.ts";
import { numel, type Shape, sameShape, show } from "../engine/shape.ts";
import {
  type DType,
  type StateSource,
  state,
  type Tensor,
  type TypedArray,
  tensor,
} from "../engine/tensor.ts";
import { ModelError } from "./errors.ts";
import type { Checkpoint } from "./formats/checkpoint.ts";
import {
  decode,
  encodeBfloat16,
  encodeFloat16,
  FLOAT_BYTES,
  firstNotFinite,
} from "./formats/floats.ts";
import type { FileTensor, SafetensorsDtype, TensorEntry } from "./formats/safetensors.ts";
import { type Names, placeOf, plainNames, wrapperOf } from "./names.ts";
import { type Adaptable, Embedding, LayerNorm, Linear, RMSNorm } from "./nn.ts";

/** How matrices are kept on the device; f16 and bf16 are for frozen models. */
export type Storage = "f32" | "f16" | "bf16";

/** Where the values come from, and what has been asked for so far. */
type Source = {
  value(name: string, shape: Shape, init: Init): Initial;
  /** How many layers there are under a prefix; undefined where there may be any number. */
  layers(prefix: string): number | undefined;
  /** Whether the file has a tensor of this name. */
  holds(name: string): boolean;
  parameters: Map<string, Tensor>;
  buffers: Map<string, Tensor>;
  /** The parameters that are matrices or tables. */
  matrices: Set<string>;
  /** Layers with a matrix of their own. */
  layered: Map<string, Adaptable>;
  contradictions: string[];
  remarks: string[];
  finish(model: string): void;
};

type Initial = {
  readonly data: TypedArray | StateSource;
  readonly dtype: DType;
};

/** How a random tensor starts: one value everywhere, or normal (with one row of zeros, that of padding). */
type Init =
  | { fill: number }
  | {
      normal: true;
      /** Multiplies the standard deviation of all. */
      spread?: number;
      zeroRow?: number | undefined;
      exact?: boolean;
      /** A bias in the form of a table. */
      bias?: boolean;
    };

/** A model's tensors by full name. */
export type ModelWeights = {
  /** What training may change. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** What is saved but not trained. */
  readonly buffers: ReadonlyMap<string, Tensor>;
  /**
   * Whether weight decay shrinks a parameter: it does matrices and tables, not biases and weights of LayerNorms and RMSNorms.
   * Throws for a name that is no parameter.
   */
  readonly decays: (name: string) => boolean;
  /** The layers that have a matrix of their own, by the name before `.weight`. */
  readonly layers: ReadonlyMap<string, Adaptable>;
  /** Sentences about what of the files was not read as it stands there, or is not computed. */
  readonly remarks: readonly string[];
};

/** A place in the tree of names. */
export class Weights {
  readonly #source: Source;
  readonly #path: string;

  private constructor(source: Source, path: string) {
    this.#source = source;
    this.#path = path;
  }

  /**
   * The weights of a checkpoint; matrices are kept as `storage`. F32 in memory is taken as it is; all else is read and
   * converted piece by piece when a device needs it.
   * @param names in which files differ from the model; when left out, they have its own
   */
  static from(
    checkpoint: Checkpoint,
    names: Names = plainNames(checkpoint.tensors.keys()),
    storage: Storage = "f32",
  ): Weights {
    return new Weights(fileSource(checkpoint, names, storage), "");
  }

  /**
   * Zeros that take no memory, for the names and shapes that a model asks for.
   * @param held the names of a file, for models that have a part only where a file holds it
   */
  static described(held: ReadonlySet<string> = new Set()): Weights {
    const value = (): Initial => ({ data: ZEROS, dtype: "f32" });
    const holds = (name: string) => held.has(name);
    const source = { ...tables(), layers: () => undefined, holds, value, finish: () => {} };
    return new Weights(source, "");
  }

  /**
   * Matrices and embeddings are normal of standard deviation `std`, biases 0, LayerNorm weights 1; matrices are kept as `storage`, the
   * same draws rounded.
   */
  static random(seed: number, std: number, storage: Storage = "f32"): Weights {
    return new Weights(randomSource(seed, std, storage), "");
  }

  /** The place `path` below this one. */
  at(path: string): Weights {
    return new Weights(this.#source, this.#name(path));
  }

  linear(name: string, inputs: number, outputs: number): Linear {
    const weight = this.#parameter(`${name}.weight`, [outputs, inputs], { normal: true });
    const bias = this.#parameter(`${name}.bias`, [outputs], { fill: 0 });
    return this.layer(name, new Linear(weight, bias));
  }

  /** Notes a layer whose matrix is `name`.weight. */
  layer<L extends Adaptable>(name: string, layer: L): L {
    this.#source.layered.set(this.#name(name), layer);
    return layer;
  }

  /**
   * A Linear without a bias.
   * @param spread multiplies the standard deviation of random values
   */
  projection(name: string, inputs: number, outputs: number, spread = 1): Linear {
    const init: Init = { normal: true, spread };
    const weight = this.#parameter(`${name}.weight`, [outputs, inputs], init);
    return this.layer(name, new Linear(weight, undefined));
  }

  layerNorm(name: string, size: number, eps: number): LayerNorm {
    return new LayerNorm(
      this.#parameter(`${name}.weight`, [size], { fill: 1 }),
      this.#parameter(`${name}.bias`, [size], { fill: 0 }),
      eps,
    );
  }

  /** A LayerNorm whose bias is no tensor of the file, but 0. */
  scaleNorm(name: string, size: number, eps: number): LayerNorm {
    const weight = this.#parameter(`${name}.weight`, [size], { fill: 1 });
    return new LayerNorm(weight, tensor(new Float32Array(size)), eps);
  }

  /** @param start of an untrained weight */
  rmsNorm(name: string, size: number, eps: number, start = 1): RMSNorm {
    return new RMSNorm(this.#parameter(`${name}.weight`, [size], { fill: start }), eps);
  }

  /** A table of token embeddings; a random one has zeros in the row of the padding token. */
  embedding(name: string, rows: number, width: number, padding?: number): Embedding {
    const init: Init = { normal: true, zeroRow: padding };
    return new Embedding(this.#parameter(`${name}.weight`, [rows, width], init));
  }

  /** A small table (positions, segments), kept as f32 in any storage. */
  table(name: string, rows: number, width: number): Embedding {
    const init: Init = { normal: true, exact: true };
    return new Embedding(this.#parameter(`${name}.weight`, [rows, width], init));
  }

  /** A small table of biases, kept as f32 in any storage; weight decay leaves it alone. */
  biasTable(name: string, rows: number, width: number, spread = 1): Embedding {
    const init: Init = { normal: true, spread, exact: true, bias: true };
    return new Embedding(this.#parameter(`${name}.weight`, [rows, width], init));
  }

  bias(name: string, size: number): Tensor {
    return this.#parameter(name, [size], { fill: 0 });
  }

  /** A tensor that training leaves alone. */
  buffer(name: string, shape: Shape): Tensor {
    return this.#make(this.#source.buffers, name, shape, { fill: 0 });
  }

  /** Whether the weights come from a file that has a tensor of this name. */
  holds(name: string): boolean {
    return this.#source.holds(this.#name(name));
  }

  /**
   * The places of layers, `name`.0 and so on. Notes a field of config.json that says another count than the file holds; at
   * most one layer too many is built then.
   */
  layers(name: string, fieldName: string, declared: number): Weights[] {
    const held = this.#source.layers(this.#name(name)) ?? declared;
    if (held !== declared && held > 0) {
      this.#source.contradictions.push(`${fieldName} is ${declared}, the weights have ${held}`);
    }
    const count = Math.min(declared, held + 1);
    return Array.from({ length: count }, (_, i) => this.at(`${name}.${i}`));
  }

  /** Notes a sentence for the model's `remarks`. */
  remark(sentence: string): void {
    this.#source.remarks.push(sentence);
  }

  /**
   * The tensors, when the file fits the model.
   * @throws `[weights] ...` with every missing, unused, misshapen tensor and wrong dtype by full name
   */
  finish(model: string): ModelWeights {
    this.#source.finish(model);
    const { parameters, buffers, matrices, layered: layers, remarks } = this.#source;
    const decays = (name: string): boolean => {
      if (parameters.has(name)) return matrices.has(name);
      throw new ModelError(
        `[weights] ${name} is no parameter of ${model}; give parameters of your own a rule for weight decay of their own`,
      );
    };
    return { parameters, buffers, decays, layers, remarks };
  }

  #name(path: string): string {
    return this.#path === "" ? path : `${this.#path}.${path}`;
  }

  #parameter(name: string, shape: Shape, init: Init): Tensor {
    if ("normal" in init && !init.bias) this.#source.matrices.add(this.#name(name));
    return this.#make(this.#source.parameters, name, shape, init);
  }

  #make(into: Map<string, Tensor>, name: string, shape: Shape, init: Init): Tensor {
    const full = this.#name(name);
    const { data, dtype } = this.#source.value(full, shape, init);
    const made = state(full, data, shape, dtype);
    into.set(full, made);
    return made;
  }
}

const tables = () => ({
  parameters: new Map<string, Tensor>(),
  buffers: new Map<string, Tensor>(),
  matrices: new Set<string>(),
  layered: new Map<string, Adaptable>(),
  contradictions: [] as string[],
  remarks: [] as string[],
});

function randomSource(seed: number, std: number, storage: Storage): Source {
  let stream = 0;
  return {
    ...tables(),
    layers: () => undefined,
    holds: () => false,
    value: (_, shape, init) => {
      const mine = stream++;
      if ("fill" in init) {
        return { data: new Float32Array(numel(shape)).fill(init.fill), dtype: "f32" };
      }
      const data = normal(numel(shape), std * (init.spread ?? 1), seed, mine);
      const width = shape[shape.length - 1];
      if (init.zeroRow !== undefined) {
        data.fill(0, init.zeroRow * width, (init.zeroRow + 1) * width);
      }
      return init.exact ? { data, dtype: "f32" } : { data: kept(data, storage), dtype: storage };
    },
    finish: () => {},
  };
}

/** A tensor of a checkpoint under the model's name, with others that must be equal to it. */
type Entry = {
  readonly given: string;
  readonly tensor: TensorEntry | FileTensor;
  readonly twins: { readonly given: string; readonly tensor: TensorEntry | FileTensor }[];
};

const SHOWN_PROBLEMS = 24;

function fileSource(checkpoint: Checkpoint, names: Names, storage: Storage): Source {
  const { where } = checkpoint;
  const { entries, wrapper, foreign } = canonical(checkpoint.tensors, names);
  const asked = new Set<string>();
  const list = { missing: [] as string[], shape: [] as string[], dtype: [] as string[] };
  const wrong: string[] = []; // values in memory
  const source = tables();
  const twins = [...entries.values()].flatMap(unequal);
  const { fresh } = names;
  const random = fresh && randomSource(fresh.seed, fresh.std, storage);
  const made: string[] = [];
  return {
    ...source,
    layers: (prefix) => {
      let held = 0;
      const has = (start: string) => [...entries.keys()].some((name) => name.startsWith(start));
      while (has(`${prefix}.${held}.`)) held++;
      return held;
    },
    holds: (name) => entries.has(name),
    value: (name, shape, init) => {
      const matrix = "normal" in init && !init.exact;
      asked.add(name);
      const entry = entries.get(name);
      const begins = (start: string) => name.startsWith(start);
      if (fresh?.beginnings.some(begins) || (!entry && fresh?.lacking.some(begins))) {
        made.push(name);
        return random?.value(name, shape, init) ?? { data: ZEROS, dtype: "f32" };
      }
      if (entry === undefined) {
        if (!names.optional?.includes(name)) list.missing.push(name);
        return { data: ZEROS, dtype: "f32" };
      }
      const { dtype, shape: found } = entry.tensor;
      if (!(dtype in FLOAT_BYTES)) list.dtype.push(`${name} is ${dtype}`);
      else if (!sameShape(found, shape)) {
        list.shape.push(`${name} is ${show(found)}, config.json asks for ${show(shape)}`);
      } else {
        const from = checkpoint.files?.get(entry.given) ?? where;
        const { initial, problem } = stored(entry, matrix ? storage : "f32", where, from);
        if (problem === undefined) return initial;
        wrong.push(problem);
      }
      return { data: ZEROS, dtype: "f32" }; // the model is built on, to find the rest
    },
    finish: (model) => {
      const { head, base } = names;
      const held = [...entries.keys()];
      const holds = (prefix: string) => held.some((name) => name.startsWith(prefix));
      if (head && holds(`${base.prefix}.`) && !holds(head.prefix)) {
        throw new ModelError(
          `[weights] ${where} holds no ${head.prefix}*, the head of ${model}: ${head.lacking}`,
        );
      }
      const others = foreign.length === 0 || list.missing.length === 0 ? [] : [foreign[0]];
      const lines = [
        ...others.map(
          (name) => `of no part of the model: ${foreign.length} names, such as ${name}`,
        ),
        ...source.contradictions.map((text) => `config.json: ${text}`),
        ...list.missing.map((name) => `missing: ${name}`),
        ...held.filter((name) => !asked.has(name)).map((name) => `unused: ${name}`),
        ...list.shape.map((text) => `shape: ${text}`),
        ...list.dtype.map((text) => `dtype: ${text}, F32, F16, BF16 or F64 is expected`),
        ...twins,
      ];
      if (lines.length === 0 && wrong.length > 0) throw new ModelError(`[weights] ${wrong[0]}`);
      if (lines.length === 0) {
        source.remarks.push(...remarksOf(where, model, wrapper, foreign, checkpoint.tensors.size));
        if (made.length > 0) {
          source.remarks.push(
            `[weights] ${where}: ${made.join(", ")} begin anew, by chance: train them before they are used`,
          );
        }
        return;
      }
      const more = lines.length - SHOWN_PROBLEMS;
      const shown = lines.slice(0, more > 1 ? SHOWN_PROBLEMS : lines.length);
      if (more > 1) shown.push(`and ${more} more`);
      throw new ModelError(
        `[weights] ${where} does not hold the ${model} that its config.json describes; ` +
          `use both files of one checkpoint:\n  ${shown.join("\n  ")}`,
      );
    },
  };
}

/** What takes no memory before a device asks for it. */
const ZEROS: StateSource = { read: async (first, end) => new Float32Array(end - first) };

/** What is told about names once the model is whole. */
function remarksOf(
  where: string,
  model: string,
  wrapper: string,
  foreign: readonly string[],
  all: number,
): string[] {
  const remarks: string[] = [];
  if (wrapper !== "") {
    remarks.push(
      `[weights] ${where}: every name begins with ${JSON.stringify(wrapper)}, which is taken off`,
    );
  }
  if (foreign.length > 0) {
    const what = foreign.length === 1 ? "is left unread" : `are left unread, such as ${foreign[0]}`;
    const which = foreign.length === 1 ? foreign[0] : `${foreign.length} of ${all} tensors`;
    remarks.push(`[weights] ${where}: ${which} ${what}: no part of ${model} has such a name`);
  }
  return remarks;
}

/** The file's tensors under the model's names, what a wrapper has put before theirs, and the names that are another model's. */
function canonical(tensors: Checkpoint["tensors"], names: Names) {
  const wrapper = wrapperOf([...tensors.keys()], names);
  const entries = new Map<string, Entry>();
  const foreign: string[] = [];
  for (const [given, tensor] of tensors) {
    const place = placeOf(given.slice(wrapper.length), names);
    if (place === "foreign") foreign.push(given);
    if (typeof place === "string") continue;
    const first = entries.get(place.name);
    if (first) first.twins.push({ given, tensor });
    else entries.set(place.name, { given, tensor, twins: [] });
  }
  for (const [name, other] of Object.entries(names.instead ?? {})) {
    const entry = entries.get(other);
    if (entry && !entries.has(name)) entries.set(name, entry);
    entries.delete(other);
  }
  return { entries, wrapper, foreign };
}

/**
 * Which tensor of the model each tensor of a file is, by the rules of `Weights.from`; what is not read is left out. `twin` is
 * the other tensor of the file that has to be equal to it. Reads no data.
 */
export function destinations(
  tensors: Checkpoint["tensors"],
  names: Names,
): Map<string, { readonly name: string; readonly twin?: string }> {
  return new Map(
    [...canonical(tensors, names).entries].flatMap(([name, { given, twins }]) => [
      [given, { name }],
      ...twins.map((twin): [string, { name: string; twin: string }] => [
        twin.given,
        { name, twin: given },
      ]),
    ]),
  );
}

const notEqual = (a: string, b: string) =>
  `${a} and ${b} are one tensor of the model, but not equal in the file (set "tie_word_embeddings" to false in ` +
  "config.json where they are meant to differ)";

/** A sentence for each tensor that is not equal to its twin, as far as that is known before reading files. */
function unequal({ given, tensor, twins }: Entry): string[] {
  const same = (other: Entry["tensor"]) => {
    if (tensor.dtype !== other.dtype || !sameShape(tensor.shape, other.shape)) return false;
    if (!("data" in tensor) || !("data" in other)) return true;
    return sameBytes(tensor.data, other.data);
  };
  return twins.flatMap((twin) => (same(twin.tensor) ? [] : [notEqual(twin.given, given)]));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Values as a device keeps them: float32, or the bits of f16 and bf16. */
type Kept = Float32Array | Uint16Array;

/** A sentence about the first value, of element `first` on, that is not finite; undefined where all are. */
function notFinite(
  entry: Pick<Entry, "given" | "tensor">,
  values: Kept,
  storage: Storage,
  first: number,
  from: string,
): string | undefined {
  const place = firstNotFinite(values, storage);
  if (place < 0) return undefined;
  return noNumber(entry, first + place, storage, from);
}

function noNumber(
  { given, tensor: { shape } }: Pick<Entry, "given" | "tensor">,
  place: number,
  storage: Storage,
  from: string,
): string {
  const index: number[] = [];
  let rest = place;
  for (const size of shape.toReversed()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  const kept = storage === "f32" ? "" : ` as ${storage}`;
  return (
    `${from}: ${given} holds a value that is not finite${kept} at [${index.join(", ")}]; ` +
    "fetch the file again, or use another checkpoint"
  );
}

/** What a state starts with; a problem where that is in memory and not finite. */
function stored(
  entry: Entry,
  storage: Storage,
  where: string,
  from: string,
): { initial: Initial; problem?: string | undefined } {
  const { given, tensor, twins } = entry;
  const { dtype } = tensor;
  if ("data" in tensor && dtype === "F32" && storage === "f32") {
    const data = decode(dtype, tensor.data);
    const problem = notFinite(entry, data, storage, 0, from);
    return { initial: { data, dtype: storage }, problem };
  }
  const width = FLOAT_BYTES[dtype as keyof typeof FLOAT_BYTES];
  const checked = (values: Kept, first: number): Kept => {
    const problem = notFinite(entry, values, storage, first, from);
    if (problem !== undefined) throw new ModelError(`[weights] ${problem}`);
    return values;
  };
  const read = async (first: number, end: number) => {
    const [begin, stop] = [first * width, end * width];
    const bytes =
      "data" in tensor ? tensor.data.subarray(begin, stop) : await tensor.read(begin, stop);
    // the first piece tells: what was trained apart is nowhere the same
    for (const twin of first === 0 ? twins : []) {
      if ("data" in twin.tensor || sameBytes(bytes, await twin.tensor.read(begin, stop))) continue;
      throw new ModelError(`[weights] ${where}: ${notEqual(twin.given, given)}`);
    }
    return checked(convert(bytes, dtype, storage), first);
  };
  const fill = "readInto" in tensor ? tensor.readInto?.bind(tensor) : undefined;
  if (!fill || dtype.toLowerCase() !== storage || twins.length > 0) {
    return { initial: { data: { read }, dtype: storage } };
  }
  const refused = (place: number) =>
    new ModelError(`[weights] ${noNumber(entry, place, storage, from)}`);
  return { initial: { data: { read, readInto: fill, refused }, dtype: storage } };
}

/** Values of a file as the device keeps them. */
function convert(bytes: Uint8Array, dtype: SafetensorsDtype, storage: Storage): Kept {
  if (dtype.toLowerCase() === storage && storage !== "f32") {
    const { buffer, byteOffset, length } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
    return new Uint16Array(buffer, byteOffset, length / 2);
  }
  return kept(decode(dtype, bytes), storage);
}

/** Values as the device keeps them. */
function kept(values: Float32Array, storage: Storage): Kept {
  if (storage === "f32") return values;
  return storage === "f16" ? encodeFloat16(values) : encodeBfloat16(values);
}
