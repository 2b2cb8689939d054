/**
 * Attention over a table in one pass, on a GPU's form of the kernels: beside plain sums in float64, with what is masked or not
 * finite, and where it must not be taken.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import { joinRules } from "../../engine/devices/webgpu/chunks.ts";
import { grad } from "../../engine/grad.ts";
import type { JoinRules } from "../../engine/joins.ts";
import type { Join, Launch } from "../../engine/op.ts";
import { argmax } from "../../engine/ops/argmax.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { makePlan } from "../../engine/plan.ts";
import { withTableAttention } from "../../engine/table-attention.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { anyWebGPU, openJoined } from "../devices.ts";

const { name } = await anyWebGPU();
const test = suite(`attention over a table on ${name}`);
const device = await openJoined(name);
const hardware = {
  software: false,
  subgroupSize: 32,
  maxWorkgroupStorage: 16384,
  maxStorageBuffers: 10,
};
const rules = joinRules(hardware, 2 ** 27) as JoinRules;

/** Values in (-scale, scale) that depend on `seed` alone. */
function random(n: number, seed: number, scale = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1) * scale;
  });
}

type Sizes = { readonly rows: number; readonly words: number; readonly width: number };

/** `more`: more is wanted of y than the mean. */
type Case = Sizes & { readonly more: boolean };
type Inputs = {
  readonly x: Float32Array;
  readonly table: Float32Array;
  readonly bias: Float32Array;
  /** The gradient of the mean, and what else is wanted of y. */
  readonly up: Float32Array;
  readonly residual: Float32Array | undefined;
};

/** Scores differ by tens from word to word, maxima of tiles by several; all are far below zero, and the last word counts. */
const inputsOf = (one: Case): Inputs => {
  const { rows, words, width } = one;
  return {
    x: random(rows * width, 1, 24 / Math.sqrt(width)),
    table: random(words * width, 2),
    bias: random(words, 3, 8).map((b, n) => (n === words - 1 ? -40 : b - 50)),
    up: random(rows * width, 4),
    residual: one.more ? random(rows * words, 5, 3) : undefined,
  };
};

type Args = { x: Tensor; table: Tensor; bias: Tensor; up: Tensor; residual?: Tensor };

/** What somebody who averages a table's rows writes, and its gradients. */
function attended({ x, table, bias, up, residual }: Args) {
  const scores = linear(x, table, bias);
  const best = argmax(scores);
  const y = softmax(scores);
  const mean = matmul(y, table);
  const loss = sum(mul(mean, up));
  const all = residual ? add(loss, sum(mul(y, residual))) : loss;
  const [dx, dbias] = grad(all, [x, bias]);
  return { scores, best, y, mean, dx, dbias };
}

const tensorsOf = ({ rows, words, width }: Sizes, given: Inputs): Args => ({
  x: tensor(given.x, [rows, width]),
  table: tensor(given.table, [words, width]),
  up: tensor(given.up, [rows, width]),
  bias: tensor(given.bias),
  ...(given.residual ? { residual: tensor(given.residual, [rows, words]) } : {}),
});

type Values = Record<string, ArrayLike<number>>;

async function run(sizes: Sizes, given: Inputs): Promise<Values> {
  const results = Object.entries(await compile(device, attended)(tensorsOf(sizes, given)));
  const values = await Promise.all(results.map(([, result]) => result.read()));
  return Object.fromEntries(results.map(([key], i) => [key, values[i]]));
}

/** The same in float64; `scores` as f32 has them where they are masked. */
function reference({ rows, words, width }: Sizes, given: Inputs): Values {
  const out = {
    scores: new Float64Array(rows * words),
    best: new Float64Array(rows),
    y: new Float64Array(rows * words),
    mean: new Float64Array(rows * width),
    dx: new Float64Array(rows * width),
    dbias: new Float64Array(words),
  };
  const { x, table, bias, up, residual } = given;
  for (let m = 0; m < rows; m++) {
    const scores = out.scores.subarray(m * words, (m + 1) * words);
    const y = out.y.subarray(m * words, (m + 1) * words);
    for (let n = 0; n < words; n++) {
      let score = bias[n];
      for (let k = 0; k < width; k++) score += x[m * width + k] * table[n * width + k];
      scores[n] = Math.abs(score) > 1e20 ? Math.fround(score) : score;
    }
    const largest = scores.reduce((a, b) => Math.max(a, b));
    out.best[m] = scores.indexOf(largest);
    const total = scores.reduce((all, score) => all + Math.exp(score - largest), 0);
    const dy = new Float64Array(words);
    for (let n = 0; n < words; n++) {
      y[n] = Math.exp(scores[n] - largest) / total;
      dy[n] = residual?.[m * words + n] ?? 0;
      for (let k = 0; k < width; k++) {
        out.mean[m * width + k] += y[n] * table[n * width + k];
        dy[n] += up[m * width + k] * table[n * width + k];
      }
    }
    const dot = dy.reduce((all, d, n) => all + d * y[n], 0);
    for (let n = 0; n < words; n++) {
      const d = y[n] * (dy[n] - dot);
      out.dbias[n] += d;
      for (let k = 0; k < width; k++) {
        out.dx[m * width + k] += d * table[n * width + k];
      }
    }
  }
  return out;
}

/** Holds every result to the reference, within so much of the largest value of each. */
function close(got: Values, want: Values, label: string): void {
  for (const [key, values] of Object.entries(got)) {
    const wanted = want[key];
    assert.is(values.length, wanted.length, `${label}: ${key}`);
    const real = Array.from(wanted, Math.abs).filter((value) => value < 1e20);
    const within = key === "best" ? 0 : 2e-5 * Math.max(...real.slice(0, 1e5), 1e-3);
    for (let i = 0; i < values.length; i++) {
      const exact = Object.is(values[i], wanted[i]) || values[i] === wanted[i];
      if (exact || Math.abs(values[i] - wanted[i]) <= within) continue;
      if (Math.abs(wanted[i]) > 1e20 && Math.abs(values[i] / wanted[i] - 1) < 1e-6) continue;
      throw new Error(`${label}: element ${i} of ${key} is ${values[i]}, not ${wanted[i]}`);
    }
  }
}

const kernelsOf = (given: Args, joins: JoinRules | undefined): string[] =>
  makePlan(Object.values(attended(given)), [], [], joins).launches.map(({ kernel }) => kernel);

/** Four at a time where rows and columns of the table are multiples of four, else one by one. */
const CASES: readonly Case[] = [
  { rows: 1, words: 300, width: 40, more: true },
  { rows: 32, words: 256, width: 516, more: true },
  { rows: 33, words: 644, width: 64, more: true },
  { rows: 5, words: 131, width: 37, more: false },
  { rows: 64, words: 1027, width: 45, more: false },
  { rows: 2, words: 257 * 128 + 1, width: 5, more: false }, // more tiles than threads
];

test("forward and backward beside sums in float64, the same bits twice", async () => {
  for (const one of CASES) {
    const label = JSON.stringify(one);
    const given = inputsOf(one);
    const kernels = kernelsOf(tensorsOf(one, given), device.joins);
    for (const kernel of ["table_attention", "table_attention_backward"]) {
      assert.is(kernels.filter((other) => other === kernel).length, 1, `${label}: ${kernel}`);
    }
    assert.not.ok(
      kernels.some((kernel) => kernel.startsWith("softmax")),
      label,
    );
    const [got, again] = [await run(one, given), await run(one, given)];
    close(got, reference(one, given), label);
    for (const [key, values] of Object.entries(got)) {
      const at = Array.from(values).findIndex((value, i) => !Object.is(value, again[key][i]));
      assert.is(at, -1, `${label}: element ${at} of ${key} differs from run to run`);
    }
  }
});

const masked: Case = { rows: 3, words: 301, width: 23, more: false };

test("masked words have no share, a tile of them neither; all masked have equal ones", async () => {
  for (const low of [-1e30, Number.NEGATIVE_INFINITY]) {
    const given = inputsOf(masked);
    given.bias.fill(low, 0, 131); // the first tile, and some
    given.bias.fill(low, 290);
    const got = await run(masked, given);
    close(got, reference(masked, given), `masked by ${low}`);
    for (const n of [0, 127, 128, 130, 290, 300]) assert.is(got.y[n], 0);
  }
  const given = inputsOf(masked);
  given.bias.fill(-1e30);
  const got = await run(masked, given);
  close(got, reference(masked, given), "all masked");
  assert.ok(Math.abs(got.y[7] * masked.words - 1) < 1e-5);
});

test("what is not finite stays so, in its row", async () => {
  const wrong = async (one: Case, change: (given: Inputs) => void) => {
    const given = inputsOf(one);
    change(given);
    const { y, mean, dx } = await run(one, given);
    const finite = (values: ArrayLike<number>): string =>
      Array.from({ length: one.rows }, (_, m) => {
        const row = Array.from(values)
          .slice((m * values.length) / one.rows)
          .slice(0, values.length / one.rows);
        return row.every(Number.isFinite) ? "finite" : row.some(Number.isFinite) ? "some" : "none";
      }).join(" ");
    return [finite(y), finite(mean), finite(dx)];
  };
  const [fine, second, none] = ["finite finite finite", "finite none finite", "none none none"];
  const wider: Case = { rows: 3, words: 300, width: 24, more: true };
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const one of [masked, wider]) {
      const { width } = one;
      const x = await wrong(one, (given) => given.x.fill(bad, width + 3, width + 4));
      assert.equal(x, [second, second, second], `x has ${bad}`);
      const up = await wrong(one, (given) => given.up.fill(bad, width + 3, width + 4));
      assert.equal(up, [fine, fine, second], `the gradient has ${bad}`);
    }
    const bias = await wrong(masked, (given) => given.bias.fill(bad, 150, 151));
    assert.equal(bias, [none, none, none], `the bias has ${bad}`);
    const last = 2 * wider.words - 1;
    const residual = await wrong(wider, (given) => given.residual?.fill(bad, last, last + 1));
    assert.equal(residual, [fine, fine, second], `the residual has ${bad}`);
  }
  const low = await wrong(masked, (given) => given.bias.fill(Number.NEGATIVE_INFINITY));
  assert.equal(low, [none, none, none], "no word is left, as in softmax");
});

test("a device takes it for large tables and few rows", () => {
  const taken = (sizes: Sizes, joins: JoinRules | undefined = rules): number => {
    const given = inputsOf({ ...sizes, more: true });
    return kernelsOf(tensorsOf(sizes, given), joins).filter((k) => k.startsWith("table")).length;
  };
  assert.is(taken({ rows: 2, words: 4096, width: 4 }), 2);
  assert.is(taken({ rows: 2, words: 4095, width: 4 }), 0);
  assert.is(taken({ rows: 64, words: 4096, width: 4 }), 2);
  assert.is(taken({ rows: 65, words: 4096, width: 4 }), 0);
  const sizes = { rows: 2, words: 4096, width: 4 };
  assert.is(taken(sizes, { ...rules, largest: 4096 * 4 * 4 - 1 }), 0, "a table beyond a binding");
  assert.is(taken(sizes, { ...rules, tableBytes: () => rules.largest + 1 }), 0, "parts beyond one");
  const half = joinRules({ ...hardware, half: true }, 2 ** 27);
  assert.is(taken(sizes, half), 0, "f16");
});

const [M, N, K] = [2, 8, 4];
const data = (...shape: [number, number]): Tensor =>
  tensor(new Float32Array(shape[0] * shape[1]), shape);

/** Launches as the planner has them, one for each step of `attended`; no tensor is a window of another. */
function steps() {
  const t = {
    x: data(M, K),
    table: data(N, K),
    scores: data(M, N),
    y: data(M, N),
    mean: data(M, K),
    up: data(M, K),
    part: data(M, N),
    residual: data(M, N),
    dy: data(M, N),
    dscores: data(M, N),
    dx: data(M, K),
  };
  const product = (a: Tensor, c: Tensor, TRANS_B: 0 | 1): Launch => {
    const [n, k] = TRANS_B ? [N, K] : [K, N];
    const offsets = { aOffset: 0, bOffset: 0, cOffset: 0 };
    const strides = { aBatchStride: 0, bBatchStride: 0, cBatchStride: 0 };
    const sizes = { M, N: n, K: k, lda: k, ldb: K, ldc: n, batch: 1, alpha: 1 };
    return {
      kernel: "matmul",
      constants: {
        TRANS_A: 0,
        TRANS_B,
        BIAS: 0,
        ACTIVATION: 0,
        RESIDUAL: 0,
        ACCUMULATE: 0,
        B_DTYPE: 0,
      },
      params: { ...sizes, ...offsets, ...strides },
      inputs: [a, t.table, null, null],
      outputs: [c, null],
    };
  };
  const params = { rows: M, cols: N };
  const added = [t.part, t.residual, null, null, null, null];
  const launches: Record<string, Launch> = {
    scores: product(t.x, t.scores, 1),
    softmax: { kernel: "softmax", params, inputs: [t.scores], outputs: [t.y] },
    mean: product(t.y, t.mean, 0),
    part: product(t.up, t.part, 1),
    dy: {
      kernel: "add_n",
      constants: { COUNT: 2 },
      params: { n: M * N },
      inputs: added,
      outputs: [t.dy],
    },
    dscores: { kernel: "softmax_backward", params, inputs: [t.y, t.dy], outputs: [t.dscores] },
    dx: product(t.dscores, t.dx, 0),
  };
  return { t, launches };
}

const writing = (y: Tensor): Launch => ({
  kernel: "fill",
  params: { n: y.size, bits: 0 },
  inputs: [],
  outputs: [y],
});
const reading = (x: Tensor): Launch => ({
  kernel: "unary",
  constants: { OP: 0 },
  params: { n: x.size },
  inputs: [x],
  outputs: [data(x.shape[0], x.shape[1])],
});

/** The kernels that are left with `more` behind the launch called `behind`. */
function left(
  behind?: string,
  more?: (t: ReturnType<typeof steps>["t"]) => Launch,
  kept?: "part" | "dy",
): string {
  const { t, launches } = steps();
  const all = Object.entries(launches).flatMap(([key, launch]) =>
    key === behind && more ? [launch, more(t)] : [launch],
  );
  const made: readonly { launch: Launch | Join }[] = withTableAttention(
    all.map((launch) => ({ op: launch.kernel, launch })),
    {
      rules: { ...rules, tableRows: 1 },
      place: (root) => ({ root, offset: 0 }),
      kept: (root) => kept !== undefined && root === t[kept],
    },
  );
  return made.map(({ launch }) => launch.kernel).join(" ");
}

test("nothing is joined across what touches what it reads or writes", () => {
  const [forward, backward] = ["table_attention", "table_attention_backward"];
  const plain = "matmul add_n softmax_backward matmul";
  assert.is(left(), `${forward} ${backward}`);
  // read by others, or written where nobody looks any more
  assert.is(
    left("scores", (t) => reading(t.scores)),
    `${forward} unary ${backward}`,
  );
  assert.is(
    left("mean", (t) => reading(t.mean)),
    `${forward} unary ${backward}`,
  );
  assert.is(
    left("scores", (t) => writing(t.x)),
    `${forward} fill ${backward}`,
  );
  assert.is(
    left("dy", (t) => writing(t.residual)),
    `${forward} ${backward} fill`,
  );
  // the residual is made behind the first of them
  assert.is(
    left("part", (t) => writing(t.residual)),
    `${forward} fill ${backward}`,
  );
  // the forward pass as it was, and so the backward one
  assert.is(
    left("softmax", (t) => writing(t.table)),
    `matmul softmax fill matmul ${plain}`,
  );
  assert.is(
    left("scores", (t) => writing(t.scores)),
    `matmul fill softmax matmul ${plain}`,
  );
  // what the backward pass would read is another by then
  for (const key of ["table", "y", "mean"] as const) {
    assert.is(
      left("mean", (t) => writing(t[key])),
      `${forward} fill ${plain}`,
      key,
    );
  }
  // what it would not write is wanted
  for (const key of ["part", "dy"] as const) {
    assert.is(
      left("dx", (t) => reading(t[key])),
      `${forward} ${plain} unary`,
      key,
    );
    assert.is(left(undefined, undefined, key), `${forward} ${plain}`, key);
  }
});

test.run();
