/**
 * Checkpoints: config.json and the tensors beside it, described at once and read when a device needs them.
 *
 * A file is open only while it is read. That it is still the same file is checked by its identity, size and time of change.
 */
import type { Json } from "../config.ts";
import type { Fail } from "./messages.ts";
import { readPytorch, readPytorchShards } from "./pytorch.ts";
import { type FileTensor, openSafetensors, type TensorEntry } from "./safetensors.ts";
import { readShards } from "./shards.ts";
import { pathSource, reasonOf } from "./source.ts";

/** A model's configuration and tensors. */
export interface Checkpoint {
  /** The directory, or what to call it in errors. */
  readonly where: string;
  readonly config: Json;
  /** By the names that the files give them: in memory (as `parseSafetensors` gives them), or in files. */
  readonly tensors: ReadonlyMap<string, TensorEntry | FileTensor>;
}

/** How the name of a list of shards ends. */
export const INDEX = ".index.json";
const INDEX_LIMIT = 64 * 2 ** 20; // bytes

/** Where weights may be, in the order in which transformers looks for them; the first that is there is taken. */
export const WEIGHTS: readonly string[] = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

function parseJson(text: string, path: string): Json {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`[config] ${path} is not JSON; fetch the file again`, { cause });
  }
}

/**
 * Reads config.json and the headers of a directory's weights: model.safetensors, else its shards, else pytorch_model.bin,
 * else its shards.
 *
 * @throws one sentence for files that are not there or not what their names say; `[safetensors] ...`, `[pytorch] ...`
 */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const { readFile, stat } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const path = join(directory, "config.json");
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new Error(
      `[weights] ${path} cannot be read; name a directory that holds config.json and model.safetensors`,
      { cause },
    );
  });
  const config = parseJson(text, path);
  for (const name of WEIGHTS) {
    const file = join(directory, name);
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile()) continue;
    if (found.size > INDEX_LIMIT && name.endsWith(".json")) {
      throw new Error(`[weights] ${file} has ${found.size} bytes, too many for an index of files`);
    }
    return { where: directory, config, tensors: (await openWeights(file)).tensors };
  }
  throw new Error(
    `[weights] ${directory} holds none of ${WEIGHTS.join(", ")}; name a directory that holds one of them`,
  );
}

/**
 * The tensors of a file of weights, or of the files that an index lists, by the ending of its name, and what it says beside
 * them. Reads headers only.
 */
export async function openWeights(
  path: string,
): Promise<{ readonly tensors: ReadonlyMap<string, FileTensor>; readonly metadata: Json }> {
  const { readFile } = await import("node:fs/promises");
  const { dirname, join } = await import("node:path");
  if (!path.endsWith(INDEX)) {
    const source = await pathSource(path);
    if (path.endsWith(".bin")) return { tensors: await readPytorch(source, path), metadata: {} };
    return openSafetensors(source, path);
  }
  const text = await readFile(path, "utf8");
  const beside = (file: string) => join(dirname(path), file);
  const refuse: Fail = (what) => {
    throw new Error(`[safetensors] ${path} ${what}`);
  };
  const shard = async (file: string) => {
    const source = await pathSource(beside(file)).catch((cause) =>
      refuse(
        `names the shard '${file}', which cannot be opened (${reasonOf(cause)}): download it too`,
      ),
    );
    return (await openSafetensors(source, beside(file))).tensors;
  };
  const unnamed = !path.endsWith(`.safetensors${INDEX}`) && /\.bin["']/.test(text);
  const tensors =
    unnamed || path.endsWith(`.bin${INDEX}`)
      ? await readPytorchShards(text, path, (file) => pathSource(beside(file)))
      : await readShards(text, shard, refuse);
  return { tensors, metadata: Object(Object(JSON.parse(text)).metadata) };
}
