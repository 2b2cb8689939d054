/** Short names of contents, by which a run notices that it goes on with other ones. */
import { createHash, type Hash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { tokenizerFiles } from "../../models/hub/files.ts";

const PIECE = 8 * 2 ** 20; // bytes

/** The first 16 hexadecimal digits of the SHA-256. */
const short = (hash: Hash): string => hash.digest("hex").slice(0, 16);

export const textFingerprint = (text: string): string => short(createHash("sha256").update(text));

/** Of the files that make the tokenizer of a directory: their names and all bytes. */
export async function tokenizerFingerprint(directory: string): Promise<string> {
  const names = tokenizerFiles(new Set(await readdir(directory))) ?? [];
  const hash = createHash("sha256");
  for (const name of names.toSorted()) {
    const bytes = await readFile(join(directory, name));
    hash.update(JSON.stringify([name, bytes.length])).update(bytes);
  }
  return short(hash);
}

/** Of a model with its tokenizer: both fingerprints, a point between them. A run of before tokenizers had one has the first alone. */
export const modelFingerprint = async (
  checkpoint: Checkpoint,
  directory: string,
): Promise<string> =>
  `${await checkpointFingerprint(checkpoint)}.${await tokenizerFingerprint(directory)}`;

/** The two of a `modelFingerprint`; the second may be missing. */
export const partsOf = (fingerprint: string): readonly (string | undefined)[] =>
  fingerprint.split(".");

/**
 * Of config.json and every tensor: name, dtype, shape and all bytes, in the order of the names, however the files divide
 * them. Takes about a second for 1 GB: one piece is read while the one before it is hashed.
 */
export async function checkpointFingerprint({ config, tensors }: Checkpoint): Promise<string> {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const head = sorted.map(([name, { dtype, shape }]) => [name, dtype, shape]);
  const hash = createHash("sha256").update(JSON.stringify([config, head]));
  const pieces = sorted.flatMap(([, tensor]) => {
    const size = "data" in tensor ? tensor.data.length : tensor.byteLength;
    return Array.from({ length: Math.ceil(size / PIECE) }, (_, i) => () => {
      const [begin, end] = [i * PIECE, Math.min((i + 1) * PIECE, size)];
      return "data" in tensor ? tensor.data.subarray(begin, end) : tensor.read(begin, end);
    });
  });
  let next = pieces[0]?.();
  for (let i = 0; next !== undefined; i++) {
    const piece = await next;
    next = pieces[i + 1]?.();
    hash.update(piece);
  }
  return short(hash);
}
