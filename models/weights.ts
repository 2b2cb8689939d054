/**
 * Weights by name: from a safetensors file, strictly, or random ones for a model that starts from nothing.
 *
 * A model asks for each tensor by the name that stands in the file: `w.at("attention.self").linear("query", h, h)` is
 * `attention.self.query.weight` and `.bias`, behind whatever `w` itself is at. What does not fit is collected while the model is
 * built, and `finish()` reports all of it at once.
 */
import { read } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { numel, type Shape, sameShape, show } from "../engine/shape.ts";
import { type DType, state, stateName, type Tensor, type TypedArray } from "../engine/tensor.ts";
import type { Json } from "./config.ts";
import { normal } from "./init.ts";
import { Embedding, LayerNorm, Linear } from "./nn.ts";
import {
  encodeFloat16,
  parseSafetensors,
  type Safetensors,
  serializeSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "./safetensors.ts";

/** The names in which files of one kind of model differ from the model's own. */
export interface Names {
  /** A second name of a tensor -> its first. Where a file has both, they must be equal. */
  readonly tied: Readonly<Record<string, string>>;
  /** Older spellings of the end of a name -> the end as it is here. */
  readonly spellings: Readonly<Record<string, string>>;
  /** What a file may hold and the model does not read. */
  readonly unread: readonly string[];
  /** How a file of the model without its head differs: its names lack a prefix, and some tensors (then 0) are not there. */
  readonly headless?: { readonly prefix: string; readonly absent: readonly string[] };
}

/** How matrices are kept on the device; f16 and bf16 are for frozen models. */
export type Storage = "f32" | "f16" | "bf16";

/** A checkpoint's two files, in memory. */
export interface Checkpoint {
  /** The directory, or what to call it in errors. */
  readonly where: string;
  readonly config: Json;
  readonly file: Safetensors;
}

/** Where the values come from, and what has been asked for so far. */
interface Source {
  value(name: string, shape: Shape, init: Init): { data: TypedArray; dtype: DType };
  has(name: string): boolean;
  parameters: Map<string, Tensor>;
  buffers: Map<string, Tensor>;
  contradictions: string[];
  finish(model: string): void;
}

/** How a random tensor starts: one value everywhere, or normal (with one row of zeros, that of padding). */
type Init = { fill: number } | { normal: true; zeroRow?: number | undefined; exact?: boolean };

/** A model's tensors by full name. */
export interface ModelWeights {
  /** What training may change. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** What is saved but not trained. */
  readonly buffers: ReadonlyMap<string, Tensor>;
}

/** A place in the tree of names. */
export class Weights {
  readonly #source: Source;
  readonly #path: string;

  private constructor(source: Source, path: string) {
    this.#source = source;
    this.#path = path;
  }

  /** The weights of a file; matrices are kept as `storage`. */
  static from(checkpoint: Checkpoint, names: Names, storage: Storage = "f32"): Weights {
    return new Weights(fileSource(checkpoint, names, storage), "");
  }

  /** Matrices and embeddings are normal of standard deviation `std`, biases 0, LayerNorm weights 1. */
  static random(seed: number, std: number): Weights {
    return new Weights(randomSource(seed, std), "");
  }

  /** The place `path` below this one. */
  at(path: string): Weights {
    return new Weights(this.#source, this.#name(path));
  }

  linear(name: string, inputs: number, outputs: number): Linear {
    return new Linear(
      this.#parameter(`${name}.weight`, [outputs, inputs], { normal: true }),
      this.#parameter(`${name}.bias`, [outputs], { fill: 0 }),
    );
  }

  layerNorm(name: string, size: number, eps: number): LayerNorm {
    return new LayerNorm(
      this.#parameter(`${name}.weight`, [size], { fill: 1 }),
      this.#parameter(`${name}.bias`, [size], { fill: 0 }),
      eps,
    );
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

  bias(name: string, size: number): Tensor {
    return this.#parameter(name, [size], { fill: 0 });
  }

  /** A tensor that training leaves alone. */
  buffer(name: string, shape: Shape): Tensor {
    return this.#make(this.#source.buffers, name, shape, { fill: 0 });
  }

  /** Notes a field of config.json that says another count of layers than the file holds under `name`. */
  layers(name: string, fieldName: string, declared: number): void {
    let held = 0;
    while (this.#source.has(this.#name(`${name}.${held}.`))) held++;
    if (held !== declared && held > 0) {
      this.#source.contradictions.push(`${fieldName} is ${declared}, the weights have ${held}`);
    }
  }

  /**
   * The tensors, when the file fits the model.
   * @throws `[weights] ...` with every missing, unused, misshapen tensor and wrong dtype by full name
   */
  finish(model: string): ModelWeights {
    this.#source.finish(model);
    return { parameters: this.#source.parameters, buffers: this.#source.buffers };
  }

  #name(path: string): string {
    return this.#path === "" ? path : `${this.#path}.${path}`;
  }

  #parameter(name: string, shape: Shape, init: Init): Tensor {
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
  contradictions: [] as string[],
});

function randomSource(seed: number, std: number): Source {
  let stream = 0;
  return {
    ...tables(),
    has: () => false,
    value: (_, shape, init) => {
      const mine = stream++;
      if ("fill" in init) {
        return { data: new Float32Array(numel(shape)).fill(init.fill), dtype: "f32" };
      }
      const data = normal(numel(shape), std, seed, mine);
      const width = shape[shape.length - 1];
      if (init.zeroRow !== undefined) {
        data.fill(0, init.zeroRow * width, (init.zeroRow + 1) * width);
      }
      return { data, dtype: "f32" };
    },
    finish: () => {},
  };
}

function fileSource({ where, file }: Checkpoint, names: Names, storage: Storage): Source {
  const { entries, problems, absent } = canonical(file.tensors, names);
  const asked = new Set<string>();
  const list = { missing: [] as string[], shape: [] as string[], dtype: [] as string[] };
  const source = tables();
  return {
    ...source,
    has: (prefix) => [...entries.keys()].some((name) => name.startsWith(prefix)),
    value: (name, shape, init) => {
      const matrix = "normal" in init && !init.exact;
      asked.add(name);
      const entry = entries.get(name);
      if (entry === undefined && absent.includes(name)) return zeros(shape);
      if (entry === undefined) list.missing.push(name);
      else if (!(entry.dtype in FLOATS)) list.dtype.push(`${name} is ${entry.dtype}`);
      else if (!sameShape(entry.shape, shape)) {
        list.shape.push(`${name} is ${show(entry.shape)}, config.json asks for ${show(shape)}`);
      } else return stored(entry, matrix ? storage : "f32");
      return zeros(shape); // the model is built on, to find the rest
    },
    finish: (model) => {
      const unused = [...entries.keys()].filter((name) => !asked.has(name));
      const lines = [
        ...source.contradictions.map((text) => `config.json: ${text}`),
        ...list.missing.map((name) => `missing: ${name}`),
        ...unused.map((name) => `unused: ${name}`),
        ...list.shape.map((text) => `shape: ${text}`),
        ...list.dtype.map((text) => `dtype: ${text}, F32, F16, BF16 or F64 is expected`),
        ...problems,
      ];
      if (lines.length === 0) return;
      throw new Error(
        `[weights] ${where} does not hold the ${model} that its config.json describes; ` +
          `use both files of one checkpoint:\n  ${lines.join("\n  ")}`,
      );
    },
  };
}

const zeros = (shape: Shape) => ({ data: new Float32Array(numel(shape)), dtype: "f32" as const });

const FLOATS = { F32: 1, F16: 1, BF16: 1, F64: 1 };

/** The file's tensors under the model's names. */
function canonical(tensors: ReadonlyMap<string, TensorEntry>, names: Names) {
  const entries = new Map<string, TensorEntry>();
  const problems: string[] = [];
  const { prefix = "", absent = [] } = names.headless ?? {};
  const headless = ![...tensors.keys()].some((name) => name.startsWith(prefix));
  for (const [stored, entry] of tensors) {
    const given = headless ? prefix + stored : stored;
    if (names.unread.includes(given)) continue;
    const old = Object.keys(names.spellings).find((end) => given.endsWith(`.${end}`));
    const spelled = old === undefined ? given : given.slice(0, -old.length) + names.spellings[old];
    const name = names.tied[spelled] ?? spelled;
    const other = entries.get(name);
    if (other === undefined) entries.set(name, entry);
    else if (!sameEntry(entry, other)) problems.push(`tied, but not equal: ${given} and ${name}`);
  }
  return { entries, problems, absent: headless ? absent : [] };
}

function sameEntry(a: TensorEntry, b: TensorEntry): boolean {
  if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape)) return false;
  return a.data.every((byte, i) => byte === b.data[i]);
}

function stored(entry: TensorEntry, storage: Storage): { data: TypedArray; dtype: DType } {
  if (storage === "f32") return { data: toFloat32(entry), dtype: "f32" };
  if (entry.dtype.toLowerCase() === storage) {
    const bytes = entry.data.slice(); // aligned
    return { data: new Uint16Array(bytes.buffer), dtype: storage };
  }
  const values = toFloat32(entry);
  const data = storage === "f16" ? encodeFloat16(values) : encodeBfloat16(values);
  return { data, dtype: storage };
}

/** float32 -> bfloat16 bits, rounded to nearest, ties to even. */
export function encodeBfloat16(values: Float32Array): Uint16Array {
  const aligned = values.byteOffset % 4 === 0 ? values : values.slice();
  const bits = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length);
  return Uint16Array.from(bits, (b) =>
    (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16,
  );
}

/** Reads config.json and model.safetensors of a directory. */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const { readFile } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const open = async (name: string) => {
    const path = join(directory, name);
    try {
      const file = await readFile(path);
      return { path, bytes: new Uint8Array(file.buffer, file.byteOffset, file.length) };
    } catch (cause) {
      throw new Error(
        `[weights] ${path} cannot be read; name a directory that holds config.json and model.safetensors`,
        { cause },
      );
    }
  };
  const config = await open("config.json");
  const { path, bytes } = await open("model.safetensors");
  return {
    where: directory,
    config: parseJson(new TextDecoder().decode(config.bytes), config.path),
    file: parseSafetensors(bytes, path),
  };
}

function parseJson(text: string, path: string): Json {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`[config] ${path} is not JSON; fetch the file again`, { cause });
  }
}

/**
 * The bytes of a safetensors file of a model's tensors as they are on the device, tied ones once, under their own names.
 *
 * @param dtype F16 rounds to nearest; a tensor kept as f16 or bf16 stays what it is
 */
export async function serializeWeights(
  device: Device,
  weights: ModelWeights,
  dtype: "F32" | "F16" = "F32",
): Promise<Uint8Array> {
  const tensors = [...weights.parameters.values(), ...weights.buffers.values()];
  const values = await read(device, tensors);
  const entries = new Map<string, TensorEntry>();
  tensors.forEach((t, i) => {
    const data = values[i];
    const entry =
      data instanceof Float32Array
        ? tensorEntry(dtype, t.shape, dtype === "F16" ? encodeFloat16(data) : data)
        : tensorEntry(t.dtype === "f16" ? "F16" : "BF16", t.shape, data.subarray(0, t.size));
    entries.set(stateName(t), entry);
  });
  return serializeSafetensors(entries, { format: "pt" });
}

/** What a model that can be saved has. */
export interface Saveable {
  readonly json: Json;
  readonly weights: ModelWeights;
}

/** Writes config.json and model.safetensors into a directory, which is made when it is not there. */
export async function saveCheckpoint(
  directory: string,
  device: Device,
  model: Saveable,
  dtype: "F32" | "F16" = "F32",
): Promise<void> {
  const { mkdir, writeFile } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const bytes = await serializeWeights(device, model.weights, dtype);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "config.json"), `${JSON.stringify(model.json, null, 2)}\n`);
  await writeFile(join(directory, "model.safetensors"), bytes);
}
