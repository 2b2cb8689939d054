/** The cache of a corpus for reading: a text by its place among those of its side, in order of length. Keeps no text in memory. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { takeFolder } from "../../../models/training/lock.ts";
import { tokenizerFingerprint } from "../../training/fingerprint.ts";
import { CorpusError, checkFiles, hashFile } from "./files.ts";
import {
  type CacheDescription,
  type CacheKey,
  DESCRIPTION,
  type Histogram,
  INDEX,
  type MakeOptions,
  makeCache,
  sealed,
  TOKENS,
} from "./make.ts";

/** Texts of one side, from the shortest to the longest. */
export type Side = {
  /** Their places in index.bin begin here. */
  readonly base: number;
  readonly count: number;
  readonly lengths: Histogram;
};

export class TextCache {
  readonly folder: string;
  readonly description: CacheDescription;
  readonly train: Side;
  readonly heldOut: Side;
  readonly #tokens: number;
  readonly #index: number;

  /** @throws CorpusError where its files are not as long as it says */
  constructor(folder: string, description: CacheDescription) {
    this.folder = folder;
    this.description = description;
    const side = (base: number, lengths: Histogram): Side => ({
      base,
      count: lengths.reduce((all, [, count]) => all + count, 0),
      lengths,
    });
    this.train = side(0, description.train);
    this.heldOut = side(this.train.count, description.heldOut);
    const open = (name: string, bytes: number): number => {
      const path = join(folder, name);
      const file = existsSync(path) ? openSync(path, "r") : undefined;
      const found = file === undefined ? "missing" : `of ${fstatSync(file).size} bytes`;
      if (file !== undefined && fstatSync(file).size === bytes) return file;
      throw new CorpusError(
        `[cache] ${path} is ${found} where ${bytes} bytes were written; remove the folder, the cache is then made anew`,
      );
    };
    this.#tokens = open(TOKENS, 4 * description.tokens);
    this.#index = open(INDEX, 8 * (this.train.count + this.heldOut.count));
  }

  /** Packed tokens of the text at a place of a side. @param length as the side's histogram has it for the place */
  read({ base }: Side, place: number, length: number): Uint32Array {
    const begin = new Float64Array(1);
    this.#fill(this.#index, new Uint8Array(begin.buffer), 8 * (base + place));
    const tokens = new Uint32Array(length);
    this.#fill(this.#tokens, new Uint8Array(tokens.buffer), 4 * begin[0]);
    return tokens;
  }

  #fill(file: number, bytes: Uint8Array, at: number): void {
    const size = readSync(file, bytes, 0, bytes.length, at);
    if (size === bytes.length) return;
    throw new CorpusError(
      `[cache] ${this.folder} ends before the text that is read; remove the folder, the cache is then made anew`,
    );
  }

  close(): void {
    closeSync(this.#tokens);
    closeSync(this.#index);
  }
}

/** What cache.json says; undefined where there is none. Throws CorpusError for one that is not what was written. */
async function described(folder: string): Promise<CacheDescription | undefined> {
  const path = join(folder, DESCRIPTION);
  if (!existsSync(path)) return undefined;
  try {
    const { sha256, ...description } = JSON.parse(await readFile(path, "utf8"));
    if (sealed(description).sha256 === sha256) return description;
  } catch {
    // not JSON
  }
  throw new CorpusError(
    `[cache] ${path} is not what was written; remove the folder, the cache is then made anew`,
  );
}

/** Names what differs between the cache that is there and the one that is wanted. */
function checkKey(folder: string, found: CacheKey, wanted: CacheKey): void {
  const differs = (name: keyof CacheKey) =>
    JSON.stringify(found[name]) !== JSON.stringify(wanted[name]);
  const what: Readonly<Record<keyof CacheKey, string>> = {
    version: "of another version of this program",
    files: "of another corpus",
    tokenizer: "of another tokenizer",
    options: `made with other options (${JSON.stringify(found.options)})`,
  };
  const name = (Object.keys(what) as (keyof CacheKey)[]).find(differs);
  if (name === undefined) return;
  throw new CorpusError(
    `[cache] ${folder} is ${what[name]}; name another folder, or remove it and it is made anew`,
  );
}

/** Opens the cache of a corpus in a folder, which is made where there is none; undefined when the signal came before it was whole. */
export async function openCache(
  folder: string,
  given: Omit<MakeOptions, "fingerprint">,
): Promise<TextCache | undefined> {
  await checkFiles(given.files);
  const tokenizer = await tokenizerFingerprint(given.tokenizer);
  const held = await takeFolder(folder);
  try {
    const found = await described(folder);
    if (!found) {
      const made = await makeCache(folder, { ...given, fingerprint: tokenizer });
      return made && new TextCache(folder, made);
    }
    const files = [];
    for (const path of given.files) files.push(await hashFile(path));
    checkKey(folder, found.key, { version: 1, files, tokenizer, options: given.options });
    return new TextCache(folder, found);
  } finally {
    held.release();
  }
}
