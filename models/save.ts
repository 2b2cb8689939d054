/**
 * Writes what is on a device: states as a safetensors file, a model as a directory that `load` reads again. Knows what every
 * model has, no architecture.
 */
import type { Device } from "../engine/device.ts";
import { stateName, type Tensor, valueBytes } from "../engine/tensor.ts";
import { writeWhole } from "./formats/files.ts";
import { encodeFloat16 } from "./formats/floats.ts";
import type { Json } from "./formats/json.ts";
import { STREAMED, streamSafetensors } from "./formats/safetensors.ts";
import { withSeal, writeSealed } from "./formats/seal.ts";
import { tokenizerFiles } from "./hub/files.ts";
import type { ModelWeights } from "./weights.ts";

/**
 * A safetensors file of states as they are on the device, under their own names, in pieces.
 *
 * @param dtype F16 rounds to nearest; a tensor kept as f16 or bf16 stays what it is
 */
export function streamTensors(
  device: Device,
  tensors: Iterable<Tensor>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
  dtype: "F32" | "F16" = "F32",
): AsyncGenerator<Uint8Array> {
  const specs = Array.from(tensors, (t) => {
    const kept = t.dtype === "f16" ? "F16" : "BF16";
    return [stateName(t), { t, shape: t.shape, dtype: t.dtype === "f32" ? dtype : kept }] as const;
  });
  const bytes = (t: Tensor, kept: ArrayBuffer): Uint8Array =>
    t.dtype === "f32" && dtype === "F16"
      ? new Uint8Array(encodeFloat16(new Float32Array(kept)).buffer)
      : new Uint8Array(kept);
  async function* pieces(t: Tensor): AsyncGenerator<Uint8Array> {
    const all = valueBytes(t);
    for (let begin = 0; begin < all; begin += STREAMED) {
      const end = Math.min(all, begin + STREAMED);
      const [part] = await device.readStates([t], { begin, end });
      yield bytes(t, part);
    }
  }
  const load = async (some: readonly { t: Tensor }[]) => {
    const isLarge = (t: Tensor) => valueBytes(t) > STREAMED;
    const small = some.flatMap(({ t }) => (isLarge(t) ? [] : [t]));
    const read = await device.readStates(small);
    return some.map(({ t }) => (isLarge(t) ? pieces(t) : bytes(t, read[small.indexOf(t)])));
  };
  return streamSafetensors(new Map(specs), load, metadata);
}

/** What a model that can be saved has. */
export type Saveable = {
  readonly json: Json;
  readonly weights: ModelWeights;
};

/** A model's own tensors, tied ones once. */
export const tensorsOf = ({ parameters, buffers }: ModelWeights): Tensor[] => [
  ...parameters.values(),
  ...buffers.values(),
];

/**
 * Writes config.json and model.safetensors into a directory, which is made when it is not there; each file whole or not at all.
 *
 * @param dtype as for `streamTensors`
 */
export async function saveCheckpoint(
  directory: string,
  device: Device,
  model: Saveable,
  dtype: "F32" | "F16" = "F32",
): Promise<void> {
  const { join } = await import("node:path");
  await writeWhole(join(directory, "config.json"), configText(model.json));
  const metadata = withSeal({ format: "pt" });
  const pieces = streamTensors(device, tensorsOf(model.weights), metadata, dtype);
  await writeSealed(join(directory, "model.safetensors"), pieces);
}

/** Copies the files of a tokenizer, where `to` is another directory than `from`. */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  const { copyFile, mkdir, readdir } = await import("node:fs/promises");
  const { join, resolve } = await import("node:path");
  if (resolve(from) === resolve(to)) return;
  await mkdir(to, { recursive: true });
  for (const name of tokenizerFiles(new Set(await readdir(from))) ?? []) {
    await copyFile(join(from, name), join(to, name));
  }
}

/** Fields that transformers takes as numbers with a point only, which JavaScript's own JSON leaves out of whole ones. */
const FLOATS = /^( *"(?:initializer_\w+|init_std|\w*(?:eps|epsilon))": -?\d+)(?=,?$)/gm;

const configText = (json: Json): string =>
  `${JSON.stringify(json, null, 2).replaceAll(FLOATS, "$1.0")}\n`;
