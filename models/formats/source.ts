/**
 * Random access to bytes, so that a checkpoint of gigabytes is read piece by piece: from memory, or from a file of this
 * machine (Node only). Knows no format.
 */
import { ModelError } from "../errors.ts";
import { specialKind } from "./text.ts";

/** A file, or anything like one. */
export type ByteSource = {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`, both within `size`; the result may be a view, so it is not to be changed. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `into`, which may be shared memory, with the bytes from `offset`; absent where only `read` is quick. */
  readInto?(offset: number, into: Uint8Array): Promise<void>;
};

/** Bytes in memory; `read` gives views of them. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** Why the system refused a file. */
export function reasonOf(error: unknown): string {
  const { cause, code, message } = Object(error) as {
    cause?: unknown;
    code?: string;
    message?: string;
  };
  return cause === undefined ? (code ?? message ?? String(error)) : reasonOf(cause);
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
  const fs = await import("node:fs");
  const { promisify } = await import("node:util");
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
