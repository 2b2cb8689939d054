/**
 * `npx node tools/commands/spike-matmul.ts [--only REGEX]`: times the matmul kernels alone on this machine's adapter, shape by shape, with an
 * empty shader cache. Prints the table of docs/performance.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { paced } from "../../engine/devices/host.ts";
import { openAdapter } from "../../engine/devices/webgpu/adapter.ts";
import { kernelSource, packParams } from "../../engine/devices/webgpu/kernel-source.ts";
import { chooseMatmul } from "../../kernels/webgpu/matmul.ts";

const { values: args } = parseArgs({ options: { only: { type: "string", default: "" } } });

type Shape = readonly [name: string, M: number, N: number, K: number, forms: readonly string[]];
const every = ["NN", "NT", "TN"];
const shapes: readonly Shape[] = [
  ["square", 256, 256, 256, every],
  ["square", 512, 512, 512, every],
  ["square", 1024, 1024, 1024, every],
  ["square, odd", 511, 511, 511, every],
  ["projection", 256, 256, 256, ["NT"]],
  ["feed-forward in", 256, 1024, 256, ["NT", "NN"]],
  ["feed-forward out", 256, 256, 1024, ["NT", "NN"]],
  ["weight gradient", 1024, 256, 256, ["TN"]],
  ["weight gradient", 256, 1024, 256, ["TN"]],
  ["small", 32, 128, 128, every],
  ["small", 32, 512, 128, ["NT"]],
  ["small", 32, 128, 512, ["NT"]],
  ["small, vocabulary", 32, 1500, 128, ["NT"]],
  ["small, vocabulary", 32, 128, 1500, ["NN"]],
  ["rows", 1600, 128, 128, ["NT"]],
  ["rows", 1600, 512, 128, ["NT"]],
  ["rows, vocabulary", 1600, 1500, 128, ["NT"]],
  ["one row", 1, 1024, 1024, ["NT"]],
];

const median = (values: number[]): number =>
  values.sort((x, y) => x - y)[Math.floor(values.length / 2)];

/** Milliseconds of processor time this process has used, all threads together. */
function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const cache = mkdtempSync(join(tmpdir(), "shaders-"));
process.env.MESA_SHADER_CACHE_DIR = cache;
process.on("exit", () => rmSync(cache, { recursive: true, force: true }));
const { device, software, name } = await openAdapter({ device: "auto" });
const adapter = {
  software,
  subgroupSize: device.features.has("subgroups") ? device.adapterInfo.subgroupMinSize : 0,
  maxWorkgroupStorage: device.limits.maxComputeWorkgroupStorageSize,
};

function buffer(elements: number, fill: boolean): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const made = device.createBuffer({ size: Math.max(16, elements * 4), usage });
  if (fill) {
    // a fixed sequence in [-0.5, 0.5): speed does not depend on the values, denormals apart
    const values = Float32Array.from(
      { length: elements },
      (_, i) => ((i * 7919) % 1000) / 1e3 - 0.5,
    );
    device.queue.writeBuffer(made, 0, values);
  }
  return made;
}

const pipelines = new Map<string, GPUComputePipeline>();

async function time([label, M, N, K, forms]: Shape): Promise<void> {
  const a = buffer(M * K, true);
  const b = buffer(K * N, true);
  const c = buffer(M * N, false);
  const dummies = [buffer(4, false), buffer(4, false)];
  for (const form of forms) {
    const transA = form[0] === "T";
    const transB = form[1] === "T";
    const params = {
      M,
      N,
      K,
      lda: transA ? M : K,
      ldb: transB ? K : N,
      ldc: N,
      aOffset: 0,
      bOffset: 0,
      cOffset: 0,
      batch: 1,
      batch2: 1,
      alpha: 1,
      aBatchStride: 0,
      bBatchStride: 0,
      cBatchStride: 0,
      aBatchStride2: 0,
      bBatchStride2: 0,
      cBatchStride2: 0,
    };
    const selectors = { TRANS_A: Number(transA), TRANS_B: Number(transB) };
    const { file, uses, constants, groups } = chooseMatmul(params, selectors, adapter);
    const source = await kernelSource(file, uses);
    const block = new DataView(new ArrayBuffer(256));
    packParams(file, source, params, block, 0);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const uniform = device.createBuffer({ size: 256, usage });
    device.queue.writeBuffer(uniform, 0, block.buffer);

    const key = JSON.stringify([file, uses, constants]);
    const known = pipelines.get(key);
    const started = performance.now();
    const pipeline =
      known ??
      device.createComputePipeline({
        layout: "auto",
        compute: { module: device.createShaderModule({ code: source.code }), constants },
      });
    pipelines.set(key, pipeline);
    const bound = [uniform, a, b, dummies[0], dummies[0], c, dummies[1]];
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bound.map((held, binding) => ({ binding, resource: { buffer: held } })),
    });
    const [x, y, z] = typeof groups === "number" ? [groups, 1, 1] : groups;
    const run = (times: number): Promise<undefined> => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < times; i++) pass.dispatchWorkgroups(x, y, z);
      pass.end();
      device.queue.submit([encoder.finish()]);
      return paced(device.queue.onSubmittedWorkDone());
    };
    await run(1);
    const first = performance.now() - started;

    const flops = 2 * M * N * K;
    const times = Math.max(1, Math.round(1e8 / flops)); // some milliseconds a sample
    const walls: number[] = [];
    const cpus: number[] = [];
    for (let i = 0; i < 7; i++) {
      const [wall, used] = [performance.now(), cpu()];
      await run(times);
      walls.push((performance.now() - wall) / times);
      cpus.push((cpu() - used) / times);
    }
    const ms = median(walls);
    const rate = (spent: number): string => (flops / spent / 1e6).toFixed(1);
    const cold = known ? "" : Math.max(0, first - ms).toFixed(0);
    const cells = [label, `${M} x ${N} x ${K}`, form, ms.toFixed(2), rate(ms), rate(median(cpus))];
    console.log(`| ${[...cells, file, cold].join(" | ")} |`);
    uniform.destroy();
  }
  for (const held of [a, b, c, ...dummies]) held.destroy();
}

console.log(`${name}\n`);
console.log(
  "| what | M x N x K | form | ms | GFLOPS | GFLOPS a core | kernel | cold compile, ms |",
);
console.log("|---|---|---|---|---|---|---|---|");
const only = new RegExp(args.only);
for (const shape of shapes) if (only.test(shape[0])) await time(shape);
process.exit(0);
