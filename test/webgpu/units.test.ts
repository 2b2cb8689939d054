/**
 * Products on matrix units: in plain WGSL in the place of the built-ins they are those of rounded operands in float64; the built-ins compile on Dawn's null backend; a device whose units are wrong goes without them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { create } from "webgpu";
import { paced } from "../../engine/devices/host.ts";
import { hasUnits } from "../../engine/devices/webgpu/adapter.ts";
import { triedUnits, WebGPUDevice } from "../../engine/devices/webgpu/device.ts";
import {
  kernelSource,
  packParams,
  withoutBindings,
} from "../../engine/devices/webgpu/kernel-source.ts";
import { unitsProblem } from "../../engine/devices/webgpu/units.ts";
import { openDevice } from "../../engine/open.ts";
import type { WebGPUKernel } from "../../kernels/manifest.ts";
import {
  type Adapter,
  type Geometry,
  geometryOf,
  type Numbers,
} from "../../kernels/webgpu/table.ts";
import { anyWebGPU } from "../devices.ts";
import { folder } from "../promptgen/fixture.ts";

const { name } = await anyWebGPU();
const test = suite(`products on matrix units on ${name}`);
const device = await openDevice({
  device: name,
  geometry: "hardware",
  precision: "f16",
  units: false,
});
if (!(device instanceof WebGPUDevice)) throw new Error("WebGPU is another device");
const products = device;
const { gpu, adapter } = products;
const PLAIN = ["../../test/webgpu/units_plain", "lib/half"];
const plain: Adapter = { ...adapter, units: PLAIN };

/** Values in (-1, 1) that depend on `seed` alone. */
function random(n: number, seed: number): Float32Array<ArrayBuffer> {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A launch of a product's kernel: what it reads, and how many numbers it writes into each output. */
type Trial = {
  readonly kernel: WebGPUKernel;
  readonly params: Numbers;
  readonly constants: Numbers;
  readonly inputs: readonly (Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>)[];
  readonly outputs: readonly number[];
};

/** All that a launch writes. */
async function outputsOf(trial: Trial, on: Adapter): Promise<Float32Array[]> {
  const { kernel, params, constants, inputs, outputs } = trial;
  const geometry = geometryOf(kernel, params, constants, on);
  const source = await kernelSource(geometry.file, geometry.uses);
  const { UNIFORM, STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const made = (bytes: Uint8Array<ArrayBuffer>, usage: number): GPUBuffer => {
    const buffer = gpu.createBuffer({
      size: Math.max(16, bytes.byteLength),
      usage: usage | COPY_DST,
    });
    gpu.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  };
  const record = new Uint8Array(256);
  packParams(kernel, source, params, new DataView(record.buffer), 0);
  const read = inputs.map((x) => made(new Uint8Array(x.buffer), STORAGE));
  const written = outputs.map((n) => made(new Uint8Array(4 * n), STORAGE | COPY_SRC));
  const bound = [made(record, UNIFORM), ...read, ...written];
  if (source.uniform) bound.push(made(new Uint8Array(16), UNIFORM));
  const { pipeline, layout } = await products.pipeline(source, geometry.constants);
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
  const [x, y, z] = [geometry.groups].flat();
  pass.dispatchWorkgroups(x, y, z);
  pass.end();
  const back = written.map((from) => {
    const to = gpu.createBuffer({ size: from.size, usage: MAP_READ | COPY_DST });
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
    return to;
  });
  gpu.queue.submit([encoder.finish()]);
  return Promise.all(
    back.map(async (buffer) => {
      await paced(buffer.mapAsync(GPUMapMode.READ));
      return new Float32Array(buffer.getMappedRange().slice(0));
    }),
  );
}

const rounded = (x: ArrayLike<number>): Float32Array =>
  Float32Array.from(new Float16Array(Array.from(x)));

/** The sum over k of first .. last - 1 of operands rounded to f16, in float64. */
function sum(
  { params: p, constants }: Trial,
  [a, b]: readonly Float32Array[],
  m: number,
  n: number,
  [first, last]: readonly [number, number],
): number {
  const transA = constants.TRANS_A === 1;
  const transB = constants.TRANS_B === 1;
  let total = 0;
  for (let k = first; k < last; k++) {
    total += a[transA ? k * p.lda + m : m * p.lda + k] * b[transB ? n * p.ldb + k : k * p.ldb + n];
  }
  return total;
}

function near(got: number, want: number, what: string): void {
  const difference = Math.abs(got - want);
  assert.ok(difference < 2e-5, `${what}: ${difference}`);
}

const offsets = { aOffset: 0, bOffset: 0, cOffset: 0, aBatchStride: 0, bBatchStride: 0 };
const forward = { BIAS: 0, ACTIVATION: 0, RESIDUAL: 0, ACCUMULATE: 0, B_DTYPE: 0 };

/** A product on matmul_tile: `batch` of them, or chunks of one. */
function tiled(
  [M, N, K]: readonly number[],
  [TRANS_A, TRANS_B]: readonly number[],
  batch: number,
  more: Numbers,
): Trial {
  const lines = { lda: TRANS_A ? M : K, ldb: TRANS_B ? K : N, ldc: N };
  return {
    kernel: "matmul",
    params: { M, N, K, ...lines, ...offsets, batch, cBatchStride: M * N, alpha: 1 },
    constants: { ...forward, TRANS_A, TRANS_B, ...more },
    inputs: [random(M * K, 1), random(K * N, 2), random(4, 3), random(4, 3)],
    outputs: [batch * M * N, 4],
  };
}

const [tilesPass, other] = await (async () => {
  const apart = await openDevice({ device: name, geometry: "hardware", precision: "f16" });
  if (!(apart instanceof WebGPUDevice)) throw new Error("WebGPU is another device");
  return [unitsProblem(apart.gpu, plain), apart] as const; // compiles while the other tests do
})();

test("a product in chunks, odd sizes", async () => {
  const [M, N, K] = [33, 37, 101]; // odd
  const trial = tiled([M, N, K], [1, 0], 3, { SPLIT: 1 });
  const [got] = await outputsOf(trial, plain);
  const operands = trial.inputs.slice(0, 2).map(rounded);
  for (let at = 0; at < 3 * M * N; at += 7) {
    const chunk = Math.floor(at / (M * N));
    const [m, n] = [Math.floor((at % (M * N)) / N), at % N];
    const steps: readonly [number, number] = [64 * chunk, Math.min(K, 64 * chunk + 64)];
    near(
      got[at],
      steps[0] < K ? sum(trial, operands, m, n, steps) : 0,
      `chunk ${chunk}, ${m}, ${n}`,
    );
  }
});

test("parts of two products over halves", async () => {
  const [M, N, K, products, chunks] = [20, 36, 72, 2, 2];
  const trial: Trial = {
    kernel: "matmul_parts",
    params: { M, N, K, lda: K, ldb: K, products, chunks },
    constants: { TRANS_B: 1, B_DTYPE: 1 },
    inputs: [1, 2, 3, 4, 5, 6].map((seed) =>
      seed % 2 === 1
        ? random(M * K, seed)
        : new Uint16Array(new Float16Array(random(N * K, seed)).buffer),
    ),
    outputs: [products * chunks * M * N],
  };
  const [got] = await outputsOf(trial, plain);
  for (let at = 0; at < got.length; at += 5) {
    const part = Math.floor(at / (M * N));
    const [product, chunk] = [Math.floor(part / chunks), part % chunks];
    const b = new Float16Array(trial.inputs[2 * product + 1].buffer);
    const operands = [rounded(trial.inputs[2 * product]), Float32Array.from(b)];
    const [m, n] = [Math.floor((at % (M * N)) / N), at % N];
    near(
      got[at],
      sum(trial, operands, m, n, [64 * chunk, Math.min(K, 64 * chunk + 64)]),
      `${part}, ${m}, ${n}`,
    );
  }
});

test("two products of one x", async () => {
  const [M, N, K] = [35, 40, 72];
  const trial: Trial = {
    kernel: "matmul_each",
    params: { M, N, K, lda: K, ldb: K, products: 2 },
    constants: { TRANS_B: 1, B_DTYPE: 0, BIAS: 1 },
    inputs: [M * K, N * K, N * K, 4, N, N, 4].map(random),
    outputs: [M * N, M * N, 4],
  };
  const got = await outputsOf(trial, plain);
  for (const q of [0, 1]) {
    const operands = [trial.inputs[0], trial.inputs[1 + q]].map(rounded);
    for (let at = 0; at < M * N; at += 3) {
      const [m, n] = [Math.floor(at / N), at % N];
      const want = sum(trial, operands, m, n, [0, K]) + trial.inputs[4 + q][n];
      near(got[q][at], want, `product ${q}, ${m}, ${n}`);
    }
  }
});

test("a product with its end", async () => {
  const [M, N, K] = [35, 52, 72];
  const ends = { ACTIVATION: 0, DROPOUT: 0, SLOPE: 0, BIAS: 1, RESIDUAL: 1 };
  const trial: Trial = {
    kernel: "matmul_end",
    params: { M, N, K, lda: K, ldb: N, ldc: N, cOffset: 0, alpha: 0.5, op: 0, keep: 1, rescale: 1 },
    constants: { TRANS_B: 0, B_DTYPE: 0, ...ends },
    inputs: [random(M * K, 1), random(K * N, 2), random(N, 3), random(M * N, 4), random(4, 5)],
    outputs: [M * N, 4],
  };
  const [got] = await outputsOf(trial, plain);
  const operands = trial.inputs.slice(0, 2).map(rounded);
  for (let at = 0; at < M * N; at += 3) {
    const [m, n] = [Math.floor(at / N), at % N];
    const want =
      0.5 * sum(trial, operands, m, n, [0, K]) + trial.inputs[2][n] + trial.inputs[3][at];
    near(got[at], want, `${m}, ${n}`);
  }
});

/** The gradient of a matrix, and what is made beside it. */
async function gradient([M, N, K, K1]: readonly number[], constants: Numbers): Promise<void> {
  const trial: Trial = {
    kernel: "matmul_gradient",
    params: { M, N, K, K1, lda: M, ldb: N, rows: 0, at: 0 },
    constants: { SQUARES: 0, ...constants },
    inputs: [random(K * M, 1), random(K * N, 2), random(K1 * M, 3), random(K1 * N, 4)],
    outputs: [M * N, 4, M],
  };
  const [got, , sums] = await outputsOf(trial, plain);
  const operands = trial.inputs.map(rounded);
  const transposed = { ...trial, constants: { TRANS_A: 1, TRANS_B: 0 } };
  for (let at = 0; at < M * N; at += 11) {
    const [m, n] = [Math.floor(at / N), at % N];
    let want = sum(transposed, operands, m, n, [0, K]);
    if (constants.PAIR === 1) want += sum(transposed, operands.slice(2), m, n, [0, K1]);
    near(got[at], want, `${M} x ${N} x ${K}, ${m}, ${n}`);
  }
  const ones = new Float32Array(K * N).fill(1);
  for (let m = 0; constants.SUMS === 1 && m < M; m++) {
    near(sums[m], sum(transposed, [operands[0], ones], m, 0, [0, K]), `the sum of row ${m}`);
  }
}

test("a gradient of two products in one", () => gradient([36, 40, 45, 70], { SUMS: 0, PAIR: 1 }));

test("a gradient and the sums of its rows, in large tiles", () =>
  gradient([68, 4060, 44, 1], { SUMS: 1, PAIR: 0 }));

test("what units compute is held to every bit at opening: both tiles, both transposes", async () => {
  assert.is(await tilesPass, undefined);
});

const work = folder({});

/** The plain units with one thing wrong. */
function wrong(find: string, put: string): string[] {
  const text = readFileSync(new URL("units_plain.wgsl", import.meta.url), "utf8");
  assert.ok(text.includes(find), find);
  writeFileSync(join(work, "units.wgsl"), text.replace(find, put));
  const kernels = fileURLToPath(new URL("../../kernels/webgpu", import.meta.url));
  return [relative(kernels, join(work, "units")), "lib/half"];
}

test("a device whose units are wrong goes without them and says so", async () => {
  const opened = {
    device: gpu,
    software: true,
    units: true,
    name: "it",
    build: "b",
    description: "d",
  };
  const options = { geometry: "hardware", precision: "f16", debug: 1 } as const;
  const said: unknown[] = [];
  const { error } = console;
  console.error = (text: unknown) => said.push(text);
  try {
    // rounded towards zero, and the built-ins on a device without the features
    for (const files of [
      wrong("return packed(v);", "return packed(v * 0.9999f);"),
      ["lib/units"],
    ]) {
      const { named, units } = await triedUnits({ ...opened }, options, files);
      assert.is(units, undefined);
      assert.is(named.description, "d, without its matrix units, which failed a test");
      assert.is(named.build, "b");
    }
  } finally {
    console.error = error;
  }
  assert.match(String(said[0]), /left unused: element 80 of 36 x 40 x 40 is 2050, not 2052/);
  assert.match(String(said[1]), /left unused: .*extension 'f16' is not allowed/s);
  assert.is(said.length, 2);
});

test("units are those of 32 threads, 16 x 16 x 16, f16 to f32", () => {
  const features = new Set(["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"]);
  const config = { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 };
  const has = (more: object, on: ReadonlySet<string> = features): boolean => {
    const info = {
      subgroupMinSize: 32,
      subgroupMaxSize: 32,
      subgroupMatrixConfigs: [config],
      ...more,
    };
    return hasUnits({ features: on, info } as unknown as GPUAdapter);
  };
  assert.is(has({}), true);
  assert.is(has({ subgroupMatrixConfigs: undefined }), false);
  assert.is(has({ subgroupMatrixConfigs: [{ ...config, resultComponentType: "f16" }] }), false);
  assert.is(has({ subgroupMatrixConfigs: [{ ...config, K: 8 }] }), false);
  assert.is(has({ subgroupMaxSize: 64 }), false);
  assert.is(has({}, new Set(["shader-f16", "subgroups"])), false);
});

test("the built-ins compile, in every kernel and both tiles", async () => {
  const nothing = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  Object.defineProperty(globalThis, "__nothing", { value: nothing }); // Dawn crashes when it is collected
  const found = await nothing.requestAdapter();
  const features = [
    "shader-f16",
    "subgroups",
    "subgroup-size-control",
    "chromium-experimental-subgroup-matrix",
  ];
  const on = await found?.requestDevice({ requiredFeatures: features as GPUFeatureName[] });
  if (!on) throw new Error("Dawn has no null backend");
  const real: Adapter = { ...adapter, units: ["lib/units"] };
  const shapes = [
    { M: 36, N: 40, K: 40 },
    { M: 512, N: 2048, K: 40 },
    { M: 37, N: 41, K: 43 },
  ];
  const forms: readonly [WebGPUKernel, Numbers, Numbers][] = [
    ["matmul", { ...offsets, cBatchStride: 0, batch: 1, alpha: 1 }, { TRANS_A: 0, TRANS_B: 1 }],
    ["matmul", { ...offsets, cBatchStride: 0, batch: 1, alpha: 1 }, { TRANS_A: 1, TRANS_B: 0 }],
    ["matmul_parts", { products: 2, chunks: 2 }, { TRANS_B: 1, B_DTYPE: 1 }],
    ["matmul_end", { cOffset: 0 }, { TRANS_B: 0, B_DTYPE: 0 }],
    ["matmul_each", { products: 3 }, { TRANS_B: 1, B_DTYPE: 0, BIAS: 0 }],
    ["matmul_gradient", { rows: 0, at: 0 }, { SUMS: 1, SQUARES: 1, PAIR: 1 }],
  ];
  const tiles = new Set<string>();
  for (const shape of shapes) {
    const { M, N, K } = shape;
    for (const [kernel, more, constants] of forms) {
      const params = { ...shape, lda: constants.TRANS_A ? M : K, ldb: N, ldc: N, ...more };
      const geometry: Geometry = geometryOf(kernel, params, constants, real);
      const source = await kernelSource(geometry.file, geometry.uses);
      const absent = kernel === "matmul_each" ? [5, 6, 7] : []; // without biases it binds seven
      const { code } = withoutBindings(source, absent);
      tiles.add(`${geometry.file} ${geometry.uses[0]}`);
      assert.match(code, /^enable f16;\nenable subgroups;\n/);
      // this adapter has subgroups of 4 to 128; units are taken where they have 32 alone
      const pinned = `enable subgroup_size_control;\n${code.replace("@compute", "@compute @subgroup_size(32)")}`;
      await on.createComputePipelineAsync({
        layout: "auto",
        compute: { module: on.createShaderModule({ code: pinned }), entryPoint: "main", constants },
      });
    }
  }
  assert.is(tiles.size, 10);
  on.destroy();
});

test.after(() => {
  for (const one of [device, other]) one.destroy();
});

test.run();
