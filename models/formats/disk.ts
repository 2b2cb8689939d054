/**
 * Files of this machine, on Node: their bytes, their texts, and directories as places that have files. Knows no format. What is
 * no regular file is refused before it is opened, for a FIFO would be waited for and a device has no end.
 */
import * as fs from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Fail, ModelError } from "../errors.ts";
import type { Place } from "./place.ts";
import { type ByteSource, reasonOf } from "./source.ts";
import { decodeText } from "./text.ts";

/** A string of V8 holds fewer than 2^29 characters. */
const TEXT_LIMIT = 2 ** 29 - 64; // bytes

/** What a path is that is no regular file, in words; undefined for a regular file. */
export function specialKind(stat: {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isDirectory()) return "a directory";
  if (stat.isFIFO()) return "a pipe (FIFO)";
  return stat.isSocket() ? "a socket" : "a device";
}

/**
 * The bytes of a regular file.
 *
 * @param remedy what to do where it cannot be had, the end of the sentence
 * @param limit bytes from which on it is refused
 * @throws what `fail` throws: "does not exist; REMEDY", "is a directory, not a file; REMEDY", "cannot be read (EACCES); REMEDY"
 */
export async function readRegularFile(
  path: string,
  fail: Fail,
  remedy: string,
  limit = 2 ** 31 - 1,
): Promise<Uint8Array> {
  const refuse = (cause: unknown): never => {
    const { code, message } = Object(cause) as { code?: string; message?: string };
    const absent = code === "ENOENT" || code === "ENOTDIR";
    const why = absent ? "does not exist" : `cannot be read (${code ?? message})`;
    return fail(`${why}; ${remedy}`, cause);
  };
  const found = await stat(path).catch(refuse);
  const kind = specialKind(found);
  if (kind !== undefined) fail(`is ${kind}, not a file; ${remedy}`);
  if (found.size > limit) fail(`has ${found.size} bytes, the limit is ${limit}; ${remedy}`);
  return readFile(path).catch(refuse);
}

/**
 * The text of a regular file in UTF-8, without its byte order mark.
 *
 * @param fail throws a sentence that begins with the file's name
 * @param remedy what to do where the file cannot be had, the end of the sentence
 * @throws what `fail` throws, as `readRegularFile` and `decodeText` say it
 */
export async function readText(
  path: string,
  fail: Fail,
  remedy: string,
  limit = TEXT_LIMIT,
): Promise<string> {
  return decodeText(await readRegularFile(path, fail, remedy, limit), fail);
}

/** Bytes that wait to be read. */
type Wish = {
  readonly offset: number;
  readonly into: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
};

/** Bytes that one read takes at most. */
const MOST_BYTES = 64 * 2 ** 20;
/** Reads that are under way at once. */
const UNDER_WAY = 4;

/** Wishes in the order of the file, those that follow on each other in one run. */
function neighbours(wishes: Wish[]): Wish[][] {
  const runs: Wish[][] = [];
  let [end, bytes] = [-1, 0];
  for (const wish of wishes.sort((a, b) => a.offset - b.offset)) {
    const { offset, into } = wish;
    if (offset !== end || bytes + into.length > MOST_BYTES) {
      runs.push([]);
      bytes = 0;
    }
    runs[runs.length - 1].push(wish);
    end = offset + into.length;
    bytes += into.length;
  }
  return runs;
}

/** What is left of views when their first bytes are filled. */
function behind(views: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let [first, filled] = [0, bytes];
  while (first < views.length && filled >= views[first].length) filled -= views[first++].length;
  const left = views.slice(first);
  if (filled > 0) left[0] = left[0].subarray(filled);
  return left;
}

/**
 * A file of this machine that is open only while it is read, so there is nothing to close. What is asked for in one turn is
 * read in the order of the file, neighbours in one read.
 *
 * @throws `[source] ...` for a path that is no readable file, and later for a file that is not what it was
 */
export async function pathSource(path: string): Promise<ByteSource> {
  const readParts = promisify(fs.readv);
  const unreadable = (cause: unknown): never => {
    throw new ModelError(
      `[source] ${path} cannot be read (${reasonOf(cause)}); name a readable file`,
      { cause },
    );
  };
  const changed = (): never => {
    throw new ModelError(`[source] ${path} was changed while it was used; start again`);
  };
  // a FIFO would be waited for; Windows has no such flag
  const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);
  const open = () => {
    const file = fs.openSync(path, flags);
    const stat = fs.fstatSync(file, { bigint: true });
    const kind = specialKind(stat);
    if (kind === undefined) return { file, stat };
    fs.closeSync(file);
    throw new ModelError(`it is ${kind}`);
  };
  const reopen = () => {
    try {
      return open();
    } catch (cause) {
      return unreadable(cause);
    }
  };
  const first = reopen();
  fs.closeSync(first.file);
  const same = (stat: typeof first.stat) =>
    stat.ino === first.stat.ino &&
    stat.dev === first.stat.dev &&
    stat.size === first.stat.size &&
    stat.mtimeNs === first.stat.mtimeNs;
  /** Neighbours in the file. */
  const readTogether = async (wishes: readonly Wish[]) => {
    const { file, stat } = reopen();
    try {
      if (!same(stat)) changed();
      let [{ offset }] = wishes;
      let left = wishes.map(({ into }) => into);
      while (left.length > 0) {
        const { bytesRead } = await readParts(file, left, offset).catch(unreadable);
        if (bytesRead === 0) changed();
        offset += bytesRead;
        left = behind(left, bytesRead);
      }
    } finally {
      fs.closeSync(file);
    }
  };
  let waiting: Wish[] = [];
  const serve = () => {
    const runs = neighbours(waiting);
    waiting = [];
    let next = 0;
    const work = async () => {
      while (next < runs.length) {
        const run = runs[next++];
        await readTogether(run).then(
          () => run.forEach(({ done }) => void done()),
          (error) => run.forEach(({ failed }) => void failed(error)),
        );
      }
    };
    for (let i = 0; i < UNDER_WAY; i++) work();
  };
  const readInto = async (offset: number, into: Uint8Array): Promise<void> => {
    const parts: Promise<void>[] = [];
    for (let at = 0; at < into.length; at += MOST_BYTES) {
      const part = into.subarray(at, at + MOST_BYTES);
      if (waiting.length === 0) queueMicrotask(serve);
      parts.push(
        new Promise((done, failed) => {
          waiting.push({ offset: offset + at, into: part, done, failed });
        }),
      );
    }
    await Promise.all(parts);
  };
  return {
    size: Number(first.stat.size),
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes);
      return bytes;
    },
    readInto,
  };
}

/** A directory. */
export const directoryPlace = (directory: string): Place => ({
  where: directory,
  path: (name) => join(directory, name),
  has: async (name) => (await stat(join(directory, name)).catch(() => undefined)) !== undefined,
  open: (name) => pathSource(join(directory, name)),
  text: (name, fail, remedy, limit) => readText(join(directory, name), fail, remedy, limit),
});
