/** Texts of files: UTF-8, with or without a byte order mark; all else is told with its line and byte. Knows no format. */
import { type Fail, printable } from "../errors.ts";

const BYTE_ORDER_MARK = "\uFEFF";
const NEWLINE = 10;

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
