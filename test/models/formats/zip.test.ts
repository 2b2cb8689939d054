import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors } from "../../../models/formats/safetensors.ts";
import { portableCrc32 } from "../../../models/formats/zip.ts";
import {
  allOf,
  bytesOf,
  type Entry,
  P,
  readBytes,
  refuses,
  refusesEntries,
  refusesFile,
  torchEntries,
  writeZip,
} from "./archive.ts";

const GOLDEN = new URL("../../golden/pytorch/", import.meta.url);
const golden = (name: string) => new Uint8Array(readFileSync(new URL(name, GOLDEN)));

const floats = P.storage("0", 4);
const good = P.file(P.dict(P.text("w"), P.tensor(floats, 0, [4], [1])));

test("archives that torch.save would not write", async () => {
  const entries = torchEntries(good, [new Uint8Array(16)]);
  assert.is((await readBytes(writeZip(entries))).size, 1);
  const with_ = (name: string, change: Partial<Entry>) =>
    entries.map((entry) => (entry.name === `archive/${name}` ? { ...entry, ...change } : entry));
  const extra = (name: string, more: Partial<Entry> = {}) => [
    ...entries,
    { name, data: bytesOf("x"), ...more },
  ];
  const text = (name: string, data: string) => with_(name, { data: bytesOf(data) });
  await refusesEntries(with_("data/0", { method: 8 }), "compressed entry 'archive/data/0'");
  await refusesEntries(
    with_("data.pkl", { method: 8, sizes: [good.length, 0xfffffffe] }),
    "compressed",
  );
  await refusesEntries(with_("data/0", { flags: 1 }), "encrypted");
  await refusesEntries(with_("data/0", { crc: 1 }), "wrong bytes", "'archive/data/0'", "CRC-32");
  await refusesEntries(with_("data.pkl", { crc: 1 }), "wrong bytes", "data.pkl");
  await refusesEntries(with_("data/0", { sizes: [16, 17] }), "two sizes");
  await refusesEntries(
    with_("data/0", { sizes: [15, 15] }),
    "4 values of torch.FloatStorage",
    "15 bytes",
  );
  await refusesEntries(with_("data/0", { sizes: [2 ** 31, 2 ** 31] }), "ends past");
  await refusesEntries(with_("data/0", { sizes: [60, 60] }), "overlaps");
  await refusesEntries(with_("data/0", { sizes: [0xffffffff, 0xffffffff] }), "ends past");
  await refusesEntries(text("byteorder", "big"), "byte order 'big'");
  await refusesEntries(text("version", "99\n"), "version '99'");
  await refusesEntries(text("version", "x\n"), "version 'x'");
  await refusesEntries(entries.slice(0, -1), "version 'none'");
  await refusesEntries(entries.slice(1), "0 entries data.pkl");
  await refusesEntries(extra("other/data.pkl"), "2 entries data.pkl");
  await refusesEntries(extra("other/x"), "'other/x' outside");
  await refusesEntries(extra("archive/version"), "two entries 'archive/version'");
  for (const path of [
    "../x",
    "archive/../../x",
    "/etc/passwd",
    "archive//x",
    "a\\..\\x",
    "archive/.",
    "archive/",
  ]) {
    await refusesEntries(extra(path), `'${path}'`, "leads out of its folder");
  }
  await refusesEntries(extra("other/\u202e\u001b[2J"), "'other/\\u{202e}\\u{1b}[2J' outside");
  const file = writeZip(entries);
  await refusesFile(writeZip(entries, "a comment"), "truncated or has bytes appended");
  await refusesFile(bytesOf(file, 0), "truncated or has bytes appended");
  for (let length = 0; length < file.length; length++) await refusesFile(file.subarray(0, length));
  const start = file.length - 22;
  const patched = (at: number, ...bytes: number[]) => {
    const copy = file.slice();
    copy.set(bytes, at);
    return copy;
  };
  await refusesFile(patched(start + 10, 9), "has 4 entries", "says 9");
  await refusesFile(patched(start + 4, 1), "split archive");
  await refusesFile(patched(start + 12, 1), "not in front of it");
  await refusesFile(patched(start + 16, 0xff, 0xff, 0xff, 0xff), "not in front of it");
});

test("wrong bytes are found before a tensor is complete, and hurt no other", async () => {
  const file = golden("state-views.bin");
  const base = Buffer.from(
    parseSafetensors(golden("state.safetensors"), "").tensors.get("views:base")?.data ?? [],
  );
  const at = Buffer.from(file).indexOf(base);
  assert.ok(at > 0);
  file[at + 100] ^= 1;
  const state = await readBytes(file);
  const tensor = state.get("base");
  for (const most of [192, 0]) {
    let seen = 0; // of 240 bytes: at first all but the last piece, then none
    await refuses(async () => {
      if (tensor) for await (const part of tensor.chunks(64)) seen += part.length;
    }, "wrong bytes");
    assert.is(seen, most);
  }
  for (const name of ["base", "tied", "transposed", "rows", "column"]) {
    await refuses(() => allOf(state.get(name)), "[pytorch] x.bin ", "wrong bytes");
  }
  assert.is((await allOf(state.get("frozen"))).length, 80);
});

test("CRC-32 without Node's own", () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) ^ (i >> 3));
  assert.is(portableCrc32(bytes), crc32(bytes));
  assert.is(portableCrc32(bytes.subarray(7), portableCrc32(bytes.subarray(0, 7))), crc32(bytes));
  assert.is(portableCrc32(bytesOf("123456789")), 0xcbf43926);
});

test.run();
