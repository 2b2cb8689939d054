import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { openDevice } from "../../engine/device.ts";
import { OutOfMemoryError } from "../../engine/errors.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";

const test = suite("device");
const device = await openDevice();

/** A program in a process of its own; what it prints on both streams. */
function program(code: string, env: Record<string, string>): string {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module-typescript", "-e", code],
    {
      env: { ...process.env, ...env },
      cwd: new URL("../..", import.meta.url),
      encoding: "utf8",
    },
  );
  return stdout + stderr;
}

test("says what was opened and why", () => {
  assert.match(device.description, /^WebGPU on .+ \((a hardware GPU|a software adapter.*)\)$/);
});

test("without a driver one sentence names the remedy", () => {
  const out = program(
    `import { openDevice } from "./engine/device.ts";
     await openDevice().then((d) => console.log("opened", d.description), (e) => console.log(e.name, e.message));
     process.exit(0);`,
    { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" },
  );
  assert.match(
    out,
    /NoDeviceError \[openDevice\] no WebGPU adapter: install a Vulkan driver.*setup\.sh/,
  );
});

test("a budget is kept: nothing is allocated, the sentence has both numbers", async () => {
  const small = await openDevice({ memoryBudget: 1_000_000 });
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
    /needs 1440000 bytes beside \d+ in use, but the budget is 1000000 bytes/,
  );
  assert.ok(small.stats.bytes <= 1_000_000 && small.stats.bytes - before < 100_000);
  const [y] = await read(small, [mul(tensor([1, 2]), 2)]);
  assert.equal([...y], [2, 4], "the device still works");
});

test("plans share one pool, and a slot that grew binds again", async () => {
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

test("one run is one submit", async () => {
  const f = compile(device, (x: Tensor) => softmax(matmul(x, x)));
  const x = tensor(new Float32Array(32 * 32), [32, 32]);
  await f(x);
  const before = device.stats.submits;
  for (let i = 0; i < 3; i++) await f(x);
  await device.synchronize();
  assert.is(device.stats.submits - before, 3);
});

test("a state that no device has seen is read as it was written", async () => {
  const halves = Uint16Array.of(0x3c00, 0x4000, 0xc200);
  const s = state("h", halves, [3], "f16");
  assert.equal([...(await read(device, [s]))[0]], [...halves]);
});

test("the profiler prints time for each kernel", async () => {
  const profiled = await openDevice({ profile: true });
  await read(profiled, [softmax(tensor(new Float32Array(640), [10, 64]))]);
  const row = profiled.profile().find((r) => r.kernel === "softmax");
  assert.ok(row && row.launches === 1 && row.milliseconds > 0, JSON.stringify(profiled.profile()));
});

test("DEBUG prints launches, shapes and the WGSL", () => {
  const code = `import { openDevice } from "./engine/device.ts";
    import { read } from "./engine/compile.ts";
    import { softmax } from "./engine/ops/softmax.ts";
    import { tensor } from "./engine/tensor.ts";
    await read(await openDevice(), [softmax(tensor(new Float32Array(128), [2, 64]))]);
    process.exit(0);`;
  const [one, two, three] = ["1", "2", "3"].map((DEBUG) => program(code, { DEBUG }));
  assert.match(one, /ms {2}softmax \(softmax\)/);
  assert.not.match(one, /f32\[2, 64\]/);
  assert.match(two, /f32\[2, 64\] 512 B -> f32\[2, 64\] 512 B/);
  assert.match(three, /struct Params/);
});

test.run();
