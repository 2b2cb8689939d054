/** Dropout inside `compile`, attention's too: which mask is drawn when, how often elements fall out, the gradient. */
import * as assert from "uvu/assert";
import { compile, type Result, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { attention } from "../../engine/ops/attention.ts";
import { dropout } from "../../engine/ops/dropout.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { ones } from "../../engine/ops/fill.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, permute, reshape, slice } from "../../engine/ops/shape.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("randomness");
const n = 40_001;
const state = (...words: number[]): Tensor => tensor(Uint32Array.from(words), [4]);

const trace = (x: Tensor, rng: Tensor) => {
  const first = dropout(x, 0.25, rng);
  const second = dropout(x, 0.25, rng);
  const [dx] = grad(sum(first), [x]);
  return { first, second, dx };
};

type Draw = { first: Result; second: Result; dx: Result };
const values = async (draw: Promise<Draw>): Promise<{ [K in keyof Draw]: Float32Array }> => {
  const { first, second, dx } = await draw;
  const floats = async (r: Result) => (await r.read()) as Float32Array;
  return { first: await floats(first), second: await floats(second), dx: await floats(dx) };
};

const x = tensor(new Float32Array(n).fill(3), [n]);
/** What a random state gives on a device. */
const drawOn = (device: Device) => {
  const run = compile(device, trace);
  return (...words: number[]) => values(run(x, state(...words)));
};
const same = (a: Float32Array, b: Float32Array): number => a.filter((v, i) => v === b[i]).length;

test("a quarter falls out, the rest grows by 4 / 3", async (device) => {
  const draw = drawOn(device);
  const { first } = await draw(1, 2, 3, 4);
  const kept = first.filter((v) => v !== 0);
  assert.ok(kept.every((v) => Math.abs(v - 4) < 1e-6));
  // five standard deviations of a binomial share
  assert.ok(Math.abs(kept.length / n - 0.75) < 5 * Math.sqrt((0.25 * 0.75) / n));
});

test("the gradient falls out with its element", async (device) => {
  const draw = drawOn(device);
  const { first, dx } = await draw(1, 2, 3, 4);
  assert.ok(dx.every((v, i) => Math.abs(v - first[i] / 3) < 1e-6));
});

test("the same state draws the same mask", async (device) => {
  const draw = drawOn(device);
  const a = await draw(1, 2, 3, 4);
  const b = await draw(1, 2, 3, 4);
  assert.is(same(a.first, b.first), n);
  assert.is(same(a.second, b.second), n);
});

test("another op, seed, step or micro-step draws an independent mask", async (device) => {
  const draw = drawOn(device);
  const { first, second } = await draw(1, 2, 3, 4);
  const others = [second];
  for (const words of [
    [9, 2, 3, 4],
    [1, 9, 3, 4],
    [1, 2, 9, 4],
    [1, 2, 3, 9],
  ]) {
    others.push((await draw(...words)).first);
  }
  // two independent masks agree with probability 0.75^2 + 0.25^2
  const agree = 0.75 ** 2 + 0.25 ** 2;
  for (const other of others) {
    const share = same(first, other) / n;
    assert.ok(Math.abs(share - agree) < 5 * Math.sqrt((agree * (1 - agree)) / n), `${share}`);
  }
});

const [B, T, H, D] = [2, 5, 3, 8];
const scale = 0.7;
type Attend = (q: Tensor, k: Tensor, v: Tensor, p: number, rng: Tensor) => Tensor;

const fused: Attend = (q, k, v, p, rng) =>
  attention(q, k, v, undefined, { heads: H, scale, dropout: { p, rng } });

const apart: Attend = (q, k, v, p, rng) => {
  const heads = (t: Tensor) => permute(reshape(t, [B, T, H, D]), [0, 2, 1, 3]);
  const w = softmax(matmul(heads(q), heads(k), { transB: true, scale }));
  return reshape(permute(matmul(dropout(w, p, rng), heads(v)), [0, 2, 1, 3]), q.shape);
};

test("attention draws what dropout in its place draws, and so do the ops behind it", async (device) => {
  const parameter = (seed: number): Tensor =>
    tensor(
      Float32Array.from({ length: B * T * H * D }, (_, i) => Math.sin(i * 0.7 + seed * 1.3)),
      [B, T, H * D],
    );
  const results = await Promise.all(
    [fused, apart].map(async (attend) => {
      const run = compile(device, (q: Tensor, k: Tensor, v: Tensor, rng: Tensor) => {
        const first = attend(dropout(q, 0.2, rng), k, v, 0.3, rng);
        const second = attend(dropout(first, 0.2, rng), k, v, 0.5, rng);
        const third = attend(second, k, v, 0, rng); // no dropout, no stream
        const y = dropout(add(first, third), 0.1, rng);
        return [y, ...grad(sum(mul(y, parameter(4))), [q, k, v])];
      });
      const out = await run(parameter(1), parameter(2), parameter(3), state(1, 2, 3, 4));
      return Promise.all(out.map((r) => r.read()));
    }),
  );
  results[0].forEach((got, j) => {
    const want = results[1][j];
    let worst = 0;
    for (const [i, x] of got.entries()) worst = Math.max(worst, Math.abs(x - want[i]));
    assert.ok(
      worst < 1e-5 && [...want].some((x) => Math.abs(x) > 0.1),
      `result ${j} is off by ${worst}`,
    );
  });
});

test("random state that is made on the way is there until the last draw", async (device) => {
  const run = compile(device, (words: Tensor) => {
    const rng = concat([slice(words, 0, 2, 4), slice(words, 0, 0, 2)], 0);
    let y = x;
    for (let i = 0; i < 4; i++) y = dropout(softmax(mul(y, 2)), 0.25, i < 3 ? words : rng);
    return y;
  });
  const made = await (await run(state(3, 4, 1, 2))).read();
  const given = compile(device, (words: Tensor, rng: Tensor) => {
    let y = x;
    for (let i = 0; i < 4; i++) y = dropout(softmax(mul(y, 2)), 0.25, i < 3 ? words : rng);
    return y;
  });
  const want = await (await given(state(3, 4, 1, 2), state(1, 2, 3, 4))).read();
  assert.is(same(made as Float32Array, want as Float32Array), n);
});

test("no dropout is no op", () => {
  const y = ones([3]);
  assert.is(dropout(y, 0, state(1, 2, 3, 4)), y);
});

test("outside a trace too, dropouts of one state draw other masks, and the same graph the same", async (device) => {
  const build = () => {
    const rng = state(1, 2, 3, 4);
    const draws = [dropout(x, 0.25, rng), dropout(x, 0.25, rng), dropout(ones([n]), 0.25, rng)];
    return [...draws, ...grad(sum(draws[1]), [x])];
  };
  const [first, second, third, dx] = await read(device, build());
  const agree = 0.75 ** 2 + 0.25 ** 2;
  const masks = [first, second, third].map((y) => Float32Array.from(y, (v) => (v === 0 ? 0 : 1)));
  for (const [a, b] of [
    [0, 1],
    [0, 2],
    [1, 2],
  ]) {
    const share = same(masks[a], masks[b]) / n;
    assert.ok(Math.abs(share - agree) < 5 * Math.sqrt((agree * (1 - agree)) / n), `${share}`);
  }
  assert.ok(
    dx.every((v, i) => (v === 0) === (second[i] === 0)),
    "the gradient has its own mask",
  );
  const again = build();
  // whatever else is read with them
  const [alone] = await read(device, [again[1]]);
  assert.equal(alone, second);
  assert.equal(await read(device, again), [first, second, third, dx]);
});

test.run();
