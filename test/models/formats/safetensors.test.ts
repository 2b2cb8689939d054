import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeFloat16 } from "../../../models/formats/floats.ts";
import {
  openSafetensors,
  parseSafetensors,
  type Safetensors,
  serializeSafetensors,
  streamSafetensors,
  type TensorEntry,
  tensorEntry,
  toFloat32,
} from "../../../models/formats/safetensors.ts";
import { bytesSource } from "../../../models/formats/source.ts";

const GOLDEN = new URL("../../golden/safetensors/", import.meta.url);

function golden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.safetensors`, GOLDEN)));
}

function entry(file: Safetensors, name: string): TensorEntry {
  const found = file.tensors.get(name);
  if (!found) throw new Error(`golden tensor ${name} is missing`);
  return found;
}

/** A file of `length` data bytes (0, 1, 2, ...) behind a header text; `claimed` overrides the header length. */
function file(header: string, length: number, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + length);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  for (let i = 0; i < length; i++) bytes[8 + json.length + i] = i;
  return bytes;
}

function info(dtype: string, shape: unknown, offsets: unknown): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

/** Parsing throws exactly one line that names the file, holds each of the words, and ends in a remedy. */
function rejects(bytes: Uint8Array, ...words: string[]) {
  let message = "";
  try {
    parseSafetensors(bytes, "weights.safetensors");
  } catch (error) {
    message = error instanceof Error ? error.message : String(error);
  }
  assert.ok(message.startsWith("[safetensors] weights.safetensors: "), `message: '${message}'`);
  assert.not(message.includes("\n"), "one line");
  assert.ok(message.includes(": ", 36) || message.includes(", "), "has a remedy");
  for (const word of words) assert.ok(message.includes(word), `'${word}' in '${message}'`);
}

test("files of the Python library are read", () => {
  const read = parseSafetensors(golden("dtypes"), "dtypes");
  assert.is(read.tensors.size, 19);
  assert.equal(read.metadata, { alpha: 'a "quoted" line\n, Ünï, \u2028' });
  assert.equal(
    [...toFloat32(entry(read, "f32"))],
    [1.5, -2.25, 3e-8, 0.1, 1e30, -0].map(Math.fround),
  );
  assert.equal([...toFloat32(entry(read, "f64"))], [Math.fround(0.1), Number.NEGATIVE_INFINITY]);
  assert.equal(
    [...toFloat32(entry(read, "f16"))],
    [0, -0, 1, -2.5, 65504, 2 ** -14, 2 ** -24, 0.333251953125, Number.POSITIVE_INFINITY],
  );
  const bf16 = toFloat32(entry(read, "bf16"));
  assert.equal([bf16[0], bf16[1], bf16[4]], [1, -0.10009765625, 0]);
  assert.equal(entry(read, "scalar").shape, []);
  assert.equal([...toFloat32(entry(read, "scalar"))], [2.5]);
  assert.equal(entry(read, "empty").shape, [0, 3]);
  assert.is(entry(read, "empty").data.length, 0);
  assert.equal([...entry(read, "bool").data], [1, 0, 1]);
  assert.equal([...entry(read, "u32").data], [255, 255, 255, 255, 1, 0, 0, 0]);
  assert.equal(entry(read, "i32").shape, [2, 1]);
  assert.equal([...toFloat32(entry(read, "\u{1f600}"))], [4]);
});

test("writing gives the Python library's bytes", () => {
  for (const [name, metadata] of [
    ["dtypes", true],
    ["rare", false],
    ["plain", false],
    ["every", false],
    ["sixbits", false],
  ] as const) {
    const bytes = golden(name);
    const read = parseSafetensors(bytes, name);
    const shuffled = new Map([...read.tensors].reverse());
    const written = serializeSafetensors(shuffled, metadata ? read.metadata : undefined);
    assert.is(Buffer.compare(written, bytes), 0, name);
  }
});

test("every dtype of the format, the two that the library only reads too", () => {
  const every = parseSafetensors(golden("every"), "every").tensors;
  const six = parseSafetensors(golden("sixbits"), "sixbits").tensors;
  const dtypes = [...every.values(), ...six.values()].map(({ dtype }) => dtype);
  const known = "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ ";
  const wide = "I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64";
  assert.equal(dtypes.toSorted(), `${known}${wide}`.split(" ").toSorted());
  for (const { dtype, shape, data } of every.values()) {
    assert.equal(shape, dtype === "F4" ? [2, 8] : [2, 4], dtype);
    assert.equal(data.length % 8, 0, dtype);
  }
  assert.equal(
    [...six].map(([name, { shape, data }]) => [name, shape, ...data]),
    [
      ["three", [2, 4], 0, 1, 2, 3, 4, 5],
      ["two", [4], 6, 7, 8],
    ],
  );
  console.log(`${dtypes.length} dtypes`);
});

test("what the Python library refuses is refused, what it takes is taken", () => {
  const cases: { header: string; bytes: number; accepted: boolean }[] = JSON.parse(
    readFileSync(new URL("verdicts.json", GOLDEN), "utf8"),
  );
  const differs = cases.filter(({ header, bytes, accepted }) => {
    const begun = Uint8Array.from(Buffer.from(header, "latin1"));
    const whole = new Uint8Array(8 + begun.length + bytes);
    new DataView(whole.buffer).setBigUint64(0, BigInt(begun.length), true);
    whole.set(begun, 8);
    try {
      parseSafetensors(whole, "x");
      return !accepted;
    } catch (error) {
      assert.match((error as Error).message, /^\[safetensors\] x: [^\n]+$/);
      return accepted;
    }
  });
  assert.equal(differs, []);
  console.log(`${cases.length} headers, ${cases.filter((c) => c.accepted).length} of them good`);
});

test("a file that is read piece by piece gives what the whole file gives", async () => {
  let tensors = 0;
  for (const name of ["dtypes", "rare", "plain", "every", "sixbits", "rounding"]) {
    const bytes = golden(name);
    const whole = parseSafetensors(bytes, name);
    const asked: [number, number][] = [];
    const source = bytesSource(bytes);
    const read = (offset: number, length: number) => {
      asked.push([offset, length]);
      return source.read(offset, length);
    };
    const opened = await openSafetensors({ ...source, read }, name);
    const dataStart = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.ok(
      asked.every(([offset, length]) => offset + length <= dataStart),
      "only the header is read",
    );
    assert.equal(opened.metadata, whole.metadata);
    assert.equal([...opened.tensors.keys()], [...whole.tensors.keys()]);
    for (const [key, tensor] of opened.tensors) {
      const { dtype, shape, data } = entry(whole, key);
      assert.equal([tensor.dtype, tensor.shape, tensor.byteLength], [dtype, shape, data.length]);
      assert.equal([...(await tensor.read(0, data.length))], [...data]);
      const [begin, end] = [data.length >> 2, data.length >> 1];
      assert.equal([...(await tensor.read(begin, end))], [...data.subarray(begin, end)]);
      tensors++;
    }
  }
  const bad = golden("plain").slice(0, -1);
  const message = await openSafetensors(bytesSource(bad), "x").then(String, (e) => e.message);
  assert.match(message, /^\[safetensors\] x: tensor 'only' ends at byte 12 .* holds 11/);
  const short = await openSafetensors(bytesSource(bad.subarray(0, 3)), "x").catch((e) => e.message);
  assert.match(short, "the file has 3 bytes");
  console.log(`${tensors} tensors`);
});

test("several metadata keys keep their order", () => {
  const texts = { zeta: "1", alpha: "2", __proto__x: "3", "": "" };
  const bytes = serializeSafetensors(new Map(), texts);
  const read = parseSafetensors(bytes, "texts").metadata;
  assert.equal(Object.entries(read), Object.entries(texts));
  assert.is(bytes.length % 8, 0);
});

test("data are views of the file, and copies only where F32 is not aligned", () => {
  const bytes = golden("plain");
  const only = entry(parseSafetensors(bytes, "plain"), "only");
  assert.is(only.data.buffer, bytes.buffer);
  assert.is(toFloat32(only).buffer, bytes.buffer);
  const shifted = new Uint8Array(bytes.length + 1).subarray(1);
  shifted.set(bytes);
  const moved = entry(parseSafetensors(shifted, "plain"), "only");
  assert.is(moved.data.buffer, shifted.buffer);
  assert.equal([...toFloat32(moved)], [0, 1, 2]);
  const buffer = Buffer.from(shifted.buffer, 1); // whose slice() is a view
  assert.equal([...toFloat32(entry(parseSafetensors(buffer, "plain"), "only"))], [0, 1, 2]);
});

test("an empty file of tensors, and tensors in file order whatever their names", () => {
  const empty = serializeSafetensors(new Map());
  assert.equal([...empty], [8, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from("{}      ")]);
  assert.is(parseSafetensors(empty, "empty").tensors.size, 0);
  const named = `{"7":${info("U8", [1], [1, 2])},"b":${info("U8", [1], [0, 1])}}`;
  assert.equal([...parseSafetensors(file(named, 2), "order").tensors.keys()], ["b", "7"]);
});

test("float16 is rounded to nearest, ties to even, as numpy does", () => {
  const read = parseSafetensors(golden("rounding"), "rounding");
  const values = toFloat32(entry(read, "f32"));
  const half = entry(read, "f16");
  const wanted = new Uint16Array(half.data.slice().buffer);
  const encoded = encodeFloat16(values);
  assert.is(encoded.length, wanted.length);
  for (let i = 0; i < wanted.length; i++) assert.is(encoded[i], wanted[i], `${values[i]}`);
});

test("every float16 survives decoding and encoding", () => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, bits) => bits);
  const decoded = toFloat32(tensorEntry("F16", [all.length], all));
  const encoded = encodeFloat16(decoded);
  for (let bits = 0; bits < all.length; bits++) {
    const noNumber = (bits & 0x7fff) > 0x7c00;
    if (noNumber) assert.ok(Number.isNaN(decoded[bits]) && (encoded[bits] & 0x7fff) > 0x7c00);
    else assert.is(encoded[bits], bits);
  }
});

test("toFloat32 refuses integers", () => {
  const ids = tensorEntry("I64", [1], new BigInt64Array(1));
  assert.throws(() => toFloat32(ids), /^\[safetensors\] toFloat32 .*I64/);
});

test("a truncated file", () => {
  const bytes = golden("plain");
  for (let length = 0; length < bytes.length; length++) rejects(bytes.subarray(0, length));
  rejects(bytes.subarray(0, 5), "5 bytes", "download");
  rejects(bytes.subarray(0, 40), "claims 64 bytes", "only 32 follow", "truncated");
  rejects(bytes.subarray(0, bytes.length - 1), "'only'", "byte 12", "holds 11", "truncated");
});

test("a lying header length", () => {
  const header = `{"a":${info("U8", [2], [0, 2])}}`;
  rejects(file(header, 2, BigInt(header.length + 3)), "claims", "wrong");
  rejects(file(header, 2, BigInt(header.length + 2)), "UTF-8 JSON"); // swallows the data
  rejects(file(header, 2, BigInt(header.length - 1)), "UTF-8 JSON");
  rejects(file(header, 2, 0n), "does not begin with '{'");
  rejects(file(header, 2, 100_000_001n), "100000001", "limit of 100000000");
  rejects(file(header, 2, 0xffff_ffff_ffff_ffffn), "18446744073709551615", "limit");
});

test("a header that is no JSON object of descriptions", () => {
  rejects(file(`[1]`, 0), "does not begin with '{'");
  rejects(file(`{"a" 1}`, 0), "UTF-8 JSON");
  rejects(file(`{"a":7}`, 0), "'a'", "description");
  rejects(file(`{"a":null}`, 0), "'a'", "description");
  const broken = file(`{"?":${info("U8", [0], [0, 0])}}`, 0);
  broken[10] = 0xff;
  rejects(broken, "UTF-8 JSON");
});

test("a duplicate key, at any depth and however it is escaped", () => {
  const a = info("U8", [1], [0, 1]);
  const b = info("U8", [1], [1, 2]);
  rejects(file(`{"a":${a},"a":${b}}`, 2), "'a' twice");
  rejects(file(`{"a":${a},"\\u0061":${b}}`, 2), "'a' twice");
  rejects(file(`{"q\\"":${a},"q\\"":${b}}`, 2), `'q"' twice`);
  rejects(file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"shape":[1]}}`, 1), "'shape'");
  rejects(file(`{"__metadata__":{"k":"1","k":"2"}}`, 0), "'k' twice");
  const innocent = `{"__metadata__":{"a":"\\"a\\":{","b":"}"},"a":${a},"b":${b}}`;
  assert.is(parseSafetensors(file(innocent, 2), "innocent").tensors.size, 2);
});

test("a string of millions of escapes, as Python takes it", () => {
  const note = '\\n\\"'.repeat(3_000_000);
  const { metadata } = parseSafetensors(file(`{"__metadata__":{"a":"${note}"}}`, 0), "escapes");
  assert.is(metadata.a.length, 6_000_000);
  rejects(file(`{"__metadata__":{"a":"${note}","a":""}}`, 0), "'a' twice");
});

test("a header that would cost gigabytes to parse", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const more = (value: string) => `{"a":{"x":${value},${info("U8", [1], [0, 1]).slice(1)}}`;
  assert.is(parseSafetensors(file(more(nested(125)), 1), "deep").tensors.size, 1);
  rejects(file(more(nested(126)), 1), "more than 127 deep");
  rejects(file(more(nested(30_000_000)), 1), "more than 127 deep");
  rejects(file("[{".repeat(2 ** 24), 0), "does not begin");
  rejects(file(`{"a":[${"{},".repeat(2 ** 22)}0]}`, 0), "more than 4194304 names");
  rejects(file(`{"__metadata__":{${'"a":"",'.repeat(2 ** 22)}"b":""}}`, 0), "more than 4194304");
});

test("whole numbers that are not written as such", () => {
  for (const one of ["1.0", "1e0", "10e-1", "0.1E+1", "1.0e0"]) {
    const header = `{"a":{"dtype":"U8","shape":[${one}],"data_offsets":[0,1]}}`;
    rejects(file(header, 1), `number ${one}`, "write 1 ");
  }
  rejects(file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', 1), "number -0");
});

test("an unknown dtype", () => {
  rejects(file(`{"a":${info("F12", [1], [0, 1])}}`, 1), "'a'", `"F12"`, "BF16");
  rejects(file(`{"a":${info("toString", [1], [0, 1])}}`, 1), "unknown dtype", "toString");
  rejects(file(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, 1), "'a'", "dtype");
});

test("a bad shape or bad offsets", () => {
  for (const shape of [[-1], [1.5], ["1"], 1, null, [2 ** 53]])
    rejects(file(`{"a":${info("U8", shape, [0, 1])}}`, 1), "'a'", "shape", JSON.stringify(shape));
  for (const offsets of [[0], [0, 1, 1], [1, 0], [-1, 0], [0, 1.5], "0,1", null])
    rejects(file(`{"a":${info("U8", [1], offsets)}}`, 1), "'a'", "data_offsets");
});

test("offsets that do not match shape and dtype", () => {
  rejects(file(`{"a":${info("F32", [2], [0, 4])}}`, 4), "'a'", "F32", "[2]", "needs 8", "hold 4");
  rejects(file(`{"a":${info("U8", [2 ** 40, 2 ** 40], [0, 4])}}`, 4), "'a'", "hold 4");
});

test("offsets outside the file", () => {
  rejects(file(`{"a":${info("F32", [2], [0, 8])}}`, 4), "'a'", "byte 8", "holds 4");
});

test("overlapping tensors", () => {
  const header = `{"b":${info("U8", [3], [1, 4])},"a":${info("U8", [2], [0, 2])}}`;
  rejects(file(header, 4), "'b'", "byte 1", "'a'", "at 2", "overlap");
});

test("holes, at the start, in the middle and at the end", () => {
  rejects(file(`{"a":${info("U8", [1], [1, 2])}}`, 2), "bytes 0 to 1", "'a'");
  const header = `{"a":${info("U8", [1], [0, 1])},"b":${info("U8", [1], [3, 4])}}`;
  rejects(file(header, 4), "bytes 1 to 3", "'b'");
  rejects(file(`{"a":${info("U8", [1], [0, 1])}}`, 4), "last 3 bytes", "no tensor");
});

test("metadata that is no object of strings", () => {
  for (const value of ["[]", '"text"', "7", "null"])
    rejects(file(`{"__metadata__":${value}}`, 0), "'__metadata__'", "object of strings");
  rejects(file(`{"__metadata__":{"epoch":3}}`, 0), "'__metadata__'", "'epoch'", "text");
});

test("elements that do not fill a byte, half a surrogate pair, a pointer in the file's place", () => {
  rejects(file(`{"a":${info("F4", [3], [0, 2])}}`, 2), "'a'", "F4", "[3]", "last byte", "pad");
  rejects(file(`{"\\ud800":${info("U8", [1], [0, 1])}}`, 1), "surrogate");
  rejects(file(`{"__metadata__":{"k":"\\udc00"}}`, 0), "'k'", "surrogate");
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n";
  rejects(new TextEncoder().encode(pointer), "Git LFS", "git lfs pull");
});

test("writing refuses what no reader takes", () => {
  const one = tensorEntry("U8", [1], new Uint8Array(1));
  assert.throws(() => serializeSafetensors(new Map([["\ud800", one]])), /surrogate.*: use whole/);
  assert.throws(() => serializeSafetensors(new Map(), { a: "\udc00" }), /surrogate.*: use whole/);
  const half = new Map([["a", tensorEntry("F4", [3], new Uint8Array(2))]]);
  assert.throws(() => serializeSafetensors(half), /'a' of dtype F4 .* needs 1.5 bytes, got 2/);
  const most = { text: "x".repeat(100_000_000 - 28) };
  assert.is(serializeSafetensors(new Map(), most).length, 8 + 100_000_000);
  const more = { text: `${most.text}x` };
  assert.throws(
    () => serializeSafetensors(new Map(), more),
    /header takes 100000008 .*: write fewer/,
  );
});

test("written in pieces: the same bytes, with a part of the tensors at a time", async () => {
  const megabytes = [9, 1, 30, 40, 0, 5, 28, 3];
  const tensors = new Map(
    megabytes.map((n, i) => {
      const values = new Uint16Array(n * 2 ** 19).fill(i + 1);
      const [dtype, length] =
        i % 2 === 0 ? (["F32", n * 2 ** 18] as const) : (["F16", n * 2 ** 19] as const);
      return [`t${i}`, tensorEntry(dtype, [length], values)] as const;
    }),
  );
  const asked: number[] = [];
  const load = async (some: readonly TensorEntry[]) => {
    asked.push(some.reduce((n, { data }) => n + data.length, 0) / 2 ** 20);
    return some.map(({ data }) => (data.length < 2 ** 24 ? data : inPieces(data)));
  };
  async function* inPieces(data: Uint8Array) {
    for (let at = 0; at < data.length; at += 7_000_000) yield data.subarray(at, at + 7_000_000);
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of streamSafetensors(tensors, load, { a: "b" })) pieces.push(piece);
  assert.is(Buffer.compare(Buffer.concat(pieces), serializeSafetensors(tensors, { a: "b" })), 0);
  assert.equal(asked, [39, 28, 41, 8], "the wide ones first: 9 + 30, 0 + 28, 1 + 40, 5 + 3");
  const short = new Map([["a", tensorEntry("F32", [3], new Float32Array(3))]]);
  const cut = async () => {
    for await (const _ of streamSafetensors(short, async () => [new Uint8Array(8)])) {
    }
  };
  const message = await cut().then(String, (error: Error) => error.message);
  assert.match(message, /'a' .*F32.*\[3\] needs 12 bytes, got 8: /);
  const cutInPieces = async () => {
    for await (const _ of streamSafetensors(short, async () => [inPieces(new Uint8Array(8))])) {
    }
  };
  const said = await cutInPieces().then(String, (error: Error) => error.message);
  assert.match(said, /'a' .*F32.*\[3\] needs 12 bytes, got 8: /);
});

test("writing refuses data of the wrong length and a reserved name", () => {
  const short = new Map([["a", tensorEntry("F32", [3], new Float32Array(2))]]);
  assert.throws(() => serializeSafetensors(short), /'a' .*F32.*\[3\] needs 12 bytes, got 8: /);
  const reserved = new Map([["__metadata__", tensorEntry("F32", [2], new Float32Array(2))]]);
  assert.throws(() => serializeSafetensors(reserved), /'__metadata__' is reserved: /);
});

test.run();
