/** What plans are said to take of the CPU's memory, against what a device hands out for them. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { bytesOnCPU } from "../../engine/devices/cpu/needs.ts";
import { packsOf } from "../../engine/devices/cpu/program.ts";
import { firstPlan } from "../../engine/devices/onlooker.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { tanh } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { AdamW } from "../../engine/optim.ts";
import type { Plan } from "../../engine/plan.ts";
import { state, stateName, type Tensor, tensor } from "../../engine/tensor.ts";

const test = suite("needs on cpu");

const values = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i) / 10);

for (const rows of [8, 300]) {
  test(`a step and an evaluation of ${rows} rows take what is said, nearly to the byte`, async () => {
    const [width, inner] = [384, 1000];
    const up = state("up", values(inner * width), [inner, width]);
    const down = state("down", values(width * inner), [width, inner]);
    const frozen = state("frozen", values(width * width), [width, width]);
    const x = tensor(values(rows * width), [rows, width]);
    const optimizer = new AdamW([up, down], { weightDecay: 0, maxNorm: 1 });
    const out = (input: Tensor) => linear(linear(tanh(linear(input, up)), down), frozen);
    const step = (device: Device) =>
      compile(device, (input: Tensor, scalars: Tensor) => {
        const loss = mean(out(input));
        optimizer.update(grad(loss, [up, down]), scalars, [loss]);
        return { loss };
      })(x, optimizer.scalars(1, 1e-3));
    const evaluation = (device: Device) => compile(device, (input: Tensor) => mean(out(input)))(x);
    const plans: Plan[] = [];
    for (const run of [step, evaluation]) {
      const plan = await firstPlan(run);
      if (plan) plans.push(plan);
    }
    const said = await bytesOnCPU(plans);
    const device = await openDevice({ device: "cpu", threads: 2 });
    await (await step(device)).loss.read();
    await (await evaluation(device)).read();
    const taken = device.stats.bytes;
    const least = 4 * (3 * 2 * width * inner + width * width);
    assert.ok(taken > least, `${taken} bytes hold parameters and moments, ${least}`);
    // what is kept in panels alone is there as it is while it is packed
    const passing = frozen.bytes;
    const more = said - passing - taken;
    assert.ok(Math.abs(more) < 65536, `said ${said}, of which ${passing} pass, taken ${taken}`);
  });
}

/** Names of the parameters that a plan keeps in panels, all of them where they take `small` bytes or fewer. */
async function packed(
  run: (device: Device) => Promise<unknown>,
  small?: number,
): Promise<string[]> {
  const plan = await firstPlan(run);
  const packs = packsOf(plan?.launches ?? [], small);
  return [...new Set(packs.flatMap((pack) => (pack ? [stateName(pack.state)] : [])))].sort();
}

test("panels are kept where packing as a product goes would cost more than a tenth of it", async () => {
  const width = 64;
  const weight = (name: string) => state(name, values(width * width), [width, width]);
  const kept = (rows: number, times: number) => {
    const w = weight("w");
    const parts = Array.from({ length: times }, (_, i) =>
      tensor(values(rows * width + i).slice(i), [rows, width]),
    );
    return packed((device) => compile(device, () => parts.map((x) => linear(x, w)))(), 0);
  };
  assert.equal(await kept(8, 1), ["w"], "1/8");
  assert.equal(await kept(16, 1), [], "1/16");
  assert.equal(await kept(16, 2), ["w"], "2/16");
  assert.equal(await kept(96, 9), [], "9/96");
  assert.equal(await kept(96, 10), ["w"], "10/96");
  assert.equal(await kept(97, 30), [], "products of many rows do not count");
});

test("panels of what a step changes are kept for several products, not for one", async () => {
  const width = 64;
  const [once, often] = ["once", "often"].map((name) =>
    state(name, values(width * width), [width, width]),
  );
  const optimizer = new AdamW([once, often], { weightDecay: 0, maxNorm: 1 });
  const x = tensor(values(4 * width), [4, width]);
  const step = (device: Device) =>
    compile(device, (input: Tensor, scalars: Tensor) => {
      const deep = [1, 2, 3].reduce((h) => tanh(linear(h, often)), input);
      const loss = mean(linear(deep, once));
      optimizer.update(grad(loss, [once, often]), scalars, [loss]);
      return { loss };
    })(x, optimizer.scalars(1, 1e-3));
  assert.equal(await packed(step, 0), ["often"]);
});

test("all panels are kept where together they are small", async () => {
  const [narrow, wide] = [8, 24].map((width) =>
    state(`${width} wide`, values(16 * width), [width, 16]),
  );
  const x = tensor(values(300 * 16), [300, 16]);
  const run = (device: Device) =>
    compile(device, () => [linear(x, narrow), linear(x, wide), linear(x, wide)])();
  const bytes = 4 * 16 * (8 + 24); // two products of one packing share it
  assert.equal(await packed(run, bytes), ["24 wide", "8 wide"]);
  assert.equal(await packed(run, bytes - 1), []);
  assert.equal(await packed(run), ["24 wide", "8 wide"]);
});

test.run();
