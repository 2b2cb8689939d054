/**
 * Reads goldens: safetensors files with a list of cases in their metadata (written by
 * `tools/golden.py`).
 */
import { readFileSync } from "node:fs";
import type { DType, TypedArray } from "../engine/tensor.ts";

export type Values = {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: TypedArray;
};

/**
 * One case of an op: how many inputs and outputs, which inputs have a gradient, and what to call
 * the op with.
 */
export type Case = {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly grads: readonly number[];
  readonly attrs: Readonly<Record<string, unknown>>;
};

export type Golden = {
  readonly cases: readonly Case[];
  /** The tensor called `key`; throws when there is none. */
  at(key: string): Values;
  has(key: string): boolean;
};

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };

const dtypes: Readonly<Record<string, DType>> = {
  F32: "f32",
  U32: "u32",
  I32: "i32",
  F16: "f16",
  BF16: "bf16",
};

function typedArray(dtype: DType, bytes: ArrayBuffer): TypedArray {
  if (dtype === "f32") return new Float32Array(bytes);
  if (dtype === "u32") return new Uint32Array(bytes);
  if (dtype === "i32") return new Int32Array(bytes);
  return new Uint16Array(bytes);
}

/** Reads `test/golden/ops/<name>.safetensors`; throws when there is none. */
export function readGolden(name: string): Golden {
  const file = readFileSync(new URL(`golden/ops/${name}.safetensors`, import.meta.url));
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + length)) as Record<string, Entry>;
  const metadata = header.__metadata__ as unknown as { cases: string };
  const at = (key: string): Values => {
    const entry = header[key];
    if (!entry) throw new Error(`the golden of ${name} has no ${key}`);
    const dtype = dtypes[entry.dtype];
    const [from, to] = entry.data_offsets.map((o) => 8 + length + o);
    const bytes = Uint8Array.from(file.subarray(from, to)).buffer;
    return { shape: entry.shape, dtype, data: typedArray(dtype, bytes) };
  };
  return { cases: JSON.parse(metadata.cases) as Case[], at, has: (key) => key in header };
}
