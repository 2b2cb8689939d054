/**
 * The zip archives that torch.save writes: a table of contents at the end, entries stored as they are.
 *
 * What makes a zip library worth having (inflating, encryption, split archives, repairing what is broken) is left out
 * here: torch.save writes none of it, and what inflates may be a bomb.
 *
 * All numbers are little-endian. From the end: the end record (22 bytes, no comment); in front of it, if the archive
 * is zip64, a locator (20) and the zip64 end record (56); then the directory, for each entry 46 bytes, name, extra field
 * and comment. An entry begins with a header of its own: 30 bytes, name, extra field (torch aligns the data by it).
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16 and 4.5.3.
 */
import { type Fail, printable } from "../errors.ts";
import type { ByteSource } from "./source.ts";

const END = { signature: 0x06054b50, size: 22 };
const LOCATOR = { signature: 0x07064b50, size: 20 };
const END64 = { signature: 0x06064b50, size: 56 };
const RECORD = { signature: 0x02014b50, size: 46 };
const HEADER = { signature: 0x04034b50, size: 30 };
const ZIP64_FIELD = 1;
const ENCRYPTED = 0x2041; // flags: encrypted, strongly encrypted, masked headers
const DIRECTORY_LIMIT = 32 * 2 ** 20; // bytes
const CHUNK = 8 * 2 ** 20; // bytes
const DAMAGED = "the file is damaged, download it again";

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A u64, or infinity when it is no exact number: infinity fits nowhere and is refused by the next check. */
function u64(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}

const crcTable: { values?: Int32Array } = {}; // made on first use

function crcStep(byte: number): number {
  let c = byte;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
}

/** The CRC-32 of zip, continued from that of the bytes before; for a host without one of its own. */
export function portableCrc32(bytes: Uint8Array, before = 0): number {
  crcTable.values ??= Int32Array.from({ length: 256 }, (_, byte) => crcStep(byte));
  const table = crcTable.values;
  let c = ~before;
  for (let i = 0; i < bytes.length; i++) c = (c >>> 8) ^ table[(c ^ bytes[i]) & 255];
  return ~c >>> 0;
}

/** Node's own is several times as fast; a browser has none. */
const crc32: (bytes: Uint8Array, before?: number) => number =
  (typeof process === "object" && process.getBuiltinModule?.("node:zlib")?.crc32) || portableCrc32;

/** One stored entry. It is never given out completely before its checksum has been found right. */
export class ZipEntry {
  readonly size: number;
  /** Whether its bytes are stored as they are, not compressed. */
  readonly stored: boolean;
  readonly #source: ByteSource;
  readonly #fail: Fail;
  readonly #record: DirectoryRecord;
  #start: Promise<number> | undefined;
  #checked = false;
  /** How far it has been read from its start without a gap, and the CRC-32 of that. */
  #passed = 0;
  #crc: Promise<number> = Promise.resolve(0);

  constructor(source: ByteSource, record: DirectoryRecord, fail: Fail) {
    this.size = record.size;
    this.stored = record.stored;
    this.#source = source;
    this.#fail = fail;
    this.#record = record;
  }

  /**
   * Bytes `begin` to `end`, within `size`. The first reader from start to end gets its pieces at once, and the last one
   * when the checksum of all has been found right; any other first has all bytes checked.
   */
  async read(begin: number, end: number): Promise<Uint8Array> {
    if (this.#checked) return this.#bytes(begin, end);
    if (begin !== this.#passed) {
      await this.check();
      return this.#bytes(begin, end);
    }
    this.#passed = end;
    const part = this.#bytes(begin, end);
    this.#crc = Promise.all([part, this.#crc]).then(([bytes, before]) => crc32(bytes, before));
    const crc = await this.#crc;
    if (end === this.size) this.#compare(crc);
    return part;
  }

  /** Checks all bytes, if that has not been done. */
  async check(): Promise<void> {
    if (this.#checked) return;
    let crc = 0;
    for (let at = 0; at < this.size && !this.#checked; at += CHUNK) {
      crc = crc32(await this.#bytes(at, Math.min(at + CHUNK, this.size)), crc);
    }
    if (!this.#checked) this.#compare(crc);
  }

  async #bytes(begin: number, end: number): Promise<Uint8Array> {
    this.#start ??= this.#locate();
    return this.#source.read((await this.#start) + begin, end - begin);
  }

  #compare(crc: number): void {
    if (crc !== this.#record.crc) {
      this.#fail(
        `has wrong bytes in its entry '${printable(this.#record.name)}' (CRC-32 ${crc.toString(16)}, its directory says ${this.#record.crc.toString(16)}): ${DAMAGED}`,
      );
    }
    this.#checked = true;
  }

  /** Where the data begins: only the entry's own header says how long its extra field is. */
  async #locate(): Promise<number> {
    const { name, rawName, offset, size, end } = this.#record;
    const header = await this.#source.read(offset, HEADER.size + rawName.length);
    const view = viewOf(header);
    const start = offset + header.length + view.getUint16(28, true);
    const same =
      view.getUint32(0, true) === HEADER.signature &&
      view.getUint16(26, true) === rawName.length &&
      rawName.every((byte, i) => byte === header[HEADER.size + i]);
    if (!same || start + size > end) {
      this.#fail(`has an entry '${printable(name)}' that its directory does not match: ${DAMAGED}`);
    }
    return start;
  }
}

type DirectoryRecord = {
  readonly name: string;
  readonly rawName: Uint8Array;
  readonly crc: number;
  /** As it is in the file. */
  readonly size: number;
  readonly stored: boolean;
  readonly offset: number;
  /** Where the next entry, or the directory, begins. */
  end: number;
};

/** Where the directory lies, from the records at the end of the file. */
async function findDirectory(source: ByteSource, fail: Fail) {
  const cut = (what: string) =>
    fail(
      `has no end of a zip archive (${what}): it is truncated or has bytes appended, download it again`,
    );
  if (source.size < END.size) cut(`${source.size} bytes are too few`);
  const tailSize = Math.min(source.size, END.size + LOCATOR.size);
  const endAt = source.size - END.size;
  const tail = await source.read(source.size - tailSize, tailSize);
  const view = viewOf(tail);
  const end = tailSize - END.size;
  if (view.getUint32(end, true) !== END.signature || view.getUint16(end + 20, true) !== 0) {
    cut("its last 22 bytes are no end record");
  }
  if (view.getUint32(end + 4, true) !== 0) fail(`is one part of a split archive: ${DAMAGED}`);
  const found = {
    count: view.getUint16(end + 10, true),
    size: view.getUint32(end + 12, true),
    offset: view.getUint32(end + 16, true),
    end: endAt,
  };
  if (end >= LOCATOR.size && view.getUint32(end - LOCATOR.size, true) === LOCATOR.signature) {
    const at = u64(view, end - LOCATOR.size + 8);
    if (at + END64.size > endAt - LOCATOR.size) cut("its zip64 end record lies outside");
    const record = viewOf(await source.read(at, END64.size));
    if (record.getUint32(0, true) !== END64.signature) cut("it has no zip64 end record");
    const wide = { count: u64(record, 32), size: u64(record, 40), offset: u64(record, 48) };
    const agrees = (short: number, long: number, most: number) => short === long || short === most;
    if (
      !agrees(found.count, wide.count, 0xffff) ||
      !agrees(found.size, wide.size, 0xffffffff) ||
      !agrees(found.offset, wide.offset, 0xffffffff)
    ) {
      cut("its two end records differ");
    }
    Object.assign(found, wide, { end: at });
  }
  if (found.offset + found.size !== found.end) cut("its directory is not in front of it");
  if (found.size > DIRECTORY_LIMIT) {
    fail(
      `has a directory of ${found.size} bytes, the limit is ${DIRECTORY_LIMIT}: save fewer tensors in one file`,
    );
  }
  return found;
}

/** Sizes and offset where 32 bits do not hold them, in this order, each only if needed. */
function wideNumbers(extra: Uint8Array, short: readonly number[]): number[] {
  const view = viewOf(extra);
  let fieldAt = 0;
  while (fieldAt + 4 <= extra.length && view.getUint16(fieldAt, true) !== ZIP64_FIELD) {
    fieldAt += 4 + view.getUint16(fieldAt + 2, true);
  }
  let at = fieldAt + 4;
  const end = at <= extra.length ? Math.min(at + view.getUint16(at - 2, true), extra.length) : 0;
  return short.map((value) => {
    if (value !== 0xffffffff) return value;
    at += 8;
    return at <= end ? u64(view, at - 8) : Number.POSITIVE_INFINITY;
  });
}

/** A record of the directory at `at` and where the next one begins. */
function readRecord(bytes: Uint8Array, at: number, directoryAt: number, fail: Fail) {
  const broken = (): never =>
    fail(`has a broken directory at byte ${directoryAt + at}: ${DAMAGED}`);
  if (at + RECORD.size > bytes.length) broken();
  const view = viewOf(bytes.subarray(at));
  const nameEnd = at + RECORD.size + view.getUint16(28, true);
  const extraEnd = nameEnd + view.getUint16(30, true);
  const next = extraEnd + view.getUint16(32, true);
  if (view.getUint32(0, true) !== RECORD.signature || next > bytes.length) broken();
  const rawName = bytes.subarray(at + RECORD.size, nameEnd);
  let name = "";
  try {
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(rawName);
  } catch {
    broken();
  }
  const parts = name.split("/");
  if (/[\\\0]/.test(name) || parts.some((part) => part === "" || part === "." || part === "..")) {
    fail(
      `has an entry of the name '${printable(name)}', which leads out of its folder: refused, save the file again`,
    );
  }
  const shown = `an entry '${printable(name)}'`;
  if ((view.getUint16(8, true) & ENCRYPTED) !== 0)
    fail(`has ${shown} that is encrypted: save the file again`);
  const stored = view.getUint16(10, true) === 0;
  const [size, packed, offset] = wideNumbers(bytes.subarray(nameEnd, extraEnd), [
    view.getUint32(24, true),
    view.getUint32(20, true),
    view.getUint32(42, true),
  ]);
  if (stored && size !== packed) {
    fail(`has ${shown} of two sizes, ${packed} and ${size} bytes: ${DAMAGED}`);
  }
  if (offset + HEADER.size + rawName.length + packed > directoryAt) {
    fail(
      `has ${shown} that ends past the archive's data: it is truncated or damaged, download it again`,
    );
  }
  const crc = view.getUint32(16, true);
  return { name, rawName, crc, size: packed, stored, offset, end: directoryAt, next };
}

/**
 * The entries of an archive by name, unread.
 *
 * @throws what `fail` throws, for an archive that is truncated or damaged, and for entries that are encrypted,
 *   overlapping, named twice, or named so that they lead out of their folder
 */
export async function openZip(source: ByteSource, fail: Fail): Promise<Map<string, ZipEntry>> {
  const directory = await findDirectory(source, fail);
  const bytes = await source.read(directory.offset, directory.size);
  const records: DirectoryRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const record = readRecord(bytes, at, directory.offset, fail);
    records.push(record);
    at = record.next;
  }
  if (records.length !== directory.count) {
    fail(`has ${records.length} entries, its end record says ${directory.count}: ${DAMAGED}`);
  }
  const sorted = records.toSorted((a, b) => a.offset - b.offset);
  sorted.forEach((record, i) => {
    record.end = sorted[i + 1]?.offset ?? directory.offset;
    if (record.offset + HEADER.size + record.rawName.length + record.size > record.end) {
      fail(`has an entry '${printable(record.name)}' that overlaps the next: ${DAMAGED}`);
    }
  });
  const entries = new Map<string, ZipEntry>();
  for (const record of records) {
    if (entries.has(record.name)) fail(`has two entries '${printable(record.name)}': ${DAMAGED}`);
    entries.set(record.name, new ZipEntry(source, record, fail));
  }
  return entries;
}
