/**
 * A checksum inside a safetensors file: the metadata `sha256` is the SHA-256 of the whole file with 64 zeros in its place, so it
 * covers tensors, their names and shapes, and the other metadata. It is put in when all bytes are written (Node only).
 */
import { ModelError } from "../errors.ts";
import { pathSource } from "./disk.ts";
import { type Patch, writeWhole } from "./files.ts";
import { openSafetensors } from "./safetensors.ts";

const KEY = "sha256";
const ZEROS = "0".repeat(64);
const PIECE = 8 * 2 ** 20; // bytes

/** Metadata with a place for the checksum, for what `writeSealed` writes. */
export const withSeal = (metadata: Readonly<Record<string, string>>): Record<string, string> => ({
  ...metadata,
  [KEY]: ZEROS,
});

/**
 * Writes a safetensors file whose metadata are of `withSeal`, with its checksum; `pieces` begin with the whole header. A piece that
 * has a buffer to itself is taken over: its memory is given back when it is written.
 */
export async function writeSealed(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  let offset = -1;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      if (offset < 0) offset = placeOf(piece, ZEROS);
      hash.update(piece);
      yield piece;
      const { buffer } = piece;
      if (buffer instanceof ArrayBuffer && buffer.byteLength === piece.length) buffer.transfer(0);
    }
  }
  await writeWhole(path, hashed(), (): Patch => {
    return { offset, bytes: Buffer.from(hash.digest("hex"), "latin1") };
  });
}

/** Where the checksum stands in a header. */
function placeOf(header: Uint8Array, value: string): number {
  const before = `"${KEY}":"`;
  const at = Buffer.from(header.buffer, header.byteOffset, header.byteLength).lastIndexOf(
    `${before}${value}"`,
    undefined,
    "latin1",
  );
  return at < 0 ? -1 : at + before.length;
}

/**
 * Whether a file has a checksum; false for one that was written without.
 * @throws one sentence for a file that is not what was written
 * @param remedy what to do about it
 */
export async function checkSeal(path: string, remedy: string): Promise<boolean> {
  const source = await pathSource(path);
  const { metadata } = await openSafetensors(source, path);
  const damaged = (): never => {
    throw new ModelError(`[seal] ${path} is not what was written, its checksum differs; ${remedy}`);
  };
  const isSum = (text: string) => /^[0-9a-f]{64}$/.test(text);
  const sum = metadata[KEY];
  if (sum === undefined) return Object.values(metadata).some(isSum) ? damaged() : false;
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const length = new DataView((await source.read(0, 8)).slice().buffer).getBigUint64(0, true);
  const header = (await source.read(0, 8 + Number(length))).slice();
  const at = placeOf(header, sum);
  if (!isSum(sum) || at < 0) return damaged();
  header.set(Buffer.from(ZEROS, "latin1"), at);
  hash.update(header);
  const room = new Uint8Array(PIECE);
  for (let begin = header.length; begin < source.size; begin += PIECE) {
    const length = Math.min(PIECE, source.size - begin);
    const piece = room.subarray(0, length);
    if (source.readInto) await source.readInto(begin, piece);
    hash.update(source.readInto ? piece : await source.read(begin, length));
  }
  return hash.digest("hex") === sum || damaged();
}
