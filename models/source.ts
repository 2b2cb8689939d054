/** Random access to bytes, so that a checkpoint of gigabytes is read piece by piece. */
import { EngineError } from "../engine/errors.ts";

/** A file, or anything like one. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`, both within `size`; the result may be a view, so it is not to be changed. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `into`, which may be shared memory, with the bytes from `offset`; absent where only `read` is quick. */
  readInto?(offset: number, into: Uint8Array): Promise<void>;
}

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

/**
 * A file of this machine that is open only while it is read, so there is nothing to close.
 *
 * @throws `[source] ...` for a path that is no readable file, and later for a file that is not what it was
 */
export async function pathSource(path: string): Promise<ByteSource> {
  const fs = await import("node:fs");
  const { promisify } = await import("node:util");
  const readPart = promisify(fs.read);
  const unreadable = (cause: unknown): never => {
    throw new EngineError(
      `[source] ${path} cannot be read (${reasonOf(cause)}); name a readable file`,
      { cause },
    );
  };
  const changed = (): never => {
    throw new EngineError(`[source] ${path} was changed while it was used; start again`);
  };
  const open = () => {
    const file = fs.openSync(path, "r");
    const stat = fs.fstatSync(file, { bigint: true });
    if (stat.isFile()) return { file, stat };
    fs.closeSync(file);
    throw new Error("it is no file");
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
  const readInto = async (offset: number, into: Uint8Array) => {
    const { file, stat } = reopen();
    try {
      if (!same(stat)) changed();
      for (let at = 0; at < into.length; ) {
        const part = readPart(file, into, at, into.length - at, offset + at);
        const { bytesRead } = await part.catch(unreadable);
        if (bytesRead === 0) changed();
        at += bytesRead;
      }
    } finally {
      fs.closeSync(file);
    }
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
