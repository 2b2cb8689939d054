import { test } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import { openDevice } from "../../engine/open.ts";
import { countPlan, planOf, type Sum } from "../../tools/gpu/count.ts";
import { optionsOf } from "../../tools/gpu/options.ts";
import { type WorkloadOptions, workload } from "../../tools/gpu/workload.ts";

const total = (sums: ReadonlyMap<string, Sum>, key: keyof Sum): number =>
  [...sums.values()].reduce((sum, each) => sum + each[key], 0);

const count = async (options: WorkloadOptions) => countPlan(await planOf(options));

test("counts as many launches as a device makes", async () => {
  const device = await openDevice({ device: "cpu", threads: 1 });
  for (const part of ["step", "forward", "bert"] as const) {
    const { launches } = await count({ size: "toy", part });
    const { batch, optimizer, parameters, run } = workload({ size: "toy", part });
    for (const p of parameters) device.write(p, new Float32Array(p.size).fill(0.01));
    const before = device.stats.launches;
    const step = compile(device, run);
    const { report } = await step(batch, Uint32Array.of(1, 0, 1, 0), optimizer.scalars(1, 1e-5));
    assert.ok((await report.read()).every(Number.isFinite), part);
    assert.is(launches.length, device.stats.launches - before, part);
  }
  device.destroy();
});

test("each launch is counted once by its kernel and once by its op", async () => {
  const { launches, kernels, ops, products, barriers } = await count({ size: "toy" });
  assert.is(total(kernels, "launches"), launches.length);
  assert.is(total(ops, "launches"), launches.length);
  assert.is(total(products, "launches"), kernels.get("matmul")?.launches);
  assert.is(total(products, "flops"), total(kernels, "flops"));
  assert.ok(barriers > 0 && barriers < launches.length);
});

test("operations of BERT's products, by hand", async () => {
  const { products } = await count({ size: "toy", part: "bert", batch: 3, subject: 4 });
  const [sequences, length, width, inner, words] = [2 * 3, 1 + 4, 24, 48, 110];
  const places = sequences * length;
  const first = places * (4 * width * width + 2 * width * inner);
  // of the second and last layer one place of each sequence is wanted, which needs the keys and values of all
  const last = places * 2 * width * width + sequences * (2 * width * width + 2 * width * inner);
  const head = sequences * (width * width + width * words);
  assert.is(total(products, "flops"), 2 * (first + last + head));
});

test("a smaller binding cuts launches", async () => {
  const plan = await planOf({ size: "toy", part: "bert" });
  assert.ok(countPlan(plan, 8192).launches.length > countPlan(plan).launches.length);
});

test("the step at full size has as many launches as we know of", async () => {
  const { launches } = await count({ size: "full" }); // BART-large, BERT-base, 32 facts, dropouts of 0.1
  assert.is(launches.length, 9406);
  const slim = await count({ size: "slim" });
  assert.ok(Math.abs(slim.launches.length - launches.length) < 10, "slim has as many");
});

test("flags that mean nothing are refused", () => {
  assert.throws(() => optionsOf({ size: "huge" }), /--size huge: choose among full, base/);
  assert.throws(() => optionsOf({ part: "all" }), /--part all: choose among step/);
  assert.throws(() => optionsOf({ batch: "many" }), /--batch many is not a number/);
  assert.equal(optionsOf({ size: "toy", attn: "0" }).attention, 0);
});

test.run();
