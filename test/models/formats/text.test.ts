/** Text files: the byte order mark, bytes that are no UTF-8, and paths that are no regular files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { failAbout } from "../../../models/errors.ts";
import { readText } from "../../../models/formats/disk.ts";
import { parseObject } from "../../../models/formats/json.ts";
import { shardFiles } from "../../../models/formats/shards.ts";
import { decodeText } from "../../../models/formats/text.ts";

const home = mkdtempSync(join(tmpdir(), "text-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const fail = failAbout("area", "FILE");

function refused(bytes: readonly number[]): string {
  try {
    return `accepted: ${decodeText(Uint8Array.from(bytes), fail)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

const ascii = (text: string) => [...Buffer.from(text, "latin1")];

test("UTF-8 is read, and a byte order mark is no part of it", () => {
  const text = "Orléans — 東京 \u{1F600} \uFFFD\n";
  assert.is(decodeText(Buffer.from(text), fail), text);
  assert.is(decodeText(Buffer.from(`\uFEFF${text}`), fail), text);
  assert.is(decodeText(Buffer.from("a\uFEFFb"), fail), "a\uFEFFb");
  assert.is(decodeText(new Uint8Array(0), fail), "");
});

test("bytes that are no UTF-8 are told by line, byte and the encoding that is expected", () => {
  const rest = (line: number, byte: string, at: number, shown: string) =>
    `[area] FILE is not UTF-8, the encoding that is expected: line ${line} has the byte ${byte} (byte ${at} of the file; ${shown} in Latin-1); save it as UTF-8`;
  const cases: [bytes: readonly number[], message: string][] = [
    [ascii("Paris\nOrl\xe9ans\n"), rest(2, "0xe9", 9, "é")],
    [[...Buffer.from("\uFEFFé\uFFFD"), 0xff], rest(1, "0xff", 8, "ÿ")],
    [ascii("a\n\n\xe9"), rest(3, "0xe9", 3, "é")], // cut in the middle of a character
    [[0x41, 0xed, 0xa0, 0x80], rest(1, "0xed", 1, "í")], // half of a surrogate pair
    [[0xc0, 0xaf], rest(1, "0xc0", 0, "À")], // longer than need be
    [[0xef, 0xbf, 0xbd, 0x80], rest(1, "0x80", 3, "\\u{80}")],
  ];
  for (const [bytes, message] of cases) assert.is(refused(bytes), message);
  const utf16 =
    "[area] FILE is UTF-16 by its first two bytes, where UTF-8 is expected; save it as UTF-8";
  assert.is(refused([0xff, 0xfe, 0x7b, 0]), utf16);
  assert.is(refused([0xfe, 0xff, 0, 0x7b]), utf16);
});

test("texts in memory may begin with a byte order mark too", () => {
  assert.equal(parseObject('\uFEFF{"a": 1}', "area", "FILE"), { a: 1 });
  const index = '\uFEFF{"weight_map": {"w": "b.bin", "v": "a.bin"}}';
  assert.equal(shardFiles(index, fail), ["a.bin", "b.bin"]);
});

test("what is no regular file is refused, nothing waits", async () => {
  const pipe = join(home, "pipe");
  execFileSync("mkfifo", [pipe]);
  mkdirSync(join(home, "folder"));
  writeFileSync(join(home, "good"), "\uFEFF{}");
  const message = (path: string) =>
    readText(path, fail, "name a file").catch((error: Error) => error.message);
  assert.is(await message(join(home, "good")), "{}");
  assert.is(await message(pipe), "[area] FILE is a pipe (FIFO), not a file; name a file");
  assert.is(
    await message(join(home, "folder")),
    "[area] FILE is a directory, not a file; name a file",
  );
  assert.is(await message("/dev/zero"), "[area] FILE is a device, not a file; name a file");
  assert.is(await message(join(home, "none")), "[area] FILE does not exist; name a file");
  assert.is(await message(join(home, "good/none")), "[area] FILE does not exist; name a file");
});

test.run();
