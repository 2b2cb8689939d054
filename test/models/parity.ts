/** Goldens of models, and comparisons that name the first tensor that differs. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compile, type Input, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { AdamW } from "../../engine/optim.ts";
import {
  initialPieces,
  stateName,
  type Tensor,
  type TypedArray,
  tensor,
} from "../../engine/tensor.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { parseSafetensors, type TensorEntry, toFloat32 } from "../../models/formats/safetensors.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import type { ModelWeights } from "../../models/weights.ts";

const FOLDER = new URL("../golden/models/", import.meta.url);

/** Text of a file under test/golden/models. */
export const goldenText = (path: string): string => readFileSync(new URL(path, FOLDER), "utf8");

const bytesOf = (path: string) => new Uint8Array(readFileSync(new URL(path, FOLDER)));

/** A folder under test/golden/models, for what reads directories. */
export const goldenFolder = (path: string): string => fileURLToPath(new URL(path, FOLDER));

/** A checkpoint whose tensors are in memory. */
export interface MemoryCheckpoint extends Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** The checkpoint of a folder under test/golden/models, read into memory. */
export function goldenCheckpoint(folder: string): MemoryCheckpoint {
  const path = `${folder}/model.safetensors`;
  return {
    where: folder,
    config: JSON.parse(goldenText(`${folder}/config.json`)),
    tensors: parseSafetensors(bytesOf(path), path).tensors,
  };
}

/** The golden of a folder under test/golden/models. */
export class ModelGolden {
  readonly #tensors: ReadonlyMap<string, TensorEntry>;
  constructor(folder: string) {
    this.#tensors = parseSafetensors(bytesOf(`${folder}/golden.safetensors`), folder).tensors;
  }
  has(name: string): boolean {
    return this.#tensors.has(name);
  }
  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }
  /** F32 values. */
  floats(name: string): Float32Array {
    return toFloat32(this.#entry(name));
  }
  /** F64 or F32 values. */
  doubles(name: string): ArrayLike<number> {
    const entry = this.#entry(name);
    return entry.dtype === "F64" ? new Float64Array(entry.data.slice().buffer) : toFloat32(entry);
  }
  /** U32 or I32 values. */
  integers(name: string): Int32Array {
    return new Int32Array(this.#entry(name).data.slice().buffer);
  }
  /** An F32, U32 or I32 tensor as a constant; integers as u32. */
  tensor(name: string): Tensor {
    const entry = this.#entry(name);
    const data = entry.dtype === "F32" ? toFloat32(entry) : Uint32Array.from(this.integers(name));
    return tensor(data, entry.shape);
  }
  #entry(name: string): TensorEntry {
    const entry = this.#tensors.get(name);
    if (!entry) throw new Error(`the golden has no ${name}`);
    return entry;
  }
}

const largest = (values: ArrayLike<number>): number => {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
};

/** A tensor that was computed, and what it should be. */
export type Pair = {
  readonly name: string;
  readonly got: ArrayLike<number>;
  readonly want: ArrayLike<number>;
};

function differs({ name, got, want }: Pair, allowed: number): string | undefined {
  if (got.length !== want.length) return `${name}: ${got.length} values, expected ${want.length}`;
  let [worst, at] = [-1, 0];
  for (let i = 0; i < want.length; i++) {
    const distance = Math.abs(got[i] - want[i]);
    if (!(distance <= worst)) [worst, at] = [distance, i]; // a NaN stays
    if (Number.isNaN(distance)) break;
  }
  if (worst <= allowed) return undefined;
  return `${name} differs by ${worst} (${allowed} is allowed): element ${at} is ${got[at]}, expected ${want[at]}`;
}

/** max|a-b| <= absolute + relative max|b| for each; throws for the first that is not. */
export function closeForward(pairs: readonly Pair[], absolute = 1e-4, relative = 1e-5): void {
  for (const pair of pairs) {
    const problem = differs(pair, absolute + relative * largest(pair.want));
    if (problem) throw new Error(problem);
  }
}

/** max|a-b| <= 1e-3 max|b| + 1e-6 of the largest gradient for each; throws for the first that is not. */
export function closeGradients(pairs: readonly Pair[]): void {
  const floor = 1e-6 * Math.max(...pairs.map(({ want }) => largest(want)));
  for (const pair of pairs) {
    const problem = differs(pair, 1e-3 * largest(pair.want) + floor);
    if (problem) throw new Error(problem);
  }
}

/** |a-b| <= 1e-4 |b| for each loss. */
export function closeLosses(name: string, got: readonly number[], want: ArrayLike<number>): void {
  got.forEach((loss, step) => {
    const problem = differs(
      { name: `${name}, step ${step}`, got: [loss], want: [want[step]] },
      1e-4 * Math.abs(want[step]),
    );
    if (problem) throw new Error(problem);
  });
}

/** Values of named tensors in one plan. */
export async function valuesOf(
  device: Device,
  tensors: Readonly<Record<string, Tensor>>,
): Promise<Record<string, TypedArray>> {
  const names = Object.keys(tensors);
  const values = await read(device, Object.values(tensors));
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/** Gradients of a loss for every parameter beside the golden's `grad.NAME`. */
export async function gradientPairs(
  device: Device,
  loss: Tensor,
  { parameters }: ModelWeights,
  golden: ModelGolden,
): Promise<Pair[]> {
  const names = [...parameters.keys()];
  const values = await read(device, grad(loss, [...parameters.values()]));
  return names.map((name, i) => ({
    name: `grad.${name}`,
    got: values[i],
    want: golden.floats(`grad.${name}`),
  }));
}

/** Values of hidden states [..., D] with 0 in the rows of padding, as goldens hold them. */
export function live(values: ArrayLike<number>, mask: ArrayLike<number>): Float32Array {
  const width = values.length / mask.length;
  return Float32Array.from(values, (v, i) => (mask[Math.floor(i / width)] === 1 ? v : 0));
}

/** Values [T, B, ...] in the order of [B, T, ...]. */
export function batchFirst(values: ArrayLike<number>, steps: number, rows: number): Float32Array {
  const width = values.length / (steps * rows);
  return Float32Array.from({ length: values.length }, (_, i) => {
    const [t, b] = [Math.floor(i / width) % steps, Math.floor(i / (width * steps))];
    return values[(t * rows + b) * width + (i % width)];
  });
}

/** Rows with a label, counted over all places, and the labels. */
export function labelled(labels: ArrayLike<number>): { rows: Uint32Array; targets: Uint32Array } {
  const rows = Array.from(labels, (_, i) => i).filter((i) => labels[i] >= 0);
  return { rows: Uint32Array.from(rows), targets: Uint32Array.from(rows, (i) => labels[i]) };
}

/** The losses of as many AdamW steps as there are rates, clipped to norm 1. */
export async function trainedLosses<B>(
  device: Device,
  { parameters, decays }: Pick<Seq2Seq, "parameters" | "decays">,
  batch: B,
  loss: (batch: B) => Tensor,
  rates: ArrayLike<number>,
  weightDecay: number,
): Promise<number[]> {
  const optimizer = new AdamW(parameters, { weightDecay, decays, maxNorm: 1 });
  const step = compile(device, (inputs: B, scalars: Tensor) => {
    const value = loss(inputs);
    optimizer.update(grad(value, parameters), scalars, [value]);
    return { loss: value };
  });
  const losses: number[] = [];
  for (let i = 0; i < rates.length; i++) {
    const { loss: result } = await step(batch as Input<B>, optimizer.scalars(i + 1, rates[i]));
    losses.push(await result.item());
  }
  return losses;
}

/** What a state begins with, wherever it comes from. */
export async function initialValues(state: Tensor): Promise<TypedArray> {
  const half = state.dtype === "f16" || state.dtype === "bf16";
  const values = half ? new Uint16Array(state.size) : new Float32Array(state.size);
  let at = 0;
  for await (const piece of initialPieces(state)) {
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}

export const namesOf = (tensors: readonly Tensor[]): string[] => tensors.map(stateName);
