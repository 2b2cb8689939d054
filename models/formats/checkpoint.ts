/**
 * Checkpoints: config.json and the tensors beside it, described at once and read when a device needs them. Knows the names
 * of files and the formats, no model.
 *
 * A file is open only while it is read. That it is still the same file is checked by its identity, size and time of change.
 */

import { failAbout, ModelError } from "../errors.ts";
import { INDEX, MODEL_CONFIG, type ModelPart, TEXT_LIMIT, WEIGHTS } from "../hub/files.ts";
import { type ModelSource, openModel } from "../hub/open.ts";
import type { HubOptions } from "../hub/settings.ts";
import { type Json, parseObject } from "./json.ts";
import type { Place } from "./place.ts";
import type { FileTensor, TensorEntry } from "./safetensors.ts";
import { type OpenedWeights, openFile, openShards } from "./shards.ts";

/** A model's configuration and tensors. */
export type Checkpoint = {
  /** The directory or address, or what to call it in errors. */
  readonly where: string;
  readonly config: Json;
  /** By the names that the files give them: in memory (as `parseSafetensors` gives them), or in files. */
  readonly tensors: ReadonlyMap<string, TensorEntry | FileTensor>;
  /** The path of each tensor's file, where they are in files. */
  readonly files?: ReadonlyMap<string, string>;
};

const READ: readonly ModelPart[] = ["config", "weights"];

/**
 * Reads config.json and the headers of a model's weights: model.safetensors, else its shards, else pytorch_model.bin,
 * else its shards. A model that is named or has an address is fetched into the cache before, as far as it is not there.
 *
 * @param options of what is fetched
 * @throws one sentence for files that are not there or not what their names say; `[safetensors] ...`, `[pytorch] ...`,
 *   `[hub] ...`, `[files] ...`
 */
export async function readCheckpoint(
  source: ModelSource,
  options: HubOptions = {},
): Promise<Checkpoint> {
  const place = await openModel(source, { parts: READ, ...options });
  const config = await readConfig(place);
  for (const name of WEIGHTS) {
    if (!(await place.has(name))) continue;
    const { tensors, files } = await openWeights(place, name);
    return { where: place.where, config, tensors, files };
  }
  throw new ModelError(
    `[weights] ${place.where} holds none of ${WEIGHTS.join(", ")}; name a directory that holds one of them`,
  );
}

/**
 * The config.json of a place.
 *
 * @throws `[config] ...` where it is not there, no regular file, or no JSON object in UTF-8
 */
export async function readConfig(place: Place): Promise<Json> {
  const path = place.path(MODEL_CONFIG);
  const remedy = "name a directory that holds config.json and model.safetensors";
  const text = await place.text(MODEL_CONFIG, failAbout("config", path), remedy, TEXT_LIMIT);
  return parseObject(text, "config", path);
}

/**
 * The tensors of a file of weights, or of the files that an index lists, by the ending of its name, and what it says beside
 * them. Reads headers only.
 *
 * @throws one sentence for a file that is not there or not what its name says
 */
export async function openWeights(place: Place, name: string): Promise<OpenedWeights> {
  const path = place.path(name);
  if (!name.endsWith(INDEX)) return openFile(await place.open(name), path);
  const fail = failAbout("weights", path);
  const text = await place.text(name, fail, "name a readable file", TEXT_LIMIT);
  return openShards(text, path, (file) => place.open(file));
}
