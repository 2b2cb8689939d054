/** Parameters that are read from a file straight into the device's memory. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { concat, expand, reshape, slice } from "../../engine/ops/shape.ts";
import { type StateSource, state, type Tensor, tensor } from "../../engine/tensor.ts";
import { readCheckpoint } from "../../models/formats/checkpoint.ts";
import { serializeSafetensors, tensorEntry } from "../../models/formats/safetensors.ts";
import { Weights } from "../../models/weights.ts";

const test = suite("loading on cpu");
const folder = mkdtempSync(join(tmpdir(), "loading-"));
test.after(() => rmSync(folder, { recursive: true }));
const open = (): Promise<Device> => openDevice({ device: "cpu", threads: 2 });

const base = { prefix: "x", parts: [] };

/** Values of which each element tells its place. */
const counted = (n: number, from: number) => Float32Array.from({ length: n }, (_, i) => from + i);

test("a file's tensors of several pieces arrive byte for byte, and so do those that are converted", async () => {
  const shapes = { a: [3], long: [3000, 3000], b: [5, 7] }; // 36 MB are three pieces
  const entries = Object.entries(shapes).map(([name, shape], i) => {
    const n = shape.reduce((x, y) => x * y, 1);
    return [name, tensorEntry("F32", shape, counted(n, i))] as const;
  });
  const doubles = Float64Array.of(1.5, -2, 3);
  const all = new Map([...entries, ["double", tensorEntry("F64", [3], doubles)] as const]);
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(all));
  writeFileSync(join(folder, "config.json"), "{}");
  const checkpoint = await readCheckpoint(folder);
  const names = { base, parts: ["a", "long", "b", "double"], tied: {}, spellings: {}, unread: [] };
  const w = Weights.from(checkpoint, names);
  const states = {
    a: w.buffer("a", shapes.a),
    long: w.buffer("long", shapes.long),
    b: w.buffer("b", shapes.b),
    double: w.buffer("double", [3]),
  };
  const device = await open();
  const list: Tensor[] = Object.values(states);
  const stacked = compile(device, () =>
    concat(
      list.map((t) => reshape(t, [-1])),
      0,
    ),
  );
  const got = await (await stacked()).read();
  let at = 0;
  [...entries.map(([, e]) => counted(e.data.length / 4, 0)), doubles].forEach((want, i) => {
    const shift = i < entries.length ? i : 0;
    for (const [k, value] of want.entries()) {
      if (got[at + k] !== value + shift) {
        assert.unreachable(`tensor ${i}, element ${k}: ${got[at + k]}, not ${value + shift}`);
      }
    }
    at += want.length;
  });
  assert.is(at, got.length);
});

test("what is not finite is found wherever it stands, in every width, and named by its place", async () => {
  const device = await open();
  const lengths = [1, 15, 16, 17, 33, 1000];
  for (const dtype of ["f32", "f16", "bf16"] as const) {
    const ones = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 }[dtype];
    for (const n of lengths) {
      for (const place of new Set([0, n >> 1, n - 1, -1])) {
        const bits = dtype === "f32" ? new Uint32Array(n) : new Uint16Array(n);
        bits.fill(ones - 1); // the largest of all numbers
        if (place >= 0) bits[place] = ones + (place % 2);
        const bytes = new Uint8Array(bits.buffer);
        const source: StateSource = {
          read: () => Promise.reject(new Error("it can be read directly")),
          readInto: async (into) => into.set(bytes),
          refused: (at) => new Error(`place ${at}`),
        };
        const t = state(`${dtype}-${n}-${place}`, source, [n], dtype);
        const said = await compile(device, () => reshape(t, [1, n]))().then(
          () => "place -1",
          (error: Error) => error.message,
        );
        assert.is(said, `place ${place}`, `${dtype} [${n}]`);
      }
    }
  }
});

test("half-precision values of an odd number, the last of their file", async () => {
  const half = Uint16Array.from({ length: 15 }, (_, i) => 0x3c00 + (i << 6)); // 1, 1.0625, ...
  const entry = { dtype: "F16", shape: [3, 5], data: new Uint8Array(half.buffer) } as const;
  writeFileSync(
    join(folder, "model.safetensors"),
    serializeSafetensors(new Map([["w.weight", entry]])),
  );
  const names = { base, parts: ["w"], tied: {}, spellings: {}, unread: [] };
  const w = Weights.from(await readCheckpoint(folder), names, "f16");
  const { weight } = w.embedding("w", 3, 5);
  const [got] = await read(await open(), [embedding(weight, tensor(Uint32Array.of(2, 0)))]);
  const row = (r: number) => Array.from({ length: 5 }, (_, i) => 1 + (5 * r + i) / 16);
  assert.equal([...got], [...row(2), ...row(0)]);
});

/** A source that waits for `go` and then fills what it is given with `value`, or fails. */
function slow(value: number, go: Promise<unknown>, asked: () => void, fails = () => false) {
  const source: StateSource = {
    read: () => Promise.reject(new Error("the values were made, not read in place")),
    readInto: async (into) => {
      asked();
      await go;
      if (fails()) throw new Error("the disk is gone");
      into.set(new Uint8Array(new Float32Array(into.length / 4).fill(value).buffer));
    },
  };
  return source;
}

test("what the host writes while a state's first values arrive stays", async () => {
  const device = await open();
  let go = () => {};
  let asked = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const reading = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const a = state("a", slow(1, gate, asked), [4]);
  const b = state("b", slow(10, gate, asked), [4]);
  const run = compile(device, () => add(a, b))();
  await reading;
  device.write(a, Float32Array.of(2, 3, 4, 5));
  const early = read(device, [a]);
  go();
  assert.equal([...(await (await run).read())], [12, 13, 14, 15]);
  assert.equal([...(await early)[0]], [2, 3, 4, 5]);
});

test("values that could not be read are read again, and take no memory meanwhile", async () => {
  const device = await open();
  let broken = true;
  const go = Promise.resolve();
  const fails = () => broken;
  const a = state(
    "a",
    slow(7, go, () => {}, fails),
    [1000],
  );
  const before = device.stats.bytes;
  const twice = compile(device, () => mul(a, 2));
  let message = "";
  await twice().catch((error: Error) => {
    message = error.message;
  });
  assert.is(message, "the disk is gone");
  assert.is(device.stats.bytes, before);
  broken = false;
  assert.ok((await (await twice()).read()).every((v) => v === 14));
});

test("what intermediates of one plan took is there for another plan that would not fit beside it", async () => {
  const device = await openDevice({ device: "cpu", threads: 2, memoryBudget: 10e6 });
  const f = compile(device, (x: Tensor) => mul(expand(x, [1_000_000]), 2)); // 8 MB of intermediates
  assert.is((await (await f(Float32Array.of(3))).read())[999_999], 6);
  const w = state("w", counted(900_000, 1), [900_000]); // 3.6 MB
  const g = compile(device, () => slice(w, 0, 899_999, 900_000));
  assert.is(await (await g()).item(), 900_000);
});

test.run();
