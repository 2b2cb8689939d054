/**
 * Random access to bytes, so that a checkpoint of gigabytes is read piece by piece: from memory, or from blobs that lie on a
 * disk, as a browser's files do. Knows no format.
 */
import { ModelError } from "../errors.ts";

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

/** Bytes that one read of a blob takes at most. */
const PIECE = 8 * 2 ** 20;
/** Reads that are under way at once, so that a model is not in memory beside its device's. */
const UNDER_WAY = 4;

/**
 * A blob, such as a file of a browser, or several that make one file.
 *
 * @param path the file's name in errors
 * @throws `[source] ...` when it is read, for a file that is not what it was
 */
export function blobSource(blobs: Blob | readonly Blob[], path: string): ByteSource {
  const parts = blobs instanceof Blob ? [blobs] : blobs;
  const blob = parts.length === 1 ? parts[0] : new Blob([...parts]);
  let free = UNDER_WAY;
  const waiting: (() => void)[] = [];
  const piece = async (begin: number, end: number): Promise<Uint8Array> => {
    if (free > 0) free--;
    else await new Promise<void>((go) => void waiting.push(go));
    try {
      const bytes = new Uint8Array(await blob.slice(begin, end).arrayBuffer());
      if (bytes.length === end - begin) return bytes;
      throw new Error(`${bytes.length} of ${end - begin} bytes`);
    } catch (cause) {
      throw new ModelError(
        `[source] ${path} was changed or removed while it was used (${reasonOf(cause)}); give it again`,
        { cause },
      );
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
  const readInto = async (offset: number, into: Uint8Array): Promise<void> => {
    const pieces: Promise<void>[] = [];
    for (let at = 0; at < into.length; at += PIECE) {
      const end = Math.min(at + PIECE, into.length);
      pieces.push(piece(offset + at, offset + end).then((bytes) => into.set(bytes, at)));
    }
    await Promise.all(pieces);
  };
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    if (length <= PIECE) return piece(offset, offset + length);
    const bytes = new Uint8Array(length);
    await readInto(offset, bytes);
    return bytes;
  };
  return { size: blob.size, read, readInto };
}
