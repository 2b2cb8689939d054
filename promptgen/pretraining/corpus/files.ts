/** The files of a corpus as pieces of whole lines, plain or gzip, in the memory of a few pieces. Knows no tokenizer. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { specialKind } from "../../../models/formats/disk.ts";

/** Bytes of a piece, but for one line that is longer. */
export const PIECE = 2 ** 18;
/** The longest line. */
const LONGEST = 2 ** 24;
const NEWLINE = 10;

/** A corpus cannot be read: one sentence that names the file. */
export class CorpusError extends Error {
  override name = "CorpusError";
}

export const isJsonFile = (path: string): boolean => /\.jsonl(\.gz)?$/i.test(path);

function refuse(path: string, what: string, cause?: unknown): never {
  throw new CorpusError(`[corpus] ${path} ${what}`, { cause });
}

function unreadable(path: string, cause: unknown): never {
  const { code } = Object(cause);
  if (code === "Z_BUF_ERROR") refuse(path, "ends amid its gzip data; copy it whole", cause);
  if (typeof code === "string" && code.startsWith("Z_")) {
    refuse(path, `is not gzip, or damaged (${code}); copy it anew, or name it without .gz`, cause);
  }
  const why = code === "ENOENT" ? "does not exist" : `cannot be read (${code ?? cause})`;
  refuse(path, `${why}; name a file of lines, .jsonl or either with .gz`, cause);
}

/** Throws CorpusError for what is no regular file. */
export async function checkFiles(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const found = await stat(path).catch((cause) => unreadable(path, cause));
    const kind = specialKind(found);
    if (kind !== undefined) refuse(path, `is ${kind}, not a file; name a file of lines`);
  }
}

/** The bytes of a file as they are, hashed as they come. */
async function* read(path: string, hash: Hash): AsyncGenerator<Buffer> {
  const stream = createReadStream(path, { highWaterMark: PIECE });
  try {
    for await (const bytes of stream as AsyncIterable<Buffer>) {
      hash.update(bytes);
      yield bytes;
    }
  } catch (cause) {
    unreadable(path, cause);
  }
}

async function* unpack(path: string, bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: PIECE });
  let failed: unknown;
  // not pipeline: what goes wrong in the file must be told from what goes wrong in gzip
  const feeding = (async () => {
    try {
      for await (const piece of bytes) {
        if (gunzip.destroyed) return;
        if (!gunzip.write(piece)) {
          await new Promise<void>((go) => {
            gunzip.once("drain", go).once("close", go).once("error", go);
          });
        }
      }
      gunzip.end();
    } catch (cause) {
      failed = cause;
      gunzip.destroy();
    }
  })();
  try {
    for await (const piece of gunzip as Readable as AsyncIterable<Buffer>) yield piece;
  } catch (cause) {
    throw failed ?? unreadable(path, cause);
  }
  await feeding;
  if (failed !== undefined) throw failed;
}

/** Pieces of whole lines; the last may lack its line end. */
async function* wholeLines(
  path: string,
  bytes: AsyncIterable<Buffer>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let held: Buffer[] = [];
  let size = 0;
  const joined = (): Uint8Array<ArrayBuffer> => {
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of held) {
      all.set(part, at);
      at += part.length;
    }
    [held, size] = [[], 0];
    return all;
  };
  for await (const piece of bytes) {
    const end = piece.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      held.push(piece.subarray(0, end));
      size += end;
      if (size >= PIECE) yield joined();
    }
    const rest = piece.subarray(end);
    if (rest.length > 0) {
      // lines that are whole do not wait for one that is not
      if (end > 0 && size > 0) yield joined();
      held.push(rest);
      size += rest.length;
    }
    if (size > LONGEST) {
      refuse(path, `has a line of more than ${LONGEST / 2 ** 20} MiB; break its text into lines`);
    }
  }
  if (size > 0) yield joined();
}

/** What a file was when it was read. */
export type ReadFile = { readonly bytes: number; readonly sha256: string };

/** A file in pieces; `done` is told its size and hash behind the last one. */
export async function* piecesOfFile(
  path: string,
  done: (file: ReadFile) => void,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const hash = createHash("sha256");
  let size = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const bytes of read(path, hash)) {
      size += bytes.length;
      yield bytes;
    }
  }
  const plain = /\.gz$/i.test(path) ? unpack(path, counted()) : counted();
  yield* wholeLines(path, plain);
  done({ bytes: size, sha256: hash.digest("hex") });
}

/** The size and hash of a file. */
export async function hashFile(path: string): Promise<ReadFile> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of read(path, hash)) bytes += piece.length;
  return { bytes, sha256: hash.digest("hex") };
}
