/** What the processes of `npm run fullsize` share: results of PyTorch, comparisons, memory. */
import { readFileSync } from "node:fs";
import type { DeviceOptions } from "../../../engine/device.ts";
import { type Tensor, type TypedArray, tensor } from "../../../engine/tensor.ts";
import { pathSource } from "../../../models/formats/disk.ts";
import {
  type FileTensor,
  openSafetensors,
  readFloat32,
} from "../../../models/formats/safetensors.ts";
import { assemble, type Example } from "../../../promptgen/methods/promptgen/batch.ts";
import type { Classes, Generator } from "../../../promptgen/methods/promptgen/generator.ts";
import type { TrainingBatch } from "../../../promptgen/methods/promptgen/index.ts";
import { objective, readPrompts } from "../../../promptgen/methods/promptgen/objective.ts";
import type { Reader } from "../../../promptgen/reader.ts";
import { filledUp, rowWeights } from "../../../promptgen/training/padding.ts";

/** One line of the table: the largest difference beside the largest value, and what is allowed. */
export type Compared = {
  readonly what: string;
  readonly difference: number;
  readonly allowed: number;
  /** The largest absolute value of PyTorch's. */
  readonly largest: number;
};

/** What a process of the command prints, one JSON object a line. */
export type Line =
  | ({ readonly kind: "compared" } & Compared)
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "done"; readonly seconds: number; readonly peak: number };

/** What loading took: seconds, those of its CPUs, bytes of tensors, of memory before and at most, of the device. */
export type Loaded = {
  readonly seconds: number;
  readonly busy: number;
  readonly bytes: number;
  readonly before: number;
  readonly peak: number;
  readonly device?: number;
};

export const say = (line: Line): void => console.log(JSON.stringify(line));

/** A line of a process's status, by default of this one's, in bytes; 0 on systems without /proc and for a process that has ended. */
export function memory(key: "VmRSS" | "VmHWM", process: number | "self" = "self"): number {
  let status = "";
  try {
    status = readFileSync(`/proc/${process}/status`, "utf8");
  } catch {
    return 0;
  }
  return Number(new RegExp(`^${key}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0) * 1024;
}

/** The devices by the names in the table; the second emulates an adapter whose largest binding is 128 MiB. */
export const DEVICES: Readonly<Record<string, DeviceOptions>> = {
  cpu: { device: "cpu" },
  "gpu:software": { device: "gpu:software", maxBinding: 2 ** 27 },
  gpu: { device: "gpu", maxBinding: 2 ** 27 },
};

/** What PyTorch's side of a PromptGen step writes beside its results. */
export type StepSettings = {
  readonly m: number;
  readonly n: number;
  readonly alpha: number;
  readonly floor: number;
  readonly bart: { bos: number; pad: number; eos: number; mask: number };
  readonly bert: { pad: number; cls: number; sep: number; mask: number; none: number };
};

/** Classes from pairs [C, 2] of ids of BART and BERT, the end last. */
export function classesOf(pairs: ArrayLike<number>): Classes {
  const size = pairs.length / 2;
  const column = (k: number) => Uint32Array.from({ length: size }, (_, i) => pairs[2 * i + k]);
  return { size, end: size - 1, generator: column(0), reader: column(1) };
}

/** One fact as PyTorch's side writes it: BART's input, the pieces of its subject for each model, BERT's id of its object. */
export type StepFact = {
  readonly encoder: readonly number[];
  readonly bart: readonly number[];
  readonly bert: readonly number[];
  readonly object: number;
};

/** The facts as a batch of `rows` rows of one subject width, asked with their own subject and with "None". */
export function stepBatch(
  facts: readonly StepFact[],
  width: number,
  rows: number,
  extra: number,
  { bart, bert }: Pick<StepSettings, "bart" | "bert">,
): TrainingBatch {
  const layout = { extra, ids: { generator: bart, reader: bert } };
  const objects = filledUp(facts, rows).map(({ object }) => object);
  return {
    ...assemble(
      facts.map((fact) => exampleOf(fact, bert.none)),
      width,
      rows,
      layout,
    ),
    objects: tensor(Uint32Array.from(objects)),
    weights: rowWeights(facts.length, rows),
  };
}

/** A fact as PromptGen's batches take it. */
export const exampleOf = (fact: StepFact, none: number): Example => ({
  encoder: fact.encoder,
  generator: fact.bart,
  reader: [fact.bert, [none]],
});

/** The whole step of a batch: prompts, logits at [MASK], losses. */
export function stepOf(
  generator: Generator,
  reader: Reader,
  batch: TrainingBatch,
  { alpha, floor }: Pick<StepSettings, "alpha" | "floor">,
) {
  const prompts = generator.unroll(batch);
  const logits = readPrompts(reader, batch, prompts, generator.classes, generator.m);
  return { prompts, logits, ...objective(logits, batch, alpha, floor) };
}

/** A file of PyTorch's results that is read tensor by tensor. */
export class Results {
  readonly #tensors: ReadonlyMap<string, FileTensor>;

  private constructor(tensors: ReadonlyMap<string, FileTensor>) {
    this.#tensors = tensors;
  }

  static async open(path: string): Promise<Results> {
    return new Results((await openSafetensors(await pathSource(path), path)).tensors);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  async floats(name: string): Promise<Float32Array> {
    return readFloat32(this.#entry(name));
  }

  /** U32 or I32 values. */
  async integers(name: string): Promise<Int32Array> {
    const found = this.#entry(name);
    return new Int32Array((await found.read(0, found.byteLength)).slice().buffer);
  }

  async ids(name: string): Promise<Tensor> {
    const { shape } = this.#entry(name);
    return tensor(Uint32Array.from(await this.integers(name)), shape);
  }

  #entry(name: string): FileTensor {
    const found = this.#tensors.get(name);
    if (!found) throw new Error(`[fullsize] PyTorch's results have no ${name}; make them again`);
    return found;
  }
}

/** max|a-b| and max|b|; NaN where a value is none, or where there are not as many. */
export function distance(got: TypedArray, want: ArrayLike<number>): [worst: number, most: number] {
  if (got.length !== want.length) return [Number.NaN, Number.NaN];
  let [worst, most] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    const d = Math.abs(got[i] - want[i]);
    if (!(d <= worst)) worst = d;
    if (Number.isNaN(d)) return [d, most];
    const b = Math.abs(want[i]);
    if (b > most) most = b;
  }
  return [worst, most];
}

/** Forward values, as the tests compare them: 1e-4 + 1e-5 max|b|, or `relative` max|b| alone. */
export function compareForward(
  what: string,
  got: TypedArray,
  want: ArrayLike<number>,
  relative?: number,
): void {
  const [difference, largest] = distance(got, want);
  const allowed = relative === undefined ? 1e-4 + 1e-5 * largest : relative * largest;
  say({ kind: "compared", what, difference, allowed, largest });
}
