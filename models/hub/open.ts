/** Whatever names a model, as a place that has its files: the one way from a caller's word to bytes. */
import { filesPlace, handlePlace, type Place } from "../formats/place.ts";
import { thisHost } from "./host.ts";
import { fetchModel, isModelName } from "./resolve.ts";
import type { HubOptions } from "./settings.ts";

/**
 * Where a model's files are: a directory's path (Node), a name on the Hub, the address of a folder with config.json, tokenizer and
 * weights (in a page also one relative to it), files that a visitor chose or dropped, or a folder that he did.
 */
export type ModelSource = string | URL | Iterable<File> | FileSystemDirectoryHandle | Place;

const isPlace = (source: object): source is Place => "open" in source && "where" in source;

/**
 * The place of a model; by name or address its files are fetched into the cache first, as far as they are not there.
 *
 * @param options of what is fetched
 * @throws `[hub] ...` or `[files] ...` in one sentence
 */
export async function openModel(source: ModelSource, options: HubOptions = {}): Promise<Place> {
  if (typeof source !== "string" && !(source instanceof URL)) {
    if (isPlace(source)) return source;
    return Symbol.iterator in source ? filesPlace(source) : handlePlace(source);
  }
  const host = await thisHost();
  const found = typeof source === "string" ? await host.find(source) : await host.find(source.href);
  if (found && !(found instanceof URL)) return found;
  if (found === undefined && typeof source === "string" && !isModelName(source)) {
    return host.unknown(source);
  }
  const { cache, commit } = await fetchModel(found ?? source, options);
  return cache.place(commit);
}
