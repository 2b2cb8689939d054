/**
 * Checkpoints: config.json and the tensors beside it, described at once and read when a device needs them. Knows the names
 * of files and the formats, no model.
 *
 * A file is open only while it is read. That it is still the same file is checked by its identity, size and time of change.
 */

import { failAbout, ModelError } from "../errors.ts";
import { type Json, parseObject } from "./json.ts";
import type { FileTensor, TensorEntry } from "./safetensors.ts";
import { type OpenedWeights, openFile, openShards } from "./shards.ts";
import { pathSource } from "./source.ts";
import { readText } from "./text.ts";

/** A model's configuration and tensors. */
export type Checkpoint = {
  /** The directory, or what to call it in errors. */
  readonly where: string;
  readonly config: Json;
  /** By the names that the files give them: in memory (as `parseSafetensors` gives them), or in files. */
  readonly tensors: ReadonlyMap<string, TensorEntry | FileTensor>;
  /** The path of each tensor's file, where they are in files. */
  readonly files?: ReadonlyMap<string, string>;
};

/** How the name of a list of shards ends. */
export const INDEX = ".index.json";
const JSON_LIMIT = 64 * 2 ** 20; // bytes

/** Where weights may be, in the order in which transformers looks for them; the first that is there is taken. */
export const WEIGHTS: readonly string[] = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

/**
 * Reads config.json and the headers of a directory's weights: model.safetensors, else its shards, else pytorch_model.bin,
 * else its shards.
 *
 * @throws one sentence for files that are not there or not what their names say; `[safetensors] ...`, `[pytorch] ...`
 */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const { stat } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const config = await readConfig(directory);
  for (const name of WEIGHTS) {
    const file = join(directory, name);
    const found = await stat(file).catch(() => undefined);
    if (!found) continue;
    const { tensors, files } = await openWeights(file);
    return { where: directory, config, tensors, files };
  }
  throw new ModelError(
    `[weights] ${directory} holds none of ${WEIGHTS.join(", ")}; name a directory that holds one of them`,
  );
}

/**
 * The config.json of a directory.
 *
 * @throws `[config] ...` where it is not there, no regular file, or no JSON object in UTF-8
 */
export async function readConfig(directory: string): Promise<Json> {
  const { join } = await import("node:path");
  const path = join(directory, "config.json");
  const remedy = "name a directory that holds config.json and model.safetensors";
  const text = await readText(path, failAbout("config", path), remedy, JSON_LIMIT);
  return parseObject(text, "config", path);
}

/**
 * The tensors of a file of weights, or of the files that an index lists, by the ending of its name, and what it says beside
 * them. Reads headers only.
 *
 * @throws one sentence for a file that is not there or not what its name says
 */
export async function openWeights(path: string): Promise<OpenedWeights> {
  if (!path.endsWith(INDEX)) return openFile(await pathSource(path), path);
  const { dirname, join } = await import("node:path");
  const text = await readText(path, failAbout("weights", path), "name a readable file", JSON_LIMIT);
  return openShards(text, path, (file) => pathSource(join(dirname(path), file)));
}
