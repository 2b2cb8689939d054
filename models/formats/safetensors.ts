/**
 * The safetensors format: a u64 header length, a JSON header padded with spaces to 8 bytes, then
 * raw little-endian data.
 *
 * The header maps each name to {dtype, shape, data_offsets: [begin, end]}, offsets from the end of
 * the header; tensors fill the rest of the file without holes or overlaps. `__metadata__` maps
 * strings to strings.
 * Source: https://github.com/huggingface/safetensors (README, "Format"; safetensors/src/tensor.rs for the dtypes).
 */

import { type Fail, ModelError, printable, printableJson } from "../errors.ts";
import { decode } from "./floats.ts";
import { isObject } from "./json.ts";
import { checkSpelling, checkStructure } from "./safetensors-header.ts";
import type { ByteSource } from "./source.ts";

/** A dtype as the file spells it. */
export type SafetensorsDtype =
  | "BOOL"
  | "F4"
  | "F6_E2M3"
  | "F6_E3M2"
  | "U8"
  | "I8"
  | "F8_E5M2"
  | "F8_E4M3"
  | "F8_E8M0"
  | "F8_E4M3FNUZ"
  | "F8_E5M2FNUZ"
  | "I16"
  | "U16"
  | "F16"
  | "BF16"
  | "I32"
  | "U32"
  | "F32"
  | "C64"
  | "F64"
  | "I64"
  | "U64";

/** Bits of one element, in the library's order: files go from the last dtype to the first. */
const BITS: Readonly<Record<SafetensorsDtype, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

const HEADER_LIMIT = 100_000_000; // bytes
const METADATA = "__metadata__";

/**
 * One stored tensor in memory: row-major, little-endian, elements of fewer than 8 bits packed. `data.length` is the
 * product of `shape` times the bits of `dtype`, in bytes.
 */
export type TensorEntry = {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
};

/** One stored tensor of a file that is read piece by piece; its bytes are as in a `TensorEntry`. */
export type FileTensor = {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Bytes `begin` to `end` of the tensor; perhaps a view, so not to be changed. */
  read(begin: number, end: number): Promise<Uint8Array>;
  /** Fills `into`, which may be shared memory, with all bytes. */
  readInto?(into: Uint8Array): Promise<void>;
};

/** A file: tensors in the order of their data. In memory, their bytes are views of the file. */
export type Safetensors<T = TensorEntry> = {
  readonly tensors: Map<string, T>;
  readonly metadata: Record<string, string>;
};

const ORDER: readonly string[] = Object.keys(BITS);

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function isDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === "string" && Object.hasOwn(BITS, value);
}

/** Not a whole number where elements of 4 or 6 bits do not fill the last byte. */
function byteLength(dtype: SafetensorsDtype, shape: readonly number[]): number {
  if (shape.includes(0)) return 0; // whatever overflows beside it
  return (shape.reduce((product, size) => product * size, 1) * BITS[dtype]) / 8;
}

/** The header's length, from the first 8 bytes of a file of `size` bytes. */
function headerLength(start: Uint8Array, size: number, fail: Fail): number {
  if (start.length < 8)
    fail(`the file has ${size} bytes, too few for a header length of 8: download it again`);
  if (new TextDecoder("latin1").decode(start.subarray(0, 8)) === "version ")
    fail("this is a Git LFS pointer, not the file itself: run git lfs pull, or download it again");
  const claimed = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (claimed > BigInt(HEADER_LIMIT))
    fail(
      `the header claims ${claimed} bytes, more than the limit of ${HEADER_LIMIT}: this is not a safetensors file, or its first 8 bytes are damaged`,
    );
  const length = Number(claimed);
  if (8 + length > size)
    fail(
      `the header claims ${length} bytes but only ${size - 8} follow: the file is truncated or its header length is wrong, download it again`,
    );
  return length;
}

/** The JSON object of a header. */
function parseHeader(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  if (bytes[0] !== 0x7b || bytes.length < 2)
    fail("the header does not begin with '{': this is not a safetensors file, check its name");
  checkStructure(bytes, fail);
  let text = "";
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    fail(
      `the header of ${bytes.length} bytes is no UTF-8 JSON (${printable(reason)}): write the file again`,
    );
  }
  if (!isObject(header))
    return fail("the header is no JSON object: write the file again with the safetensors library");
  checkSpelling(text, fail);
  return header;
}

function readMetadata(value: unknown, fail: Fail): Record<string, string> {
  if (value === undefined) return {};
  if (!isObject(value))
    return fail(`'${METADATA}' must be an object of strings: write the file again without it`);
  for (const key in value) {
    const text = value[key];
    if (typeof text !== "string")
      return fail(
        `'${METADATA}' holds a value that is no string at '${printable(key)}': store it as text`,
      );
    if (!key.isWellFormed() || !text.isWellFormed())
      fail(`'${METADATA}' holds half a surrogate pair at '${printable(key)}': write it again`);
  }
  return value as Record<string, string>;
}

/** One header entry, checked on its own: dtype, shape, offsets inside the file, size. */
function readEntry(name: string, info: unknown, size: number, fail: Fail) {
  const shown = `tensor '${printable(name)}'`;
  if (!name.isWellFormed())
    fail(`${shown} has half a surrogate pair in its name: write the file again`);
  if (!isObject(info)) return fail(`${shown} has no description object: write the file again`);
  const { dtype, shape, data_offsets: offsets } = info;
  if (!isDtype(dtype))
    return fail(
      `${shown} has the unknown dtype ${printableJson(dtype)}: convert it to one of ${ORDER.join(", ")}`,
    );
  if (!isCountList(shape))
    return fail(
      `${shown} has the shape ${printableJson(shape)}: it must be a list of non-negative integers`,
    );
  if (!isCountList(offsets) || offsets.length !== 2 || offsets[0] > offsets[1])
    return fail(
      `${shown} has the data_offsets ${printableJson(offsets)}: they must be two rising non-negative integers`,
    );
  const [begin, end] = offsets;
  if (end > size)
    return fail(
      `${shown} ends at byte ${end} of the data but the file holds ${size}: it is truncated or the offsets are wrong, download it again`,
    );
  const wanted = byteLength(dtype, shape);
  if (wanted % 1 !== 0 && Number.isFinite(wanted))
    fail(
      `${shown} of dtype ${dtype} and shape [${printable(shape.join(", "))}] does not fill its last byte: pad its last size and write the file again`,
    );
  if (wanted !== end - begin)
    return fail(
      `${shown} of dtype ${dtype} and shape [${printable(shape.join(", "))}] needs ${wanted} bytes but its data_offsets hold ${end - begin}: write the file again`,
    );
  return { name, dtype, shape, begin, end };
}

/** The tensors of a header, in the order of their data, which has `size` bytes. */
function readEntries(header: Record<string, unknown>, size: number, fail: Fail) {
  const entries = Object.entries(header)
    .filter(([key]) => key !== METADATA)
    .map(([key, info]) => readEntry(key, info, size, fail))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  let previous = "";
  for (const { name, begin, end } of entries) {
    if (begin < covered)
      fail(
        `tensor '${printable(name)}' begins at byte ${begin} of the data but '${printable(previous)}' ends at ${covered}: they overlap, write the file again`,
      );
    if (begin > covered)
      fail(
        `bytes ${covered} to ${begin} of the data, before tensor '${printable(name)}', belong to no tensor: write the file again without the hole`,
      );
    covered = end;
    previous = name;
  }
  if (covered < size)
    fail(
      `the last ${size - covered} bytes belong to no tensor: the header lost an entry or bytes were appended, write the file again`,
    );
  return entries;
}

const failWith =
  (name: string): Fail =>
  (what) => {
    throw new ModelError(`[safetensors] ${name}: ${what}`);
  };

/**
 * Reads a safetensors file that is in memory, without copying its data.
 *
 * @param bytes the whole file
 * @param name what to call the file in errors
 * @throws `[safetensors] NAME: ...` for a file that is truncated or breaks the format: a lying or
 *   too large header length, a header that is no JSON object, duplicate keys, an unknown dtype,
 *   offsets that overlap, leave holes, pass the end or do not match shape and dtype, metadata that
 *   are not strings
 */
export function parseSafetensors(bytes: Uint8Array, name: string): Safetensors {
  const fail = failWith(name);
  const dataStart = 8 + headerLength(bytes, bytes.length, fail);
  const header = parseHeader(bytes.subarray(8, dataStart), fail);
  const tensors = new Map<string, TensorEntry>();
  for (const entry of readEntries(header, bytes.length - dataStart, fail)) {
    const { dtype, shape, begin, end } = entry;
    const data = bytes.subarray(dataStart + begin, dataStart + end);
    tensors.set(entry.name, { dtype, shape, data });
  }
  return { tensors, metadata: readMetadata(header[METADATA], fail) };
}

/**
 * Reads the header of a safetensors file. A tensor's bytes are read when they are asked for, so `source` has to stay usable
 * until then.
 *
 * @throws as `parseSafetensors`
 */
export async function openSafetensors(
  source: ByteSource,
  name: string,
): Promise<Safetensors<FileTensor>> {
  const fail = failWith(name);
  const start = await source.read(0, Math.min(8, source.size));
  const length = headerLength(start, source.size, fail);
  const header = parseHeader(await source.read(8, length), fail);
  const dataStart = 8 + length;
  const fill = source.readInto?.bind(source);
  const tensors = new Map<string, FileTensor>();
  for (const entry of readEntries(header, source.size - dataStart, fail)) {
    const { dtype, shape } = entry;
    const first = dataStart + entry.begin;
    tensors.set(entry.name, {
      dtype,
      shape,
      byteLength: entry.end - entry.begin,
      read: (begin, end) => source.read(first + begin, end - begin),
      ...(fill && { readInto: (into) => fill(first, into) }),
    });
  }
  return { tensors, metadata: readMetadata(header[METADATA], fail) };
}

/** A text as JSON, as the library spells it. */
function quoted(text: string): string {
  if (text.isWellFormed()) return JSON.stringify(text);
  throw new ModelError(
    `[safetensors] '${printable(text)}' holds half a surrogate pair, which UTF-8 cannot: use whole characters`,
  );
}

/** UTF-8 byte order: by code points, where JavaScript's own order is by UTF-16 units. */
function compareBytes(a: string, b: string): number {
  const [x, y] = [a, b].map((text) => new TextEncoder().encode(text));
  const shared = Math.min(x.length, y.length);
  for (let i = 0; i < shared; i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
}

/** What the header says of a tensor. */
export type Spec = Pick<TensorEntry, "dtype" | "shape">;

/** The header, and the tensors in the order in which their data follow. */
function layOut<T extends Spec>(
  tensors: ReadonlyMap<string, T>,
  metadata: Readonly<Record<string, string>> | undefined,
): { header: Uint8Array; sorted: [string, T][]; size: number } {
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => ORDER.indexOf(y.dtype) - ORDER.indexOf(x.dtype) || compareBytes(a, b),
  );
  const parts: string[] = [];
  if (metadata) {
    const pairs = Object.entries(metadata).map(([key, text]) => `${quoted(key)}:${quoted(text)}`);
    parts.push(`"${METADATA}":{${pairs.join(",")}}`);
  }
  let offset = 0;
  for (const [name, { dtype, shape }] of sorted) {
    if (name === METADATA)
      throw new ModelError(`[safetensors] '${METADATA}' is reserved: give the tensor another name`);
    const end = offset + byteLength(dtype, shape);
    parts.push(
      `${quoted(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  const dataStart = 8 + Math.ceil(json.length / 8) * 8;
  if (dataStart - 8 > HEADER_LIMIT)
    throw new ModelError(
      `[safetensors] the header takes ${dataStart - 8} bytes, more than the limit of ${HEADER_LIMIT}: write fewer tensors, or shorter names and metadata`,
    );
  const header = new Uint8Array(dataStart).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(dataStart - 8), true);
  header.set(json, 8);
  return { header, sorted, size: dataStart + offset };
}

function checkBytes(name: string, { dtype, shape }: Spec, data: { readonly length: number }): void {
  const wanted = byteLength(dtype, shape);
  if (data.length === wanted) return;
  throw new ModelError(
    `[safetensors] tensor '${name}' of dtype ${dtype} and shape [${shape.join(", ")}] needs ${wanted} bytes, got ${data.length}: pass all of its data`,
  );
}

/**
 * Writes a safetensors file, byte for byte as the Python library does: dtypes from the widest to
 * the narrowest (in the library's order), then names by their UTF-8 bytes; the header padded to 8
 * bytes. Metadata keep the order given (the library's own is arbitrary).
 *
 * @throws `[safetensors] ...` for data whose length does not match shape and dtype, for a tensor named `__metadata__`,
 *   for texts with half a surrogate pair, for a header of more than 100 MB
 */
export function serializeSafetensors(
  tensors: ReadonlyMap<string, TensorEntry>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  for (const [name, entry] of tensors) checkBytes(name, entry, entry.data);
  const { header, sorted, size } = layOut(tensors, metadata);
  const file = new Uint8Array(size);
  file.set(header);
  let at = header.length;
  for (const [, { data }] of sorted) {
    file.set(data, at);
    at += data.length;
  }
  return file;
}

/** Bytes of tensors that `streamSafetensors` asks for at once, unless one has more. */
export const STREAMED = 16 * 2 ** 20;

/**
 * The file of `serializeSafetensors` in pieces, so that a large model is never on the host whole: `load` gives the bytes of some
 * tensors when it is their turn, those of a large one perhaps in pieces.
 */
export async function* streamSafetensors<T extends Spec>(
  tensors: ReadonlyMap<string, T>,
  load: (some: readonly T[]) => Promise<readonly (Uint8Array | AsyncIterable<Uint8Array>)[]>,
  metadata?: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const { header, sorted } = layOut(tensors, metadata);
  yield header;
  for (let first = 0; first < sorted.length; ) {
    let [end, bytes] = [first, 0];
    while (end < sorted.length && (end === first || bytes < STREAMED)) {
      const [, { dtype, shape }] = sorted[end++];
      bytes += byteLength(dtype, shape);
    }
    const some = sorted.slice(first, end);
    const loaded = await load(some.map(([, tensor]) => tensor));
    for (const [i, data] of loaded.entries()) {
      const [name, spec] = some[i];
      if (ArrayBuffer.isView(data)) {
        checkBytes(name, spec, data);
        yield data;
        continue;
      }
      let length = 0;
      for await (const piece of data) {
        length += piece.length;
        yield piece;
      }
      checkBytes(name, spec, { length });
    }
    first = end;
  }
}

/** An entry over a typed array's bytes (no copy), for `serializeSafetensors`. */
export function tensorEntry(
  dtype: SafetensorsDtype,
  shape: readonly number[],
  values: ArrayBufferView,
): TensorEntry {
  return {
    dtype,
    shape,
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  };
}

/**
 * The values of an F32, F16, BF16 or F64 entry, [product of shape]. F32 is a view of the entry's
 * bytes where they are aligned to 4, F64 is rounded to nearest.
 *
 * @throws `[safetensors] toFloat32 ...` for an integer or other dtype
 */
export const toFloat32 = ({ dtype, data }: TensorEntry): Float32Array => decode(dtype, data);

/** As `toFloat32`, of a file's tensor. */
export const readFloat32 = async (t: FileTensor): Promise<Float32Array> =>
  decode(t.dtype, await t.read(0, t.byteLength));
