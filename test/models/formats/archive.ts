/** Makes archives and pickles byte by byte, for tests of what torch.save would never write. */
import * as assert from "uvu/assert";
import { ModelError } from "../../../models/errors.ts";
import { readPytorch } from "../../../models/formats/pytorch.ts";
import type { FileTensor } from "../../../models/formats/safetensors.ts";
import type { ByteSource } from "../../../models/formats/source.ts";
import { portableCrc32 } from "../../../models/formats/zip.ts";

/** An entry of an archive, with what its records say where that is to be something else than the truth. */
export type Entry = {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  /** Size in the directory, compressed and not. */
  readonly sizes?: readonly [number, number];
};

const utf8 = new TextEncoder();

/** Bytes from texts (each character a byte), numbers (one byte each) and bytes. */
export function bytesOf(...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => {
      if (typeof part === "number") return [part];
      return typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : [...part];
    }),
  );
}

/** `count` bytes of a little-endian number. */
export function le(value: number | bigint, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) =>
    Number((BigInt(value) >> BigInt(8 * i)) & 255n),
  );
}

/** A zip archive of the entries in their order, as plain as possible. */
export function writeZip(entries: readonly Entry[], comment = ""): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, data, method = 0, flags = 0x800, crc, sizes } of entries) {
    const raw = utf8.encode(name);
    const [packed, size] = sizes ?? [data.length, data.length];
    const common = [
      le(flags, 2),
      le(method, 2),
      le(0, 4), // time, date
      le(crc ?? portableCrc32(data), 4),
      le(packed, 4),
      le(size, 4),
      le(raw.length, 2),
      le(0, 2),
    ];
    const local = [bytesOf("PK\x03\x04", le(20, 2)), ...common, raw, data];
    directory.push(bytesOf("PK\x01\x02", le(20, 2), le(20, 2)), ...common);
    directory.push(bytesOf(le(0, 10), le(offset, 4)), raw);
    parts.push(...local);
    offset += local.reduce((sum, part) => sum + part.length, 0);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = entries.length;
  const end = bytesOf("PK\x05\x06", le(0, 4), le(count, 2), le(count, 2), le(size, 4));
  parts.push(...directory, end, le(offset, 4), le(comment.length, 2), bytesOf(comment));
  return joined(parts);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** What torch.save puts around a pickle and its storages, as entries. */
export function torchEntries(pickle: Uint8Array, storages: readonly Uint8Array[] = []): Entry[] {
  return [
    { name: "archive/data.pkl", data: pickle },
    { name: "archive/byteorder", data: bytesOf("little") },
    ...storages.map((data, i) => ({ name: `archive/data/${i}`, data })),
    { name: "archive/version", data: bytesOf("3\n") },
  ];
}

/** The parts of a pickle that a test needs: each returns instructions that leave one value. */
export const P = {
  text: (value: string) => bytesOf("X", le(utf8.encode(value).length, 4), utf8.encode(value)),
  int: (value: number) => bytesOf("J", le(value, 4)),
  name: (module: string, name: string) => bytesOf(`c${module}\n${name}\n`),
  tuple: (...items: Uint8Array[]) => bytesOf("(", ...items, "t"),
  call: (callee: Uint8Array, ...args: Uint8Array[]) => bytesOf(callee, P.tuple(...args), "R"),
  dict: (...pairs: Uint8Array[]) => bytesOf("}(", ...pairs, "u"),
  storage: (key: string, count: number, type = "FloatStorage") =>
    bytesOf(
      P.tuple(P.text("storage"), P.name("torch", type), P.text(key), P.text("cpu"), P.int(count)),
      "Q",
    ),
  tensor: (storage: Uint8Array, offset: number, shape: number[], strides: number[]) =>
    P.call(
      P.name("torch._utils", "_rebuild_tensor_v2"),
      storage,
      P.int(offset),
      P.tuple(...shape.map(P.int)),
      P.tuple(...strides.map(P.int)),
      bytesOf("\x89"),
      P.call(P.name("collections", "OrderedDict")),
    ),
  file: (...parts: (string | number | Uint8Array)[]) => bytesOf("\x80\x02", ...parts, "."),
};

/** Bytes in memory that count what is read, and do not forgive a reading outside of them. */
export class CheckedSource implements ByteSource {
  readonly size: number;
  bytesRead = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
    if (!inside || offset < 0 || length < 0 || offset + length > this.size) {
      throw new RangeError(`read of ${length} bytes at ${offset} of ${this.size}`);
    }
    this.bytesRead += length;
    return this.#bytes.subarray(offset, offset + length);
  }

  async close(): Promise<void> {}
}

/** All of a state dict as "dtype [shape] bytes in hexadecimal", by name. */
export async function contents(
  state: ReadonlyMap<string, FileTensor>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [name, tensor] of state) {
    const bytes = await allOf(tensor);
    if (bytes.length !== tensor.byteLength) throw new Error(`${name} has another byteLength`);
    const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
    found.set(name, `${tensor.dtype} [${tensor.shape}] ${hex}`);
  }
  return found;
}

/** Whether an error is one of ours: one printable sentence behind `[tag] `. */
export function isRefusal(error: unknown, tag: string): error is ModelError {
  return (
    error instanceof ModelError &&
    error.message.startsWith(`[${tag}] `) &&
    error.message.length < 1000 &&
    /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(error.message)
  );
}

/** All bytes of a tensor that should be there. */
export async function allOf(tensor: FileTensor | undefined): Promise<Uint8Array> {
  if (!tensor) throw new Error("the tensor is missing");
  return tensor.read(0, tensor.byteLength);
}

/** All values of a tensor of float32. */
export async function floatsOf(tensor: FileTensor | undefined): Promise<number[]> {
  return [...new Float32Array(new Uint8Array(await allOf(tensor)).buffer)];
}

/** Runs what must refuse: one sentence of ours that holds all the words. */
export const refuses = (run: () => Promise<unknown>, ...words: string[]): Promise<string> =>
  refusesAs("pytorch", run, ...words);

/** As `refuses`, of another part than the reader of torch.save's files. */
export async function refusesAs(
  tag: string,
  run: () => Promise<unknown>,
  ...words: string[]
): Promise<string> {
  let error: unknown;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `refuses (${words})`);
  assert.ok(isRefusal(error, tag), `a sentence of ours: ${error}`);
  const message = error instanceof Error ? error.message : "";
  for (const word of words) assert.ok(message.includes(word), `'${word}' in: ${message}`);
  return message;
}

export const readBytes = (bytes: Uint8Array) => readPytorch(new CheckedSource(bytes), "x.bin");

export const refusesFile = (bytes: Uint8Array, ...words: string[]) =>
  refuses(async () => contents(await readBytes(bytes)), "[pytorch] x.bin ", ...words);

export const refusesEntries = (entries: readonly Entry[], ...words: string[]) =>
  refusesFile(writeZip(entries), ...words);

/** A file whose pickle is the given instructions, over a storage of 4 floats. */
export const pickled = (...parts: (string | number | Uint8Array)[]) =>
  writeZip(torchEntries(P.file(...parts), [new Uint8Array(16)]));

export const refusesPickle = (parts: (string | number | Uint8Array)[], ...words: string[]) =>
  refusesFile(pickled(...parts), ...words);

/** Random numbers of a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 0 to `end` - 1. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}
