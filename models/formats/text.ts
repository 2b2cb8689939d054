/**
 * Text files: UTF-8, with or without a byte order mark; all else is told with its line and byte. Knows no format. What is no
 * regular file is refused before it is opened, for a FIFO would be waited for and a device has no end.
 */
import { type Fail, printable } from "../errors.ts";

/** A string of V8 holds fewer than 2^29 characters. */
const TEXT_LIMIT = 2 ** 29 - 64; // bytes

const BYTE_ORDER_MARK = "\uFEFF";
const NEWLINE = 10;

/** What a path is that is no regular file, in words; undefined for a regular file. */
export function specialKind(stat: {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isDirectory()) return "a directory";
  if (stat.isFIFO()) return "a pipe (FIFO)";
  return stat.isSocket() ? "a socket" : "a device";
}

/** Where bytes stop being UTF-8: the line (from 1), the byte (from 0) and its value. They are known not to be UTF-8. */
function firstWrongByte(bytes: Uint8Array): { line: number; at: number; value: number } {
  const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
  const encoder = new TextEncoder();
  const width = (text: string) => encoder.encode(text).length;
  // a newline is never part of another character, so each line can be looked at alone
  let line = 1;
  for (let begin = 0; begin < bytes.length; line++) {
    const found = bytes.indexOf(NEWLINE, begin);
    const end = found < 0 ? bytes.length : found + 1;
    const text = lenient.decode(bytes.subarray(begin, end));
    let at = begin;
    let passed = 0;
    for (let i = text.indexOf("\uFFFD"); i >= 0; i = text.indexOf("\uFFFD", i + 1)) {
      at += width(text.slice(passed, i));
      passed = i + 1;
      const written = bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd;
      if (!written) return { line, at, value: bytes[at] };
      at += 3;
    }
    begin = end;
  }
  return { line, at: bytes.length, value: Number.NaN };
}

const hex = (value: number) => `0x${value.toString(16).padStart(2, "0")}`;

/**
 * The text of bytes in UTF-8, without its byte order mark.
 *
 * @throws what `fail` throws, for bytes that are no UTF-8: line, byte, and the encoding that is expected
 */
export function decodeText(bytes: Uint8Array, fail: Fail): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const [a, b] = bytes;
    if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)) {
      return fail("is UTF-16 by its first two bytes, where UTF-8 is expected; save it as UTF-8");
    }
    const { line, at, value } = firstWrongByte(bytes);
    const shown = printable(String.fromCharCode(value));
    return fail(
      `is not UTF-8, the encoding that is expected: line ${line} has the byte ${hex(value)} (byte ${at} of the file; ` +
        `${shown} in Latin-1); save it as UTF-8`,
    );
  }
}

/** A text that is in memory already, without its byte order mark. */
export const withoutMark = (text: string): string =>
  text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;

/**
 * The bytes of a regular file (Node only).
 *
 * @param remedy what to do where it cannot be had, the end of the sentence
 * @param limit bytes from which on it is refused
 * @throws what `fail` throws: "does not exist; REMEDY", "is a directory, not a file; REMEDY", "cannot be read (EACCES); REMEDY"
 */
export async function readRegularFile(
  path: string,
  fail: Fail,
  remedy: string,
  limit = 2 ** 31 - 1,
): Promise<Uint8Array> {
  const { readFile, stat } = await import("node:fs/promises");
  const refuse = (cause: unknown): never => {
    const { code, message } = Object(cause) as { code?: string; message?: string };
    const absent = code === "ENOENT" || code === "ENOTDIR";
    const why = absent ? "does not exist" : `cannot be read (${code ?? message})`;
    return fail(`${why}; ${remedy}`, cause);
  };
  const found = await stat(path).catch(refuse);
  const kind = specialKind(found);
  if (kind !== undefined) fail(`is ${kind}, not a file; ${remedy}`);
  if (found.size > limit) fail(`has ${found.size} bytes, the limit is ${limit}; ${remedy}`);
  return readFile(path).catch(refuse);
}

/**
 * The text of a regular file in UTF-8, without its byte order mark (Node only).
 *
 * @param fail throws a sentence that begins with the file's name
 * @param remedy what to do where the file cannot be had, the end of the sentence
 * @throws what `fail` throws, as `readRegularFile` and `decodeText` say it
 */
export async function readText(
  path: string,
  fail: Fail,
  remedy: string,
  limit = TEXT_LIMIT,
): Promise<string> {
  return decodeText(await readRegularFile(path, fail, remedy, limit), fail);
}
