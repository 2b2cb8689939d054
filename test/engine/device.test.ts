import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { OutOfMemoryError } from "../../engine/errors.ts";
import { openDevice } from "../../engine/open.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("device");

test("a budget is kept: nothing is allocated, the sentence has both numbers", async (_, name) => {
  const small = await openDevice({ device: name, memoryBudget: 1_000_000 });
  const x = tensor(new Float32Array(600 * 600), [600, 600]);
  let error: unknown;
  const before = small.stats.bytes;
  try {
    await read(small, [sum(matmul(x, x))]);
  } catch (e) {
    error = e;
  }
  assert.instance(error, OutOfMemoryError);
  assert.match(
    String(error),
    /needs \d{7} bytes beside \d+ in use, but the (?:budget|limit) is 1000000 bytes/,
  );
  assert.ok(small.stats.bytes <= 1_000_000 && small.stats.bytes - before < 100_000);
  const [y] = await read(small, [mul(tensor([1, 2]), 2)]);
  assert.equal([...y], [2, 4], "the device still works");
});

test("plans share one pool, and a slot that grew binds again", async (device) => {
  const f = compile(device, (x: Tensor) => sum(softmax(mul(x, 2))));
  const short = await f(tensor(new Float32Array(8 * 100), [8, 100]));
  assert.ok(Math.abs((await short.item()) - 8) < 1e-3);
  const long = await f(tensor(new Float32Array(64 * 1000), [64, 1000]));
  assert.ok(Math.abs((await long.item()) - 64) < 1e-2);
  const bytes = device.stats.bytes;
  const buffers = device.stats.buffersCreated;
  for (let i = 0; i < 5; i++) {
    const again = await f(tensor(new Float32Array(8 * 100), [8, 100]));
    assert.ok(Math.abs((await again.item()) - 8) < 1e-3);
  }
  assert.is(device.stats.bytes, bytes);
  assert.is(device.stats.buffersCreated, buffers);
});

test("one run is one submit", async (device) => {
  const f = compile(device, (x: Tensor) => softmax(matmul(x, x)));
  const x = tensor(new Float32Array(32 * 32), [32, 32]);
  await f(x);
  const before = device.stats.submits;
  for (let i = 0; i < 3; i++) await f(x);
  await device.synchronize();
  assert.is(device.stats.submits - before, 3);
});

test("a state that no device has seen is read as it was written", async (device) => {
  const halves = Uint16Array.of(0x3c00, 0x4000, 0xc200);
  const s = state("h", halves, [3], "f16");
  assert.equal([...(await read(device, [s]))[0]], [...halves]);
});

test("a state is filled by pieces, also where it was packed, and read in parts", async (device) => {
  const [rows, width] = [4, 40];
  const w = state("w", new Float32Array(width * width), [width, width]);
  const f = compile(device, (x: Tensor) => matmul(x, w));
  const x = tensor(new Float32Array(rows * width).fill(1), [rows, width]);
  assert.equal([...new Set(await (await f(x)).read())], [0]);
  const all = Float32Array.from({ length: width * width }, (_, i) => i % 7);
  async function* pieces(values: Float32Array, size: number) {
    for (let at = 0; at < values.length; at += size) yield values.subarray(at, at + size);
  }
  await device.fill(w, pieces(all, 333));
  const sums = Float32Array.from({ length: width }, (_, j) =>
    Array.from({ length: width }, (_, i) => all[i * width + j]).reduce((a, b) => a + b),
  );
  assert.equal((await (await f(x)).read()).subarray(0, width), sums);
  const [part] = await device.readStates([w], { begin: 4 * 333, end: 4 * 700 });
  assert.equal(new Float32Array(part), all.slice(333, 700));
  const fresh = state("fresh", all, [width * width]);
  const [own] = await device.readStates([fresh], { begin: 8, end: 20 });
  assert.equal(new Float32Array(own), all.slice(2, 5), "of one that no device has seen");
  const more = all.map((v) => v + 1);
  await device.fill(fresh, pieces(more, 500));
  assert.equal((await read(device, [fresh]))[0], more);
  for (const wrong of [all.subarray(1), new Float32Array(all.length + 1)]) {
    const said = await device.fill(w, pieces(wrong, 500)).then(String, (e: Error) => e.message);
    assert.match(said, /\d+ values do not fill w \[40, 40\]/);
  }
});

test("the profiler prints time for each kernel", async (_, name) => {
  const profiled = await openDevice({ device: name, profile: true });
  await read(profiled, [softmax(tensor(new Float32Array(640), [10, 64]))]);
  const row = profiled.profile().find((r) => r.kernel === "softmax");
  assert.ok(row && row.launches === 1 && row.milliseconds > 0, JSON.stringify(profiled.profile()));
});

test("the CPU's profiler tells launches apart by the tasks that threads share", async (_, name) => {
  const profiled = await openDevice({ device: name, profile: true });
  const square = (n: number) => tensor(new Float32Array(n * n), [n, n]);
  for (const n of [8, 512, 512]) {
    await read(profiled, [matmul(square(n), square(n), { transB: true })]);
  }
  const rows = profiled.profile().filter(({ kernel }) => kernel === "matmul");
  if (name !== "cpu") {
    assert.equal(
      rows.map(({ launches, tasks }) => [launches, tasks]),
      [[3, undefined]],
    );
    return profiled.destroy();
  }
  assert.equal(
    rows.map(({ launches }) => launches),
    [2, 1],
    "by time",
  );
  const [large, small] = rows.map(({ tasks = 0 }) => tasks);
  assert.is(small, 1);
  // 2^27 multiply-adds, no task below 2^19 of them, and no block beyond 128 x 128
  assert.ok(large >= 16 && large <= 64, `${large} tasks`);
  profiled.destroy();
});

test.run();
