/** What WebGPU says: its adapter, the lack of one, its kernels' source. */
import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import { openDevice } from "../../engine/open.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";

const { name, device } = await anyWebGPU();
const test = suite(`WebGPU on ${name}`);

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
    `import { openDevice } from "./engine/open.ts";
     await openDevice({ device: "${name}" }).then((d) => console.log("opened", d.description), (e) => console.log(e.name, e.message));
     process.exit(0);`,
    { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" },
  );
  assert.match(
    out,
    /NoDeviceError \[openDevice\] no WebGPU adapter: install a Vulkan driver.*setup\.sh/,
  );
});

test("DEBUG prints launches, shapes and the WGSL", () => {
  const code = `import { openDevice } from "./engine/open.ts";
    import { read } from "./engine/compile.ts";
    import { softmax } from "./engine/ops/softmax.ts";
    import { tensor } from "./engine/tensor.ts";
    await read(await openDevice({ device: "${name}" }), [softmax(tensor(new Float32Array(128), [2, 64]))]);
    process.exit(0);`;
  const [one, two, three] = ["1", "2", "3"].map((DEBUG) => program(code, { DEBUG }));
  assert.match(one, /ms {2}softmax \(softmax\)/);
  assert.not.match(one, /f32\[2, 64\]/);
  assert.match(two, /f32\[2, 64\] 512 B -> f32\[2, 64\] 512 B/);
  assert.match(three, /struct Params/);
});

test("a launch binds the operands that it has, and its parameters", async () => {
  const hardware = await openDevice({ device: name, geometry: "hardware" });
  const bound: number[] = [];
  const { createBindGroup } = GPUDevice.prototype;
  GPUDevice.prototype.createBindGroup = function (this: GPUDevice, made) {
    bound.push([...made.entries].length);
    return createBindGroup.call(this, made);
  };
  try {
    const [x, w, b] = [[4, 8], [16, 8], [16]].map((shape, seed) =>
      tensor(
        Float32Array.from({ length: shape.reduce((n, d) => n * d) }, (_, i) => Math.sin(i + seed)),
        shape,
      ),
    );
    const of = async (f: (x: Tensor, w: Tensor, b: Tensor) => Tensor) =>
      (await compile(hardware, f)(x, w, b)).read();
    const bare = await of((x, w) => linear(x, w));
    const biased = await of(linear);
    await of((x, w, b) => linear(x, w, b, { activation: "gelu" }));
    assert.equal(bound, [4, 5, 6], "x, W and y; bias; what goes into GELU");
    for (let i = 0; i < bare.length; i++) {
      const y = bare[i] + Math.sin((i % 16) + 2);
      assert.ok(Math.abs(biased[i] - y) < 1e-5, `${biased[i]} is ${y}`);
    }
  } finally {
    GPUDevice.prototype.createBindGroup = createBindGroup;
    hardware.destroy();
  }
});

test("hardware gets a run in pieces while the host encodes, with one result", async () => {
  const hardware = await openDevice({ device: name, geometry: "hardware" });
  const submits: number[] = [];
  for (const device of [hardware, await openDevice({ device: name, geometry: "software" })]) {
    const f = compile(device, (x: Tensor) => {
      let y = x;
      for (let i = 0; i < 1300; i++) y = add(y, 1);
      return y;
    });
    await f(tensor(new Float32Array(8)));
    const before = device.stats.submits;
    const y = await f(tensor(Float32Array.from({ length: 8 }, (_, i) => i)));
    submits.push(device.stats.submits - before);
    assert.equal(Array.from(await y.read()), [1300, 1301, 1302, 1303, 1304, 1305, 1306, 1307]);
    device.destroy();
  }
  assert.equal(submits, [3, 1]);
});

test.run();
