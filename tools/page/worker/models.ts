/** Models that a visitor names or gives, as folders of the worker's disk: whole, or described by what stands at the head of their files. */
import { filesPlace, type Place } from "../../../models/formats/place.ts";
import { shardFiles } from "../../../models/formats/shards.ts";
import {
  chooseFiles,
  FILE_NAMES,
  GENERATION_CONFIG,
  TEXT_LIMIT,
  WEIGHTS,
} from "../../../models/hub/files.ts";
import { HubRepository } from "../../../models/hub/http.ts";
import { openModel } from "../../../models/hub/open.ts";
import { isModelName } from "../../../models/hub/resolve.ts";
import { setUp } from "../../../models/hub/settings.ts";
import { disk } from "../node/disk.ts";
import type { ModelSource } from "../protocol.ts";

/** A model's folder, and the bytes that are still to be fetched for it. */
export type Model = { readonly folder: string; readonly bytes: number };

/** Files of a model, of which some may be read in part. */
type Shelf = {
  readonly where: string;
  /** Sizes in bytes, by name. */
  readonly sizes: ReadonlyMap<string, number>;
  /** The first bytes of a file. */
  read(name: string, end: number): Promise<Uint8Array<ArrayBuffer>>;
};

type Given = Exclude<ModelSource, { readonly from: "world" }>;

/** A model by its small files and the heads of its weights; what else they hold are zeros, which take no memory. */
export async function describe(source: Given, folder: string): Promise<Model> {
  if (source.from === "files")
    return described(await shelfOf(filesPlace(source.files)), folder, true);
  const cached = await inCache(source.name);
  if (cached) return described(await shelfOf(cached), folder, true);
  return described(await hubShelf(source.name), folder, false);
}

async function described(shelf: Shelf, folder: string, isHere: boolean): Promise<Model> {
  const names = await chosen(shelf);
  disk.remove(folder);
  let bytes = 0;
  for (const name of names) {
    const size = shelf.sizes.get(name) ?? 0;
    const content = isWeights(name)
      ? await headOf(shelf, name, size)
      : await whole(shelf, name, size);
    disk.put(`${folder}/${name}`, content, size);
    bytes += size;
  }
  return { folder, bytes: isHere ? 0 : bytes };
}

/** A model of the Hub that the browser's cache has whole; undefined for any other. */
const inCache = (name: string): Promise<Place | undefined> =>
  isModelName(name)
    ? openModel(name, { offline: true }).catch(() => undefined)
    : Promise.resolve(undefined);

/** A model with all of its files; what comes from the Hub is kept in the browser's cache. @param took is told of bytes */
export async function fetchModel(
  source: Given,
  folder: string,
  took: (done: number, all: number) => void,
): Promise<Model> {
  const place =
    source.from === "hub"
      ? await openModel(source.name, { onProgress: ({ bytes, size }) => took(bytes, size) })
      : filesPlace(source.files);
  const shelf = await shelfOf(place);
  disk.remove(folder);
  for (const name of await chosen(shelf)) {
    disk.put(`${folder}/${name}`, await shelf.read(name, shelf.sizes.get(name) ?? 0));
  }
  return { folder, bytes: 0 };
}

const isWeights = (name: string): boolean => /\.(?:safetensors|bin)$/.test(name);

/** The files that are read of a model. @throws one sentence where some are missing */
async function chosen(shelf: Shelf): Promise<string[]> {
  const { files, index, missing } = chooseFiles(new Set(shelf.sizes.keys()));
  if (missing.length > 0) {
    throw new Error(
      `[own] ${shelf.where} has no ${missing.join(", and no ")}; give a model that has`,
    );
  }
  return index === undefined ? [...files] : [...files, ...(await shardsOf(shelf, index))];
}

async function shardsOf(shelf: Shelf, index: string): Promise<string[]> {
  const text = new TextDecoder().decode(await whole(shelf, index, shelf.sizes.get(index) ?? 0));
  return shardFiles(text, (what) => {
    throw new Error(`[own] ${index} of ${shelf.where} ${what}`);
  });
}

async function whole(shelf: Shelf, name: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
  if (size <= TEXT_LIMIT) return shelf.read(name, size);
  throw new Error(
    `[own] ${name} of ${shelf.where} has ${size} bytes, more than ${TEXT_LIMIT}; give another model`,
  );
}

/** Length and text of a header; of all files of weights safetensors alone have one that says everything. */
async function headOf(shelf: Shelf, name: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!name.endsWith(".safetensors")) {
    throw new Error(
      `[own] ${name} of ${shelf.where} does not say at its head what is in it; give a model that has model.safetensors`,
    );
  }
  const start = size < 8 ? new Uint8Array(8) : await shelf.read(name, 8);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > 0n && length <= BigInt(Math.min(TEXT_LIMIT, size - 8))) {
    return shelf.read(name, 8 + Number(length));
  }
  throw new Error(
    `[own] ${name} of ${shelf.where} is no file of safetensors, or was cut off; give it whole`,
  );
}

/** A repository of the Hub, of which only what is read is fetched. */
async function hubShelf(name: string): Promise<Shelf> {
  if (!isModelName(name)) {
    throw new Error(
      `[own] ${JSON.stringify(name)} is no name on the Hub; write owner/name, as facebook/bart-base`,
    );
  }
  const repository = new HubRepository(name, await setUp({}));
  const commit = await repository.commit("main");
  const files = await repository.files(commit);
  return {
    where: name,
    sizes: new Map([...files].map(([path, { size }]) => [path, size])),
    async read(path, end) {
      const bytes = new Uint8Array(end);
      const file = files.get(path);
      if (!file) throw new Error(`[own] ${name} has no ${path}; give a model that has`);
      if (end === 0) return bytes;
      for await (const { at, chunk } of repository.bytes(commit, file, 0)) {
        bytes.set(chunk.subarray(0, Math.max(0, end - at)), Math.min(at, end));
        if (at + chunk.length >= end) return bytes;
      }
      throw new Error(`[own] ${path} of ${name} was cut off; try again`);
    },
  };
}

async function shelfOf(place: Place): Promise<Shelf> {
  const sizes = new Map<string, number>();
  const note = async (name: string) => {
    if (await place.has(name)) sizes.set(name, (await place.open(name)).size);
  };
  for (const name of [...FILE_NAMES, GENERATION_CONFIG, ...WEIGHTS]) await note(name);
  const shelf: Shelf = {
    where: place.where,
    sizes,
    read: async (name, end) => Uint8Array.from(await (await place.open(name)).read(0, end)),
  };
  const { index } = chooseFiles(new Set(sizes.keys()));
  for (const name of index === undefined ? [] : await shardsOf(shelf, index)) await note(name);
  return shelf;
}
