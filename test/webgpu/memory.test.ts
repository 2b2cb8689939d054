/** An adapter that has no more memory: idle plans go first, then one sentence says so, and the device goes on. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { WebGPUDevice } from "../../engine/devices/webgpu/device.ts";
import { OutOfMemoryError } from "../../engine/errors.ts";
import { openDevice } from "../../engine/open.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`WebGPU memory on ${name}`);

/** A device whose adapter refuses buffers beyond `most` bytes, as error scopes report it: no error is thrown, the buffer is invalid. */
async function scarce(most: number): Promise<WebGPUDevice> {
  const device = await openDevice({ device: name });
  if (!(device instanceof WebGPUDevice)) throw new Error("it is WebGPU");
  const { gpu } = device;
  const create = gpu.createBuffer.bind(gpu);
  const pop = gpu.popErrorScope.bind(gpu);
  const push = gpu.pushErrorScope.bind(gpu);
  const scopes: { filter: GPUErrorFilter; refused: boolean }[] = [];
  let used = 0;
  gpu.pushErrorScope = (filter) => {
    scopes.push({ filter, refused: false });
    return push(filter);
  };
  gpu.createBuffer = (descriptor) => {
    const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
    if (scope && used + descriptor.size > most) {
      scope.refused = true;
      // a usage that is in no buffer makes an invalid one, as a refused allocation does
      return create({ ...descriptor, usage: 0 });
    }
    const buffer = create(descriptor);
    used += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      used -= descriptor.size;
      return destroy();
    };
    return buffer;
  };
  gpu.popErrorScope = async () => {
    const scope = scopes.pop();
    const error = await pop();
    return scope?.refused ? ({ message: "no more memory" } as GPUOutOfMemoryError) : error;
  };
  return device;
}

const full = (size: number, value: number): Tensor =>
  tensor(new Float32Array(size).fill(value), [size]);

test("idle plans go until the adapter has memory", async () => {
  const device = await scarce(2_000_000);
  let traces = 0;
  const f = compile(device, (x: Tensor) => {
    traces++;
    return add(x, full(x.size, 1));
  });
  for (let i = 0; i < 30; i++) {
    const { length, 0: value } = await (await f(full(30_000 + i, i))).read();
    assert.equal([length, value], [30_000 + i, i + 1]);
  }
  assert.is(traces, 30);
  assert.is((await (await f(full(30_029, 1))).read())[0], 2);
  assert.is(traces, 30, "the last one has stayed");
  assert.is((await (await f(full(30_000, 1))).read())[0], 2);
  assert.is(traces, 31, "the first one has gone");
  assert.ok(device.stats.bytes <= 2_000_000, `${device.stats.bytes}`);
});

test("what does not fit is refused in a sentence, and leaves nothing", async () => {
  const device = await scarce(2_000_000);
  const f = compile(device, (x: Tensor) => add(x, full(x.size, 1)));
  assert.is((await (await f(full(1000, 1))).read())[0], 2);
  const large = state("a large state", new Float32Array(600_000), [600_000]);
  for (const work of [() => f(full(200_000, 1)), () => read(device, [add(large, 1)])]) {
    let error: unknown;
    try {
      await work();
    } catch (e) {
      error = e;
    }
    assert.instance(error, OutOfMemoryError);
    assert.match(
      String(error),
      /\[webgpu\] (the plan|a large state) needs \d+ bytes beside \d+ in use, but the adapter has no more memory/,
    );
    assert.ok(device.stats.bytes < 200_000, `${device.stats.bytes}`);
    assert.is((await (await f(full(1000, 1))).read())[0], 2, "it still works");
  }
});

test.run();
