/** Whether the matrix units of a GPU compute what they should: products whose every bit is known, before the first of a plan. */
import { chooseMatmul } from "../../../kernels/webgpu/matmul.ts";
import type { Adapter } from "../../../kernels/webgpu/table.ts";
import { paced } from "../host.ts";
import { kernelSource, packParams } from "./kernel-source.ts";

/** Numbers whose rounding to f16 may go wrong, and what they are as f16: ties, the ends of the range, subnormal numbers. */
const ROUNDED: readonly (readonly [given: number, rounded: number])[] = [
  [1 / 3, 0.333251953125],
  [-2049, -2048],
  [2051, 2052],
  [65519, 65504],
  [65520, Number.POSITIVE_INFINITY],
  [-1e30, Number.NEGATIVE_INFINITY],
  [5.5e-5, 923 * 2 ** -24],
  [-1e-7, -(2 ** -23)],
  [2.5 * 2 ** -24, 2 ** -23],
  [2 ** -25, 0],
];

/** Each tile once, with edges in all directions; the batch is what gives the large one its workgroups. */
const SIZES = [
  { M: 36, N: 40, K: 40, batch: 1 },
  { M: 68, N: 72, K: 40, batch: 32 },
];

/** A'[m][k]: small integers, and rows of one number to be rounded with zeros. */
function left(m: number, k: number, rounds: 0 | 1): number {
  if (m < ROUNDED.length) return k === 0 ? ROUNDED[m][rounds] : 0;
  return ((m * 7 + k * 5) % 13) - 6;
}

/** B'[k][n] */
const right = (k: number, n: number): number => (k === 0 ? 1 : ((k * 11 + n * 3) % 15) - 7);

/** `rows` times `columns` values, or the transposed matrix. */
function matrix(
  rows: number,
  columns: number,
  transposed: boolean,
  value: (row: number, column: number) => number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      out[transposed ? j * rows + i : i * columns + j] = value(i, j);
    }
  }
  return out;
}

async function product(
  gpu: GPUDevice,
  adapter: Adapter,
  { M, N, K, batch }: (typeof SIZES)[number],
  transposed: boolean,
): Promise<Float32Array> {
  const TRANS = transposed ? 1 : 0;
  const places = { aOffset: 0, bOffset: 0, cOffset: 0, aBatchStride: 0, bBatchStride: 0 };
  const lines = { lda: transposed ? M : K, ldb: transposed ? K : N, ldc: N };
  const sizes = { M, N, K, batch, cBatchStride: M * N, alpha: 1 };
  const params = Object.assign(sizes, lines, places);
  const constants = { TRANS_A: TRANS, TRANS_B: TRANS };
  const geometry = chooseMatmul(params, constants, adapter);
  const source = await kernelSource(geometry.file, geometry.uses);
  const pipeline = await paced(
    gpu.createComputePipelineAsync({
      layout: "auto",
      compute: {
        module: gpu.createShaderModule({ code: source.code, label: source.name }),
        entryPoint: "main",
        constants: { ...geometry.constants },
      },
    }),
  );
  const record = new Uint8Array(256);
  packParams("matmul", source, params, new DataView(record.buffer), 0);
  const { UNIFORM, STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const made: GPUBuffer[] = [];
  const buffer = (size: number, usage: number): GPUBuffer => {
    const one = gpu.createBuffer({ size, usage });
    made.push(one);
    return one;
  };
  const filled = (data: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>, usage: number) => {
    const one = buffer(data.byteLength, usage | COPY_DST);
    gpu.queue.writeBuffer(one, 0, data);
    return one;
  };
  try {
    const unused = buffer(16, STORAGE);
    const c = buffer(batch * M * N * 4, STORAGE | COPY_SRC);
    const read = buffer(c.size, MAP_READ | COPY_DST);
    const bound = [
      filled(record, UNIFORM),
      filled(
        matrix(M, K, transposed, (m, k) => left(m, k, 0)),
        STORAGE,
      ),
      filled(matrix(K, N, transposed, right), STORAGE),
      unused,
      unused,
      c,
      buffer(16, STORAGE),
    ];
    const entries = bound.map((one, binding) => ({ binding, resource: { buffer: one } }));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    const [x, y, z] = [geometry.groups].flat();
    pass.dispatchWorkgroups(x, y, z);
    pass.end();
    encoder.copyBufferToBuffer(c, 0, read, 0, c.size);
    gpu.queue.submit([encoder.finish()]);
    await paced(read.mapAsync(GPUMapMode.READ));
    return new Float32Array(read.getMappedRange().slice(0));
  } finally {
    for (const one of made) one.destroy();
  }
}

/** What is wrong, in one clause; undefined where nothing is. */
async function difference(gpu: GPUDevice, adapter: Adapter): Promise<string | undefined> {
  for (const sizes of SIZES) {
    const { M, N, K } = sizes;
    const want = matrix(M, N, false, (m, n) => {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += left(m, k, 1) * right(k, n);
      return sum;
    });
    for (const transposed of [false, true]) {
      const got = await product(gpu, adapter, sizes, transposed);
      const at = got.findIndex((value, i) => value !== want[i % want.length]);
      const which = `${M} x ${N} x ${K}${transposed ? ", transposed" : ""}`;
      if (at >= 0) return `element ${at} of ${which} is ${got[at]}, not ${want[at % want.length]}`;
    }
  }
  return undefined;
}

/**
 * What is wrong with the products of an adapter with `units` on a device, in one clause; undefined where they are right in every
 * bit: small integers, and numbers that have to be rounded, in both tiles, as they lie and transposed.
 */
export async function unitsProblem(gpu: GPUDevice, adapter: Adapter): Promise<string | undefined> {
  gpu.pushErrorScope("validation");
  const found = await difference(gpu, adapter).catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  );
  const refused = await paced(gpu.popErrorScope());
  return refused?.message ?? found;
}
