/**
 * Checkpoints: config.json and the tensors beside it, described at once and read when a device needs them.
 *
 * A file is open only while it is read. That it is still the same file is checked by its identity, size and time of change.
 */
import type { Json } from "./config.ts";
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

const INDEX_LIMIT = 64 * 2 ** 20; // bytes

/** Where weights may be, in the order in which transformers looks for them. */
const WEIGHTS = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
] as const;

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
    return { where: directory, config, tensors: await readWeights(directory, name, file) };
  }
  throw new Error(
    `[weights] ${directory} holds none of ${WEIGHTS.join(", ")}; name a directory that holds one of them`,
  );
}

async function readWeights(
  directory: string,
  name: (typeof WEIGHTS)[number],
  path: string,
): Promise<Checkpoint["tensors"]> {
  const { readFile } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const openShard = (file: string) => pathSource(join(directory, file));
  switch (name) {
    case "model.safetensors":
      return (await openSafetensors(await pathSource(path), path)).tensors;
    case "pytorch_model.bin":
      return readPytorch(await pathSource(path), path);
    case "pytorch_model.bin.index.json":
      return readPytorchShards(await readFile(path, "utf8"), path, openShard);
    case "model.safetensors.index.json": {
      const refuse: Fail = (what) => {
        throw new Error(`[safetensors] ${path} ${what}`);
      };
      const shard = async (file: string) => {
        const source = await openShard(file).catch((cause) =>
          refuse(
            `names the shard '${file}', which cannot be opened (${reasonOf(cause)}): download it too`,
          ),
        );
        return (await openSafetensors(source, join(directory, file))).tensors;
      };
      return readShards(await readFile(path, "utf8"), shard, refuse);
    }
  }
}
