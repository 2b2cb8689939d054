/**
 * Precision f16: products round their operands as the host's own f16 does, in both forms of the kernels; copies of matrices are what
 * their states are, whoever wrote those.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { linear, type MatmulOptions, matmul } from "../../engine/ops/matmul.ts";
import { slice } from "../../engine/ops/shape.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, type TypedArray, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { anyWebGPU, openJoined } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`precision f16 on ${name}`);
const precision = "f16";
const hardware = await openDevice({ device: name, geometry: "hardware", precision });
const software = await openDevice({ device: name, geometry: "software", precision });
const joined = await openJoined(name, { precision });
const devices = { hardware, software, joined };
const each = async (run: (device: Device, what: string) => Promise<void>): Promise<void> => {
  for (const [what, device] of Object.entries(devices)) await run(device, what);
};

/** Values in (-1, 1) that depend on `seed` alone. */
function random(n: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const rounded = (values: TypedArray): Float32Array =>
  Float32Array.from(new Float16Array(Array.from(values)));

function same(got: TypedArray, want: TypedArray, what: string): void {
  const at = got.findIndex((v, i) => !Object.is(v, want[i]));
  assert.is(at, -1, `${what}: element ${at} is ${got[at]}, not ${want[at]}`);
}

/** Numbers at which rounding can go wrong: ties, the ends of the range, what f16 has no normal form for. */
const hard = Float32Array.from(
  [
    1,
    1 / 3,
    2049,
    2050,
    2051,
    4098,
    4102,
    65504,
    65519,
    65519.996,
    65520,
    65536,
    1e30,
    Infinity,
    2 ** -14,
    2 ** -14 - 2 ** -26,
    2 ** -24,
    2 ** -25,
    2 ** -25 * 1.001,
    3 * 2 ** -25,
    1e-7,
    5.5e-5,
    0,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    1 + 2 ** -11 + 2 ** -23,
    0.1,
    1000.7,
  ].flatMap((v) => [v, -v]),
);

test("operands are rounded to the nearest of f16, ties to even, beyond its range to infinity", async () => {
  const n = hard.length;
  // each value in a row (a column) of its own with zeros, times a first row (column) of ones
  const spread = new Float32Array(4 * n);
  hard.forEach((v, i) => {
    spread[4 * i] = v;
  });
  const ones = Float32Array.of(1, 0, 0, 0);
  const want = rounded(hard).map((v) => v + 0); // a sum of -0 and 0 is 0
  await each(async (device, what) => {
    const four = new Float32Array(16).fill(1, 0, 4);
    const [left, odd, right] = await read(device, [
      matmul(tensor(spread, [n, 4]), tensor(four, [4, 4])),
      matmul(tensor(hard, [n, 1]), tensor([1], [1, 1])),
      matmul(tensor(ones, [1, 4]), tensor(spread, [n, 4]), { transB: true }),
    ]);
    // the form for software multiplies what lies beyond K by zero: infinity becomes NaN there, at f32 too
    const finite = (v: number, i: number): number =>
      device === software && !Number.isFinite(want[i]) && Number.isNaN(v) ? want[i] : v;
    same(left.filter((_, i) => i % 4 === 0).map(finite), want, `${what}, left`);
    same(odd.map(finite), want, `${what}, an odd product`);
    same(right.map(finite), want, `${what}, right`);
  });
});

test("a product is that of rounded operands in float64", async () => {
  for (const [form, [M, N, K]] of [
    [{}, [36, 40, 520]],
    [{ transB: true }, [68, 900, 44]],
    [{ transA: true, transB: true, scale: -0.25 }, [33, 37, 261]],
  ] as [MatmulOptions, number[]][]) {
    const [a, b] = [random(M * K, 1), random(K * N, 2)];
    const [a16, b16] = [rounded(a), rounded(b)];
    const { transA = false, transB = false, scale = 1 } = form;
    for (const device of [hardware, software]) {
      const y = matmul(
        tensor(a, transA ? [K, M] : [M, K]),
        tensor(b, transB ? [N, K] : [K, N]),
        form,
      );
      const [got] = await read(device, [y]);
      for (let at = 0; at < M * N; at += 97) {
        const [i, j] = [Math.floor(at / N), at % N];
        let want = 0;
        for (let k = 0; k < K; k++) {
          want += a16[transA ? k * M + i : i * K + k] * b16[transB ? j * K + k : k * N + j];
        }
        const difference = Math.abs(got[at] - scale * want);
        assert.ok(difference < 2e-5, `${M}x${N}x${K}, ${at}: ${difference}`);
      }
    }
  }
});

/** What a step of AdamW needs beside the gradient. */
const options = { weightDecay: 0.1, decays: () => true };

test("a matrix that is trained is read from its copy, which AdamW writes", async () => {
  const [rows, N, K] = [12, 24, 40];
  const [x, start, g] = [random(rows * K, 3), random(N * K, 4), random(N * K, 5)];
  await each(async (device, what) => {
    const w = state("w", start, [N, K]);
    const optimizer = new AdamW([w], options);
    const step = compile(device, (input: Tensor, gradient: Tensor, scalars: Tensor) => {
      const y = linear(input, w);
      optimizer.update([gradient], scalars, []);
      return y;
    });
    const input = tensor(x, [rows, K]);
    const launches: number[] = [];
    for (let i = 1; i <= 4; i++) {
      const [before] = await read(device, [w]);
      // a constant has no copy: it is rounded as it is loaded
      const [want] = await read(device, [linear(input, tensor(before as Float32Array, [N, K]))]);
      const begun = device.stats.launches;
      const y = await step(input, tensor(g, [N, K]), optimizer.scalars(i, 0.1));
      launches.push(device.stats.launches - begun);
      same(await y.read(), want, `${what}, step ${i}`);
    }
    assert.is(launches[0], launches[1] + 1, "the copy is made once");
    assert.equal(launches.slice(1), launches.slice(2).concat(launches[1]), "and written by AdamW");
  });
});

test("a copy follows its state, whoever writes it", async () => {
  const [rows, N, K] = [5, 16, 16];
  const x = tensor(random(rows * K, 6), [rows, K]);
  await each(async (device, what) => {
    const w = state("w", random(2 * N * K, 7), [2 * N, K]);
    const product = compile(device, (input: Tensor) => linear(input, slice(w, 0, N, 2 * N)));
    const double = compile(device, (input: Tensor) => {
      assign(w, mul(w, 2));
      return linear(input, w);
    });
    const held = async (how: string): Promise<void> => {
      const [now] = await read(device, [w]);
      const half = tensor((now as Float32Array).slice(N * K), [N, K]);
      const [want] = await read(device, [linear(x, half)]);
      same(await (await product(x)).read(), want, `${what}, ${how}`);
    };
    await held("as it was made");
    await double(x);
    await held("assigned");
    device.write(w, random(2 * N * K, 8));
    await held("written");
    await device.fill(
      w,
      (async function* () {
        yield random(N * K, 9);
        yield random(N * K, 10);
      })(),
    );
    await held("filled");
    // a plan without products, whose step is not taken while the copy is stale
    const optimizer = new AdamW([w], options);
    const update = compile(device, (gradient: Tensor, scalars: Tensor) => {
      return optimizer.update([gradient], scalars, []);
    });
    for (const bad of [Number.NaN, 1]) {
      device.write(w, random(2 * N * K, 11));
      const gradient = new Float32Array(2 * N * K).fill(0.5);
      gradient[3] = bad;
      await update(tensor(gradient, [2 * N, K]), optimizer.scalars(1, 0.1));
      await held(`updated with ${bad}`);
    }
  });
});

test("what is no product stays f32", async () => {
  const x = tensor(random(64, 12), [64]);
  await each(async (device) => {
    const [got] = await read(device, [add(x, x)]);
    same(
      got,
      (await read(device, [x]))[0].map((v) => 2 * v),
      "a sum",
    );
  });
});

test("the CPU refuses it with the remedy", async () => {
  const error = await openDevice({ device: "cpu", precision }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.match(String(error), /precision f16 is for GPUs.*leave the precision out/);
});

test.after(() => {
  for (const device of Object.values(devices)) device.destroy();
});

test.run();
