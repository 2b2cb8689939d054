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
  close(): Promise<void>;
}

/** Bytes in memory; `read` gives views of them. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => {},
  };
}

/**
 * A file of this machine (Node only); it stays open until `close`.
 *
 * @throws `[source] ...` for a path that cannot be opened, and later for a file that became shorter
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const { open } = await import("node:fs/promises");
  const failed = (cause: unknown): never => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EngineError(`[source] ${path} cannot be read (${reason}); name a readable file`, {
      cause,
    });
  };
  const handle = await open(path, "r").catch(failed);
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    failed("it is no file");
  }
  return {
    size: stat.size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await handle.read(bytes, at, length - at, offset + at).catch(failed);
        if (bytesRead === 0) failed(`it ended at byte ${offset + at} of ${stat.size}`);
        at += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
