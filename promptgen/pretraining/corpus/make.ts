/**
 * Makes the cache of a corpus: threads make tokens of its pieces, this one writes them in the order of the corpus. Takes the memory
 * of a few pieces, however large the corpus is.
 *
 *     cache.json    what it was made of, how many texts of each length there are
 *     tokens.bin    all texts, packed tokens (u32) one behind the other, in the order of the corpus
 *     index.bin     where each text begins, in tokens (f64): the texts to train on by their length, then those held out
 *
 * Both are in the machine's order of bytes, little-endian wherever this runs. The files are written beside their places and renamed;
 * cache.json comes last, so that there is a whole cache or none.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { makeFolder, writeWhole } from "../../../models/formats/files.ts";
import { CorpusError, checkFiles, isJsonFile, piecesOfFile, type ReadFile } from "./files.ts";
import { type Counts, type CutOptions, type Encoded, HELD_OUT, noCounts } from "./texts.ts";
import type { Answer, Piece, Setup } from "./worker.ts";

export const TOKENS = "tokens.bin";
export const INDEX = "index.bin";
export const DESCRIPTION = "cache.json";
const LENGTHS = "lengths.bin.part"; // of all texts in the order of the corpus, while it is made

/** What decides every byte of a cache. */
export type CacheKey = {
  readonly version: 1;
  /** Of the corpus, in its order: content alone. */
  readonly files: readonly ReadFile[];
  /** Fingerprint of the tokenizer's files. */
  readonly tokenizer: string;
  readonly options: CutOptions;
};

/** How many texts there are of a length, `[length, count]` ascending. */
export type Histogram = readonly (readonly [length: number, count: number])[];

export type CacheDescription = {
  readonly key: CacheKey;
  readonly counts: Counts;
  readonly tokens: number;
  readonly train: Histogram;
  readonly heldOut: Histogram;
};

export type MakeOptions = {
  readonly files: readonly string[];
  /** Directory of the tokenizer, and its fingerprint. */
  readonly tokenizer: string;
  readonly fingerprint: string;
  readonly options: CutOptions;
  /** Threads that make tokens. Default: one a core. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of text that are done. */
  onProgress?(bytes: number): void;
};

/** Pieces that wait for a thread beside the one it works on. */
const AHEAD = 1;

/** A thread that answers in the order in which it is asked. */
class Thread {
  readonly #worker: Worker;
  readonly #asked: { done(answer: Answer): void; failed(error: Error): void }[] = [];

  constructor(setup: Setup) {
    const name = `worker.${import.meta.url.slice(-2)}`; // .ts from source, .js in the package
    const url = new URL(name, import.meta.url); // no template: bundlers would take every file that fits
    this.#worker = new Worker(url, { name: "corpus", execArgv: [], workerData: setup });
    this.#worker.on("message", (answer: Answer) => this.#asked.shift()?.done(answer));
    this.#worker.on("error", (error) => {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    });
    this.#worker.on("exit", (code) => this.#fail(new Error(`[corpus] a thread ended (${code})`)));
  }

  #fail(error: Error): void {
    for (const { failed } of this.#asked.splice(0)) failed(error);
  }

  encode(piece: Piece): Promise<Answer> {
    return new Promise((done, failed) => {
      this.#asked.push({ done, failed });
      this.#worker.postMessage(piece, [piece.bytes.buffer]);
    });
  }

  async end(): Promise<void> {
    this.#asked.length = 0;
    await this.#worker.terminate();
  }
}

/** A file that is written in pieces of some size. */
class Writer {
  readonly #file: number;
  readonly #buffer = new Uint8Array(2 ** 20);
  #used = 0;
  constructor(path: string) {
    this.#file = openSync(path, "w");
  }
  write(words: Uint32Array): void {
    let bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    while (bytes.length > 0) {
      const part = bytes.subarray(0, this.#buffer.length - this.#used);
      this.#buffer.set(part, this.#used);
      this.#used += part.length;
      bytes = bytes.subarray(part.length);
      if (this.#used === this.#buffer.length) this.#flush();
    }
  }
  #flush(): void {
    writeAll(this.#file, this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
  close(): void {
    this.#flush();
    fsyncSync(this.#file);
    closeSync(this.#file);
  }
  abandon(): void {
    closeSync(this.#file);
  }
}

function writeAll(file: number, bytes: Uint8Array, at?: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, at === undefined ? null : at + done);
  }
}

/** What making ends with when the signal has come. */
const STOPPED = new Error("stopped");

/** Texts of each length, of one side. */
type Tally = Map<number, number>;

const histogram = (tally: Tally): Histogram => [...tally].sort(([a], [b]) => a - b);

/** Removes what an earlier process has left half made. */
async function tidy(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith(".part")) await rm(join(folder, name));
  }
}

/**
 * Makes the cache in a folder and describes it; undefined when the signal came. The caller holds the folder.
 * @throws CorpusError, one sentence that names file and line, for what cannot be read and for a corpus without texts
 */
export async function makeCache(
  folder: string,
  { files, tokenizer, fingerprint, options, threads, signal, onProgress }: MakeOptions,
): Promise<CacheDescription | undefined> {
  await checkFiles(files);
  await makeFolder(folder);
  await rm(join(folder, DESCRIPTION), { force: true });
  await tidy(folder);
  const part = (name: string): string => join(folder, `${name}.part`);
  const workers = Array.from(
    { length: threads ?? availableParallelism() },
    () => new Thread({ tokenizer, options }),
  );
  const tokens = new Writer(part(TOKENS));
  const lengths = new Writer(join(folder, LENGTHS));
  const counts = noCounts();
  const tallies: readonly [Tally, Tally] = [new Map(), new Map()];
  let [all, bytes] = [0, 0];
  const read: ReadFile[] = [];
  try {
    for (const path of files) {
      let line = 0;
      const waiting: { readonly size: number; readonly answer: Promise<Answer> }[] = [];
      let turn = 0;
      const take = async (): Promise<void> => {
        const first = waiting.shift();
        if (!first) return;
        const found = await first.answer;
        if ("line" in found) {
          throw new CorpusError(
            `[corpus] ${path}:${line + found.line} ${found.what}; mend or remove the line`,
          );
        }
        line += found.counts.lines;
        note(found);
        bytes += first.size;
        onProgress?.(bytes);
      };
      const note = (found: Encoded): void => {
        tokens.write(found.tokens);
        lengths.write(found.lengths);
        all += found.tokens.length;
        for (const key of Object.keys(counts) as (keyof Counts)[]) counts[key] += found.counts[key];
        for (const word of found.lengths) {
          const tally = tallies[word >= HELD_OUT ? 1 : 0];
          const length = word % HELD_OUT;
          tally.set(length, (tally.get(length) ?? 0) + 1);
        }
      };
      for await (const piece of piecesOfFile(path, (file) => read.push(file))) {
        if (signal?.aborted) throw STOPPED;
        if (waiting.length === workers.length * (1 + AHEAD)) await take(); // its thread is the next one's
        const size = piece.byteLength; // none are left when the thread has them
        const answer = workers[turn++ % workers.length].encode({
          bytes: piece,
          isJson: isJsonFile(path),
        });
        answer.catch(() => undefined); // told when its turn comes
        waiting.push({ size, answer });
      }
      while (waiting.length > 0) {
        if (signal?.aborted) throw STOPPED;
        await take();
      }
    }
  } catch (cause) {
    tokens.abandon();
    lengths.abandon();
    await tidy(folder);
    if (cause === STOPPED) return undefined;
    throw cause;
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
  tokens.close();
  lengths.close();
  const [train, heldOut] = tallies.map(histogram);
  if (train.length === 0) {
    await tidy(folder);
    throw new CorpusError(
      `[corpus] ${files.join(", ")} ${files.length === 1 ? "has" : "have"} no text to train on (${counts.lines} lines, ${counts.empty} empty); name files with texts`,
    );
  }
  writeIndex(join(folder, LENGTHS), part(INDEX), train, heldOut);
  await rm(join(folder, LENGTHS));
  for (const name of [TOKENS, INDEX]) await rename(part(name), join(folder, name));
  const key: CacheKey = { version: 1, files: read, tokenizer: fingerprint, options };
  const description: CacheDescription = { key, counts, tokens: all, train, heldOut };
  await writeWhole(join(folder, DESCRIPTION), `${JSON.stringify(sealed(description))}\n`);
  return description;
}

/** A description with its own checksum. */
export const sealed = (
  description: CacheDescription,
): CacheDescription & { readonly sha256: string } => ({
  ...description,
  sha256: createHash("sha256").update(JSON.stringify(description)).digest("hex"),
});

const BUFFERED = 512; // places of one length that are written together

/** Puts where each text begins at its place: a counting sort by length, with a small buffer for each. */
function writeIndex(from: string, to: string, train: Histogram, heldOut: Histogram): void {
  let place = 0;
  const [trained, held] = [train, heldOut].map(
    (side) =>
      new Map(
        side.map(([length, count]) => {
          const open = { at: 8 * place, begins: new Float64Array(BUFFERED), used: 0 };
          place += count;
          return [length, open];
        }),
      ),
  );
  const [input, output] = [openSync(from, "r"), openSync(to, "w")];
  try {
    const flush = (open: { at: number; begins: Float64Array; used: number }): void => {
      const bytes = new Uint8Array(open.begins.buffer, 0, 8 * open.used);
      writeAll(output, bytes, open.at);
      open.at += bytes.length;
      open.used = 0;
    };
    const words = new Uint32Array(2 ** 16);
    let begin = 0;
    for (;;) {
      const size = readSync(input, new Uint8Array(words.buffer), 0, words.byteLength, null);
      if (size === 0) break;
      for (const word of words.subarray(0, size / 4)) {
        const length = word % HELD_OUT;
        const open = (word >= HELD_OUT ? held : trained).get(length);
        if (!open) throw new Error(`[corpus] a text of ${length} tokens was not counted`);
        open.begins[open.used++] = begin;
        if (open.used === BUFFERED) flush(open);
        begin += length;
      }
    }
    for (const open of [...trained.values(), ...held.values()]) flush(open);
    fsyncSync(output);
  } finally {
    closeSync(input);
    closeSync(output);
  }
}
