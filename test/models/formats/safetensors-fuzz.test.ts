/**
 * Ten thousand damaged safetensors files: each is refused in one sentence, or loads as exactly what its
 * header says, every byte of its data in one tensor. The format has no checksum: a flipped bit of the
 * data is a changed value, one of the header may be a changed name.
 */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  parseSafetensors,
  type Safetensors,
  toFloat32,
} from "../../../models/formats/safetensors.ts";
import { bytesOf, isRefusal, joined, le, Random } from "./archive.ts";

const SEED = 20_240_608;
const GOLDEN = new URL("../../golden/", import.meta.url);
const NAMES = ["safetensors/dtypes", "safetensors/plain", "safetensors/rare", "pytorch/state"];
const bases = NAMES.map(
  (name) => new Uint8Array(readFileSync(new URL(`${name}.safetensors`, GOLDEN))),
);

type Info = {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
};

const headerLength = (file: Uint8Array) =>
  Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));

const headerOf = (file: Uint8Array): Record<string, Info> =>
  JSON.parse(Buffer.from(file.subarray(8, 8 + headerLength(file))).toString());

/** The file with another header text in front of its data. */
function withText(file: Uint8Array, text: string | Uint8Array): Uint8Array {
  const header = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return joined([le(header.length, 8), header, file.subarray(8 + headerLength(file))]);
}

/** The file with one tensor described otherwise. */
function withInfo(file: Uint8Array, random: Random, change: (info: Info) => unknown): Uint8Array {
  const header: Record<string, unknown> = headerOf(file);
  const name = random.pick(Object.keys(header).filter((key) => key !== "__metadata__"));
  header[name] = change(header[name] as Info);
  return withText(file, JSON.stringify(header));
}

function flipped(bytes: Uint8Array, random: Random, count: number, end: number): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < count; i++) copy[random.below(end)] ^= 1 << random.below(8);
  return copy;
}

const HUGE = [
  2 ** 31,
  2 ** 32,
  2 ** 40,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 64,
  1e300,
  -1,
  -0,
  0.5,
  1,
  0,
  null,
  "4",
  [],
];

const NESTED = ["[", '{"a":', '[{"a":'];
const CLIMBING = [
  "../../etc/passwd",
  "/etc/passwd",
  "..\\x",
  "__proto__",
  "constructor",
  "a\u0000b",
  "",
];

/** A header text with `token` put `depth` deep at a random tensor's `field`. */
function nested(file: Uint8Array, random: Random): string {
  const depth = random.pick([1, 10, 100, 1000, 10_000, 10_000, 10_000, 100_000]);
  const open = random.pick(NESTED);
  const close = open === "[" ? "]" : open === "[{" ? "}]" : open.startsWith("[") ? "}]" : "}";
  const whole = random.below(2) === 0;
  const deep = open.repeat(depth) + (open === "[" ? "" : "1") + (whole ? close.repeat(depth) : "");
  const text = JSON.stringify(headerOf(file));
  const place = random.pick([
    /"F\w+"/,
    /\[\d*(?:,\d+)*\]/,
    /"data_offsets":\[[\d,]*\]/,
    /\{"dtype".*?\}/,
  ]);
  return text.replace(place, () =>
    place.source.startsWith('"data') ? `"data_offsets":${deep}` : deep,
  );
}

const KINDS: Record<string, (file: Uint8Array, random: Random) => Uint8Array> = {
  truncated: (file, random) => file.slice(0, random.below(file.length)),
  "bits flipped": (file, random) => flipped(file, random, 1 + random.below(8), file.length),
  "header flipped": (file, random) =>
    flipped(file, random, 1 + random.below(4), 8 + headerLength(file)),
  "length of the header": (file, random) => {
    const near = headerLength(file) + random.below(40) - 20;
    const length = random.pick([near, near, 0, 1, 2 ** 31, 1e8, 1e8 + 1, 2 ** 53]);
    return joined([le(BigInt(Math.max(0, length)), 8), file.subarray(8)]);
  },
  "length in 64 bits": (file, random) =>
    joined([Uint8Array.from({ length: 8 }, () => random.below(256)), file.subarray(8)]),
  "huge shape": (file, random) =>
    withInfo(file, random, (info) => ({
      ...info,
      shape: Array.from({ length: random.below(5) }, () => random.pick(HUGE)),
    })),
  "shape of many axes": (file, random) =>
    withInfo(file, random, (info) => ({
      ...info,
      shape: Array.from({ length: 1 + random.below(5000) }, () => random.pick([1, 2, 2 ** 52, 0])),
    })),
  "huge offsets": (file, random) =>
    withInfo(file, random, (info) => ({
      ...info,
      data_offsets: info.data_offsets.map((at) => (random.below(2) ? at : random.pick(HUGE))),
    })),
  "shifted offsets": (file, random) =>
    withInfo(file, random, (info) => ({
      ...info,
      data_offsets: info.data_offsets.map((at) => at + random.below(9) - 4),
    })),
  "moved tensor": (file, random) => {
    const by = random.below(41) - 20;
    return withInfo(file, random, (info) => ({
      ...info,
      data_offsets: info.data_offsets.map((at) => at + by),
    }));
  },
  "key twice": (file, random) => {
    const header = headerOf(file);
    const name = random.pick(Object.keys(header));
    const again = `{${JSON.stringify(name)}:${JSON.stringify(header[name])},`;
    return withText(
      file,
      JSON.stringify(header).replace("{", () => again),
    );
  },
  "another dtype": (file, random) =>
    withInfo(file, random, (info) => ({
      ...info,
      dtype: random.pick([
        "F32",
        "F16",
        "I64",
        "BOOL",
        "toString",
        "__proto__",
        7,
        "x".repeat(5000),
      ]),
    })),
  "another name": (file, random) => {
    const header = headerOf(file);
    const names = Object.keys(header);
    const old = random.pick(names);
    const name = random.pick([
      ...CLIMBING,
      ...names,
      "n".repeat(20_000),
      "\ud800",
      "\u202e\u001b[2J",
    ]);
    const text = names.map((key) => {
      const info = JSON.stringify(header[key]);
      return `${JSON.stringify(key === old ? name : key)}:${info}`;
    });
    return withText(file, `{${text.join(",")}}`);
  },
  "deep nesting": (file, random) => withText(file, nested(file, random)),
  metadata: (file, random) => {
    const header: Record<string, unknown> = headerOf(file);
    const value = random.pick([
      1,
      null,
      {},
      [],
      "x",
      { a: 1 },
      { a: null },
      { a: "b" },
      { ["k".repeat(9000)]: 1 },
    ]);
    header.__metadata__ = value;
    return withText(file, JSON.stringify(header));
  },
  "header spliced": (file, random) => {
    const text = file.subarray(8, 8 + headerLength(file));
    const from = random.below(text.length);
    const to = Math.min(text.length, from + random.below(30));
    const at = random.below(text.length);
    const part = text.subarray(from, to);
    const doubled = joined([text.subarray(0, at), part, text.subarray(at)]);
    const cut = joined([text.subarray(0, from), text.subarray(to)]);
    return withText(file, random.pick([doubled, cut]));
  },
  appended: (file, random) => joined([file, new Uint8Array(1 + random.below(50))]),
  "data lost": (file, random) => {
    const from = 8 + headerLength(file);
    const at = from + random.below(file.length - from);
    return joined([file.subarray(0, at), file.subarray(at + 1 + random.below(20))]);
  },
  noise: (file, random) => {
    const header = Uint8Array.from({ length: random.below(200) }, () => random.below(256));
    return withText(file, random.pick([header, bytesOf("{", header, "}")]));
  },
};

/** Kinds that nothing may forgive. */
const HOPELESS = ["truncated", "appended", "data lost", "key twice"];

/** Whether a file that loads is what its header says, by a second and simpler reading of it. */
function check(file: Uint8Array, { tensors, metadata }: Safetensors, what: string): void {
  const { __metadata__: notes, ...header } = headerOf(file);
  const start = 8 + headerLength(file);
  assert.equal([...tensors.keys()].sort(), Object.keys(header).sort(), what);
  assert.equal({ ...metadata }, { ...(notes ?? {}) }, what);
  let bytes = 0;
  for (const [name, tensor] of tensors) {
    const { dtype, shape, data } = tensor;
    const info = header[name];
    const [begin, end] = info.data_offsets;
    assert.is(dtype, info.dtype, what);
    assert.equal(shape, info.shape, what);
    const inPlace =
      data.buffer === file.buffer && data.byteOffset === file.byteOffset + start + begin;
    assert.ok(inPlace && data.length === end - begin, `${what}: bytes of ${name}`);
    if (dtype === "F32" || dtype === "F16" || dtype === "BF16" || dtype === "F64") {
      assert.is(
        toFloat32(tensor).length,
        shape.reduce((n, size) => n * size, 1),
        what,
      );
    }
    bytes += data.length;
  }
  assert.is(bytes, file.length - start, what);
}

const random = new Random(SEED);
const counts = new Map<string, { loaded: number; refused: number }>();
let slowest = 0;

function tryFile(kind: string, i: number, file: Uint8Array): void {
  const what = `${kind}, file ${i} of seed ${SEED}`;
  const count = counts.get(kind) ?? { loaded: 0, refused: 0 };
  counts.set(kind, count);
  const start = process.cpuUsage();
  let loaded: Safetensors | undefined;
  try {
    loaded = parseSafetensors(file, "x.safetensors");
  } catch (error) {
    if (!isRefusal(error, "safetensors")) {
      const text = error instanceof Error ? error.stack : `${error}`;
      assert.unreachable(`${what}: ${text?.slice(0, 2000)}`);
    }
  }
  const { user, system } = process.cpuUsage(start);
  slowest = Math.max(slowest, user + system);
  assert.not.ok(loaded && HOPELESS.includes(kind), `${what}: loads`);
  if (loaded) check(file, loaded, what);
  if (loaded) count.loaded++;
  else count.refused++;
}

for (const kind of Object.keys(KINDS)) {
  test(`600 files: ${kind}`, () => {
    for (let i = 0; i < 600; i++) tryFile(kind, i, KINDS[kind](random.pick(bases), random));
  });
}

test("every single bit of a small file", () => {
  const base = bases[NAMES.indexOf("safetensors/plain")];
  for (let bit = 0; bit < 8 * base.length; bit++) {
    const file = base.slice();
    file[bit >> 3] ^= 1 << (bit & 7);
    tryFile("each bit flipped", bit, file);
  }
});

test("counts, time and memory", () => {
  let files = 0;
  for (const [kind, { loaded, refused }] of counts) {
    files += loaded + refused;
    console.log(`${kind}: ${loaded} loaded, ${refused} refused`);
  }
  const { maxRSS } = process.resourceUsage(); // KiB
  console.log(
    `${files} files; slowest ${slowest / 1000} ms; ${Math.round(maxRSS / 1024)} MiB at most`,
  );
  assert.ok(files >= 10_000);
  assert.ok(slowest < 1e6, `a file took ${slowest} microseconds`);
  assert.ok(maxRSS < 600 * 1024, `${maxRSS} KiB`);
});

test.run();
