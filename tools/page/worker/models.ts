/** Models that a visitor names or gives, as folders of the worker's disk: whole, or described by what stands at the head of their files. */
import { chooseFiles } from "../../../models/hub/files.ts";
import { disk } from "../node/disk.ts";
import type { ModelSource } from "../protocol.ts";

/** A model's folder, and the bytes that are still to be fetched for it. */
export type Model = { readonly folder: string; readonly bytes: number };

/** A file of a model somewhere. */
type Remote = {
  readonly name: string;
  readonly size: number;
  read(
    begin: number,
    end: number,
    took?: (bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>>;
};

/** Files that are read whole to describe a model. */
const SMALL = 32 * 2 ** 20; // bytes
/** The most that a header of safetensors may have. */
const HEADER = 100 * 2 ** 20; // bytes

/** A model by its small files and the heads of its weights; what else they hold are zeros, which take no memory. */
export async function describe(source: ModelSource, folder: string): Promise<Model> {
  const files = await filesOf(source);
  disk.remove(folder);
  let bytes = 0;
  for (const file of files) {
    const isWeights = /\.(?:safetensors|bin)$/.test(file.name);
    if (isWeights) {
      const head = await headOf(file);
      disk.put(`${folder}/${file.name}`, head, file.size);
    } else disk.put(`${folder}/${file.name}`, await file.read(0, file.size));
    if (source.from === "hub" || isWeights) bytes += file.size;
  }
  return { folder, bytes: source.from === "hub" ? bytes : 0 };
}

/** A model with all of its files. @param took is told how many bytes of how many are there */
export async function fetchModel(
  source: ModelSource,
  folder: string,
  took: (done: number, all: number) => void,
): Promise<Model> {
  const files = await filesOf(source);
  const all = files.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  disk.remove(folder);
  for (const file of files) {
    const bytes = await file.read(0, file.size, (done) => took(before + done, all));
    disk.put(`${folder}/${file.name}`, bytes);
    before += file.size;
    took(before, all);
  }
  return { folder, bytes: 0 };
}

/** Length and text of a header; only safetensors have one that says everything. */
async function headOf(file: Remote): Promise<Uint8Array<ArrayBuffer>> {
  if (!file.name.endsWith(".safetensors")) {
    throw new Error(
      `[own] ${file.name} does not say at its head what is in it; give a model that has model.safetensors`,
    );
  }
  const start = await file.read(0, Math.min(8, file.size));
  const length = start.length < 8 ? 0n : new DataView(start.buffer).getBigUint64(0, true);
  if (length === 0n || length > BigInt(Math.min(HEADER, file.size - 8))) {
    throw new Error(`[own] ${file.name} is no file of safetensors, or was cut off; give it whole`);
  }
  return file.read(0, 8 + Number(length));
}

async function filesOf(source: ModelSource): Promise<readonly Remote[]> {
  if (source.from === "world") return [];
  const all = source.from === "hub" ? await hubFiles(source.name) : givenFiles(source.files);
  const by = new Map(all.map((file) => [file.name, file]));
  const { files, index, missing } = chooseFiles(new Set(by.keys()));
  if (missing.length > 0) {
    const where = source.from === "hub" ? source.name : "what was given";
    throw new Error(`[own] ${where} lacks ${missing.join(" and ")}; give a model that has it`);
  }
  const shards =
    index === undefined ? [] : all.filter(({ name }) => /-of-\d+\.safetensors$/.test(name));
  const chosen = [...files.flatMap((name) => by.get(name) ?? []), ...shards];
  const large = chosen.find(
    ({ name, size }) => !/\.(?:safetensors|bin)$/.test(name) && size > SMALL,
  );
  if (!large) return chosen;
  throw new Error(
    `[own] ${large.name} has ${large.size} bytes, more than ${SMALL}; give another model`,
  );
}

function givenFiles(files: readonly File[]): Remote[] {
  if (files.length === 0) {
    throw new Error(
      "[own] no file was chosen; choose config.json, the tokenizer's files and model.safetensors",
    );
  }
  return files.map((file) => ({
    name: file.name,
    size: file.size,
    read: async (begin, end) => new Uint8Array(await file.slice(begin, end).arrayBuffer()),
  }));
}

const HUB = "https://huggingface.co";

/** Files at the top of a repository of the Hub. */
async function hubFiles(name: string): Promise<Remote[]> {
  if (!/^[\w.-]+(?:\/[\w.-]+)?$/.test(name)) {
    throw new Error(
      `[own] ${JSON.stringify(name)} is no name on the Hub; write owner/name, as facebook/bart-base`,
    );
  }
  const listed: unknown = await (await asked(`${HUB}/api/models/${name}/tree/main`, name)).json();
  if (!Array.isArray(listed))
    throw new Error(`[own] the Hub does not list ${name} as expected; try again later`);
  return listed.flatMap((entry): Remote[] => {
    const { type, path, size } = Object(entry);
    if (type !== "file" || typeof path !== "string" || !Number.isSafeInteger(size)) return [];
    const url = `${HUB}/${name}/resolve/main/${encodeURIComponent(path)}`;
    return [{ name: path, size, read: (begin, end, took) => range(url, name, begin, end, took) }];
  });
}

async function asked(
  url: string,
  name: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const response = await fetch(url, { headers }).catch((cause) => {
    throw new Error(
      `[own] the Hub cannot be reached; check the connection, or give files of this machine`,
      { cause },
    );
  });
  if (response.ok) return response;
  const why =
    response.status === 404 || response.status === 401
      ? "does not exist there, or is not open to all; check its name"
      : `is refused (${response.status}); try again later`;
  throw new Error(`[own] ${name} ${why}`);
}

async function range(
  url: string,
  name: string,
  begin: number,
  end: number,
  took?: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await asked(url, name, { range: `bytes=${begin}-${end - 1}` });
  const whole = response.status === 200;
  const bytes = new Uint8Array(end - begin);
  let [at, skip] = [0, whole ? begin : 0];
  for await (const piece of response.body ?? []) {
    const own = piece.subarray(Math.min(skip, piece.length));
    skip -= piece.length - own.length;
    const rest = own.subarray(0, bytes.length - at);
    bytes.set(rest, at);
    at += rest.length;
    took?.(at);
    if (at === bytes.length) break;
  }
  if (at < bytes.length)
    throw new Error(`[own] ${name} was cut off after ${at} bytes; fetch it again`);
  return bytes;
}
