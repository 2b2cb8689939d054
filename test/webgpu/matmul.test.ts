/**
 * Products as hardware runs them, large and small, their K split or whole, against sums in float64;
 * and rows that are long enough to be shared by more lanes.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import { topK } from "../../engine/ops/argmax.ts";
import { linear, linearOp, type MatmulOptions, matmul } from "../../engine/ops/matmul.ts";
import { max, sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { apply, type Tensor, type TypedArray, tensor } from "../../engine/tensor.ts";
import { chooseMatmul, matmulChunks } from "../../kernels/webgpu/matmul.ts";
import { anyWebGPU } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`products in the hardware form on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });
const hardware = {
  software: false,
  subgroupSize: 32,
  maxWorkgroupStorage: 16384,
  maxStorageBuffers: 10,
};

/** Values in (-1, 1) that depend on `seed` alone. */
function random(n: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Halves in (-1, 1), as bits and as numbers. */
function halves(n: number, seed: number): { bits: Uint16Array; values: Float32Array } {
  const bits = Uint16Array.from(random(n, seed), (v) => {
    const fraction = Math.floor(Math.abs(v) * 1024) & 1023;
    return (v < 0 ? 0x8000 : 0) | (14 << 10) | fraction;
  });
  const values = Float32Array.from(bits, (b) => ((b >> 15 ? -1 : 1) * (1 + (b & 1023) / 1024)) / 2);
  return { bits, values };
}

type Sizes = readonly [M: number, N: number, K: number];
type Check = { at: number; want: number };

/** Some elements of the product, in float64: the corners, and others spread over it. */
function expected(
  [M, N, K]: Sizes,
  a: TypedArray,
  b: TypedArray,
  { transA = false, transB = false, scale = 1 }: MatmulOptions,
): Check[] {
  const count = Math.min(M * N, 1500);
  return Array.from({ length: count }, (_, q) => {
    const at = Math.floor((q * (M * N - 1)) / Math.max(1, count - 1));
    const [i, j] = [Math.floor(at / N), at % N];
    let total = 0;
    for (let k = 0; k < K; k++) {
      total += a[transA ? k * M + i : i * K + k] * b[transB ? j * K + k : k * N + j];
    }
    return { at, want: scale * total };
  });
}

function agree(got: TypedArray, checks: readonly Check[], what: string): void {
  const top = Math.max(...checks.map(({ want }) => Math.abs(want)));
  for (const { at, want } of checks) {
    const tolerance = 1e-5 + 1e-5 * top;
    assert.ok(Math.abs(got[at] - want) <= tolerance, `${what}: ${at} is ${got[at]}, not ${want}`);
  }
}

/** What a device computes, twice: the same bits. */
async function twice(on: Device, tensors: readonly Tensor[]): Promise<TypedArray[]> {
  const [first, second] = [await read(on, tensors), await read(on, tensors)];
  first.forEach((values, i) => {
    const at = values.findIndex((v, k) => !Object.is(v, second[i][k]));
    assert.is(at, -1, `element ${at} of result ${i} differs from run to run`);
  });
  return first;
}

const stored = (rows: number, columns: number, turned: boolean): number[] =>
  turned ? [columns, rows] : [rows, columns];

async function product(sizes: Sizes, options: MatmulOptions, chunks: number): Promise<void> {
  const [M, N, K] = sizes;
  const { transA = false, transB = false } = options;
  const what = `${M}x${N}x${K} ${JSON.stringify(options)}`;
  assert.is(matmulChunks({ M, N, K, batch: 1 }, hardware), chunks, what);
  const [a, b] = [random(M * K, 1), halves(K * N, 2)];
  const left = tensor(a, stored(M, K, transA));
  const wide = matmul(left, tensor(b.values, stored(K, N, transB)), options);
  const narrow = matmul(left, tensor(b.bits, stored(K, N, transB), "f16"), options);
  const [got, gotHalf] = await twice(device, [wide, narrow]);
  const checks = expected(sizes, a, b.values, options);
  agree(got, checks, what);
  agree(gotHalf, checks, `${what} f16`);
}

const forms: readonly MatmulOptions[] = [
  {},
  { transB: true },
  { transA: true },
  { transA: true, transB: true, scale: -0.25 },
];

test("few rows: K is split, in fours and odd", async () => {
  for (const form of forms) {
    await product([36, 40, 520], form, 4);
    await product([33, 37, 523], form, 4);
  }
});

test("chunks that are not a power of two, the last one short; one row, one column", async () => {
  await product([4, 8, 2100], {}, 14);
  await product([1, 1, 2100], { transB: true }, 14);
  await product([3, 5, 257], { transA: true }, 2);
});

test("many rows: large tiles, K whole", async () => {
  for (const form of forms) {
    await product([604, 900, 40], form, 1);
    await product([601, 901, 41], form, 1);
  }
});

test("many rows: large tiles, K split", async () => {
  await product([516, 1000, 1028], { transB: true }, 2);
  await product([513, 1001, 1025], { transA: true, scale: 0.5 }, 2);
});

test("halves whose number fills no 16 bytes", async () => {
  await product([64, 4, 3], { transA: true }, 1);
  await product([64, 4, 259], { transA: true }, 2);
});

test("a split product has bias, GELU, its input and a residual", async () => {
  for (const [M, N, K] of [
    [36, 40, 520],
    [33, 37, 523],
  ] as const) {
    assert.ok(matmulChunks({ M, N, K, batch: 1 }, hardware) > 1);
    const [x, w, bias, residual] = [
      random(M * K, 3).map((v) => v / 8),
      random(N * K, 4),
      random(N, 5),
      random(M * N, 6),
    ];
    const inputs = [
      tensor(x, [M, K]),
      tensor(w, [N, K]),
      tensor(bias),
      tensor(residual, [M, N]),
    ] as const;
    const both = apply(linearOp, inputs, { bias: true, residual: true, gelu: true });
    const plain = [
      linear(inputs[0], inputs[1], inputs[2]),
      linear(inputs[0], inputs[1], undefined, { residual: inputs[3] }),
    ];
    const [y, pre, biased, added] = await twice(device, [...both, ...plain]);
    const sums = expected([M, N, K], x, w, { transB: true });
    const shift = (by: (at: number, want: number) => number): Check[] =>
      sums.map(({ at, want }) => ({ at, want: by(at, want) }));
    const before = (at: number, want: number): number => want + bias[at % N];
    agree(pre, shift(before), "pre");
    agree(biased, shift(before), "bias");
    agree(
      added,
      shift((at, want) => want + residual[at]),
      "residual",
    );
    const gelu = (v: number): number => 0.5 * v * (1 + erf(v / Math.SQRT2));
    agree(
      y,
      shift((at, want) => gelu(before(at, want)) + residual[at]),
      "all",
    );
  }
});

/** The error function as its series in float64. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

test("split products add to what windows before them have left", async () => {
  const small = await openDevice({ device: name, geometry: "hardware", maxBinding: 262144 });
  const [M, N, K] = [5, 64, 3000]; // B is three bindings of 1024 rows
  const [a, b] = [random(M * K, 7), random(K * N, 8)];
  const options = { scale: 0.5 };
  const y = matmul(tensor(a, [M, K]), tensor(b, [K, N]), options);
  const [got] = await twice(small, [y]);
  agree(got, expected([M, N, K], a, b, options), "windows");
  small.destroy();
});

test("a plan binds again when another one has grown the scratch", async () => {
  const fresh = await openDevice({ device: name, geometry: "hardware" });
  const multiply = compile(fresh, (a: Tensor, b: Tensor) => matmul(a, b, { transB: true }));
  const run = async ([M, N, K]: Sizes): Promise<void> => {
    const [a, b] = [random(M * K, 9), random(N * K, 10)];
    const y = await multiply(tensor(a, [M, K]), tensor(b, [N, K]));
    agree(await y.read(), expected([M, N, K], a, b, { transB: true }), `${M}x${N}x${K}`);
  };
  await run([4, 8, 512]);
  const bytes = fresh.stats.bytes;
  await run([64, 256, 512]);
  assert.ok(fresh.stats.bytes >= bytes + 4 * 4 * (64 * 256 - 4 * 8), "the scratch is counted");
  await run([4, 8, 512]);
  fresh.destroy();
});

test("what is not finite stays in its row and its column", async () => {
  for (const [M, N, K] of [
    [36, 40, 520],
    [33, 37, 523],
  ] as const) {
    // behind the last step of row 0 lies row 1, in both operands
    const [a, b] = [random(M * K, 12), random(N * K, 13)];
    a.fill(Number.POSITIVE_INFINITY, K, K + 32);
    b.fill(Number.NaN, K, K + 32);
    const y = matmul(tensor(a, [M, K]), tensor(b, [N, K]), { transB: true });
    const [got] = await twice(device, [y]);
    const bad = (at: number): boolean => Math.floor(at / N) === 1 || at % N === 1;
    assert.is(
      got.findIndex((v, at) => Number.isFinite(v) === bad(at)),
      -1,
    );
  }
});

test("the split follows from the shape", () => {
  const chunks = (M: number, N: number, K: number, batch = 1): number =>
    matmulChunks({ M, N, K, batch }, hardware);
  const rows32 = [
    [1024, 1024, 8],
    [1024, 4096, 16],
    [1024, 18432, 16],
    [3072, 1024, 4],
    [4096, 1024, 4],
    [18544, 1024, 1],
  ];
  for (const [N, K, want] of rows32) assert.is(chunks(32, N, K), want, `32x${N}x${K}`);
  assert.is(chunks(1024, 1024, 704), 1);
  assert.is(chunks(512, 1024, 1024), 2);
  assert.is(chunks(512, 1024, 4096), 4);
  assert.is(chunks(4096, 4096, 4096), 1);
  assert.is(chunks(16, 16, 4096, 512), 1, "the products of a batch fill a GPU");
  for (const K of [256, 300, 999, 4096, 18544]) {
    const steps = Math.ceil(K / 32);
    const taken = chunks(32, 512, K);
    assert.ok((taken - 1) * Math.ceil(steps / taken) < steps, `no chunk of ${K} is empty`);
  }
  const tile = (M: number, N: number): string | undefined =>
    chooseMatmul({ M, N, K: 64, batch: 1 }, {}, hardware).uses.find((f) => /tile_/.test(f));
  assert.is(tile(32, 18544), "lib/tile_32x32");
  assert.is(tile(512, 1024), "lib/tile_64x64");
});

test("long rows, shared by more lanes", async () => {
  for (const cols of [4096, 5003]) {
    const x = random(3 * cols, 11);
    const rows = tensor(x, [3, cols]);
    const best = topK(rows, 2);
    const [y, ids, largest, total] = await twice(device, [
      softmax(rows),
      best.indices,
      max(rows, -1),
      sum(rows, -1),
    ]);
    for (let r = 0; r < 3; r++) {
      const row = Array.from(x.subarray(r * cols, (r + 1) * cols));
      const sorted = row.map((v, j) => [v, j]).sort((p, q) => q[0] - p[0] || p[1] - q[1]);
      assert.equal([...ids.subarray(2 * r, 2 * r + 2)], [sorted[0][1], sorted[1][1]]);
      assert.is(largest[r], sorted[0][0]);
      assert.ok(Math.abs(total[r] - row.reduce((s, v) => s + v, 0)) < 1e-3);
      const whole = row.reduce((s, v) => s + Math.exp(v), 0);
      row.forEach((v, j) => {
        const want = Math.exp(v) / whole;
        assert.ok(Math.abs(y[r * cols + j] - want) <= 1e-5 * want, `softmax ${r}, ${j}`);
      });
    }
  }
});

test.run();
