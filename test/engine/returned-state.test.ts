/** A result that is a state, or any view of one, shows the value from the start of the run. */
import * as assert from "uvu/assert";
import { compile, type Result, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import {
  concat,
  expand,
  permute,
  reshape,
  slice,
  stopGradient,
  transpose,
} from "../../engine/ops/shape.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("returned state");

const counted = (size: number, from = 0) => Float32Array.from({ length: size }, (_, i) => from + i);
const matrix = (rows: number, columns: number, name = "w"): Tensor =>
  state(name, counted(rows * columns), [rows, columns]);
const values = async (result: Result): Promise<number[]> => [...(await result.read())];
const stateValues = async (device: Device, ...states: Tensor[]): Promise<number[][]> =>
  (await read(device, states)).map((v) => [...v]);

/** Three runs of w := w + 1000, each with the views of w, which must show w as it was. */
async function shows(
  device: Device,
  w: Tensor,
  views: Readonly<Record<string, { view: (w: Tensor) => Tensor; elements: readonly number[] }>>,
): Promise<void> {
  const step = compile(device, () => {
    const results = Object.values(views).map(({ view }) => view(w));
    assign(w, add(w, 1000));
    return results;
  });
  for (let run = 0; run < 3; run++) {
    const results = await step();
    for (const [i, [name, { elements }]] of Object.entries(views).entries()) {
      const want = elements.map((e) => e + 1000 * run);
      assert.equal(await values(results[i]), want, `${name}, run ${run}`);
    }
  }
  const [last] = await stateValues(device, w);
  assert.equal(last[0], 3000);
}

const range = (from: number, to: number): number[] => [...counted(to - from, from)];

test("the state itself, reshaped, without a gradient", (device) =>
  shows(device, matrix(4, 3), {
    itself: { view: (w) => w, elements: range(0, 12) },
    again: { view: (w) => w, elements: range(0, 12) },
    reshaped: { view: (w) => reshape(w, [2, 6]), elements: range(0, 12) },
    stopped: { view: (w) => stopGradient(w), elements: range(0, 12) },
  }));

test("slices at every kind of offset", async (device) => {
  const starts = [0, 1, 63, 64, 65, 127, 128, 129, 192];
  for (const length of [1, 2, 64]) {
    const views = starts.map((at) => [
      `${at} to ${at + length}`,
      { view: (w: Tensor) => slice(w, 0, at, at + length), elements: range(at, at + length) },
    ]);
    await shows(device, state("w", counted(256), [256]), Object.fromEntries(views));
  }
  const rows = [0, 1, 2, 3].map((at) => [
    `row ${at}`,
    { view: (w: Tensor) => slice(w, 0, at, at + 1), elements: range(64 * at, 64 * at + 64) },
  ]);
  await shows(device, matrix(4, 64), Object.fromEntries(rows));
});

test("transposed, expanded and cut along the last axis", (device) =>
  shows(device, matrix(2, 3), {
    transposed: { view: (w) => transpose(w, 0, 1), elements: [0, 3, 1, 4, 2, 5] },
    expanded: { view: (w) => expand(slice(w, 0, 1, 2), [2, 3]), elements: [3, 4, 5, 3, 4, 5] },
    ones: { view: (w) => permute(reshape(w, [2, 1, 3]), [1, 0, 2]), elements: range(0, 6) },
    columns: { view: (w) => slice(w, 1, 1, 3), elements: [1, 2, 4, 5] },
  }));

test("views of views, and windows joined again", (device) =>
  shows(device, matrix(4, 64), {
    chain: {
      view: (w) => slice(reshape(slice(stopGradient(w), 0, 1, 4), [192]), 0, 64, 130),
      elements: range(128, 194),
    },
    odd: {
      view: (w) => reshape(slice(reshape(slice(w, 0, 2, 4), [128]), 0, 1, 5), [2, 2]),
      elements: range(129, 133),
    },
    joined: {
      view: (w) => concat([slice(w, 0, 1, 2), slice(w, 0, 2, 3)], 0),
      elements: range(64, 192),
    },
    exchanged: {
      view: (w) => concat([slice(w, 0, 2, 3), slice(w, 0, 1, 2)], 0),
      elements: [...range(128, 192), ...range(64, 128)],
    },
  }));

test("an update in place: old values and new ones side by side", async (device) => {
  const w = matrix(2, 64);
  const optimizer = new AdamW([w], { weightDecay: 0 });
  const [{ m, v }] = optimizer.moments;
  const step = compile(device, (g: Tensor, scalars: Tensor) => {
    const before = [slice(w, 0, 1, 2), reshape(m, [-1]), v];
    const control = optimizer.update([reshape(g, [2, 64])], scalars, []);
    return { before, w, control };
  });
  for (let run = 1; run <= 3; run++) {
    const old = await stateValues(device, w, m, v);
    const results = await step(new Float32Array(128).fill(run), optimizer.scalars(run, 0.5));
    assert.equal(await values(results.before[0]), old[0].slice(64), `half of w, run ${run}`);
    assert.equal(await values(results.before[1]), old[1], `m, run ${run}`);
    assert.equal(await values(results.before[2]), old[2], `v, run ${run}`);
    assert.equal(await values(results.w), old[0], `w, run ${run}`);
    const [next] = await stateValues(device, w);
    assert.ok(
      next.every((x, i) => Math.abs(old[0][i] - x - 0.5) < 0.1),
      `${next}`,
    );
  }
});

test("two states, one made of the other, and one that is not assigned", async (device) => {
  const [a, b, c] = [matrix(1, 3, "a"), matrix(1, 3, "b"), matrix(1, 3, "c")];
  const step = compile(device, () => {
    assign(a, add(b, 10));
    assign(b, a);
    return { a, b, c, sum: add(a, b) };
  });
  let [x, y] = [range(0, 3), range(0, 3)];
  for (let run = 0; run < 4; run++) {
    const results = await step();
    assert.equal(await values(results.a), x);
    assert.equal(await values(results.b), y);
    assert.equal(await values(results.c), range(0, 3));
    assert.equal(
      await values(results.sum),
      x.map((e, i) => e + y[i]),
    );
    [x, y] = [y.map((e) => e + 10), x];
  }
});

test("states that are exchanged", async (device) => {
  const [a, b] = [matrix(2, 64, "a"), state("b", counted(128, 500), [2, 64])];
  const swap = compile(device, () => {
    assign(a, b);
    assign(b, a);
    return { a, b, half: slice(a, 0, 1, 2) };
  });
  let [x, y] = [range(0, 128), range(500, 628)];
  for (let run = 0; run < 3; run++) {
    const results = await swap();
    assert.equal(await values(results.a), x);
    assert.equal(await values(results.b), y);
    assert.equal(await values(results.half), x.slice(64));
    [x, y] = [y, x];
  }
});

test("a result that is read late, behind another run and a write from the host", async (device) => {
  const w = matrix(1, 3);
  const still = matrix(1, 3, "still");
  const step = compile(device, () => {
    assign(w, mul(w, 2));
    return { w, still };
  });
  const first = await step();
  const second = await step();
  device.write(w, Float32Array.of(7, 7, 7));
  device.write(still, Float32Array.of(8, 8, 8));
  assert.equal(await values(first.w), [0, 1, 2]);
  assert.equal(await values(second.w), [0, 2, 4]);
  assert.equal(await values(first.still), [0, 1, 2]);
  const third = await step();
  assert.equal(await values(third.w), [7, 7, 7]);
  assert.equal(await values(third.still), [8, 8, 8]);
});

test.run();
