/**
 * Checks of a safetensors header's text: that it is not too costly for JSON.parse, and what JSON.parse would accept in
 * silence. Knows JSON, not what the header means.
 */
import { type Fail, printable } from "../errors.ts";

const DEPTH_LIMIT = 127; // the library's
const PARTS_LIMIT = 2 ** 22; // a tensor has 7

/**
 * Refuses a header that would cost too much to parse. Whether it is JSON at all is not looked at.
 *
 * @throws what `fail` throws
 */
export function checkStructure(bytes: Uint8Array, fail: Fail): void {
  let depth = 0;
  let parts = 0;
  let quoted = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    // a colon (0x3a) follows each name; bit 0x20 alone is between [ and {, and between ] and }
    if (byte === 0x22) quoted = !quoted;
    else if (quoted) i += byte === 0x5c ? 1 : 0;
    else if (byte === 0x3a) parts++;
    else if ((byte & 0xdf) === 0x5b) [depth, parts] = [depth + 1, parts + 1];
    else if ((byte & 0xdf) === 0x5d) depth--;
    if (depth > DEPTH_LIMIT)
      fail(
        `the header has lists and objects in each other more than ${DEPTH_LIMIT} deep: write the file again with the safetensors library`,
      );
    if (parts > PARTS_LIMIT)
      fail(
        `the header has more than ${PARTS_LIMIT} names, lists and objects: write fewer tensors or less metadata in one file`,
      );
  }
}

/** Where the string that begins at `start` of a valid JSON text ends: the place of its second quote. */
function endOfString(text: string, start: number): number {
  for (let end = start; ; ) {
    end = text.indexOf('"', end + 1);
    let before = end;
    while (text[before - 1] === "\\") before--;
    if ((end - before) % 2 === 0) return end;
  }
}

/**
 * What JSON.parse lets pass in a valid JSON text: a key that stands twice in one object (it would keep the last, in
 * silence), and a whole number written as a fraction. A colon outside a string always follows a key.
 *
 * @throws what `fail` throws
 */
export function checkSpelling(json: string, fail: Fail): void {
  const open: Set<string>[] = [];
  const token = /["{}:]|-?\d[\d.eE+-]*/g;
  let text = '""';
  for (let found = token.exec(json); found !== null; found = token.exec(json)) {
    const [first] = found;
    if (first === '"') {
      const end = endOfString(json, found.index);
      text = json.slice(found.index, end + 1);
      token.lastIndex = end + 1;
    } else if (first === "{") open.push(new Set());
    else if (first === "}") open.pop();
    else if (first === ":") {
      const key: string = text.includes("\\") ? JSON.parse(text) : text.slice(1, -1);
      const keys = open[open.length - 1];
      if (keys.has(key))
        fail(
          `the header has the key '${printable(key)}' twice: write the file again with one entry for it`,
        );
      keys.add(key);
    } else if (/\D/.test(first) && Number.isInteger(Number(first)) && Number(first) >= 0)
      fail(
        `the header has the number ${printable(first)}: write ${Number(first)} without sign, point and exponent`,
      );
  }
}
