/**
 * Products that are joined with what follows on them, and steps of decoding whose gradients of keys are, on a GPU's form of the
 * kernels: a block of layers with every kind of join and a small decoder beside PyTorch in float64, dropout beside the CPU, and
 * what must stay apart.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { firstJoined } from "../../engine/devices/onlooker.ts";
import { chunked, joinRules, type StepLaunch } from "../../engine/devices/webgpu/chunks.ts";
import { grad } from "../../engine/grad.ts";
import { type JoinRules, withJoins } from "../../engine/joins.ts";
import type { Join, Launch } from "../../engine/op.ts";
import { openDevice } from "../../engine/open.ts";
import { gradNorm } from "../../engine/ops/adamw.ts";
import { attention } from "../../engine/ops/attention.ts";
import { columnSums } from "../../engine/ops/column-sums.ts";
import { dropout } from "../../engine/ops/dropout.ts";
import { add, addN, mul, relu } from "../../engine/ops/elementwise.ts";
import { layerNorm } from "../../engine/ops/layernorm.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { scatterAdd } from "../../engine/ops/scatter-add.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { type AnyPlan, makePlan } from "../../engine/plan.ts";
import { type Tensor, type TypedArray, tensor } from "../../engine/tensor.ts";
import { anyWebGPU, openJoined } from "../devices.ts";
import { closeForward, closeGradients, ModelGolden } from "../models/parity.ts";

const { name } = await anyWebGPU();
const test = suite(`joins in the hardware form on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });
/** The same where all that can be joined is. */
const eager = await openJoined(name);
const hardware = {
  software: false,
  subgroupSize: 32,
  maxWorkgroupStorage: 16384,
  maxStorageBuffers: 10,
};
const rules = joinRules(hardware, 2 ** 27) as JoinRules;
const always: JoinRules = { ...rules, splits: () => true };

/** Values in (-1, 1) that depend on `seed` alone, as tools/reference_joins.py has them. */
function random(n: number, seed: number, scale = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1) * scale;
  });
}

type Sizes = readonly [rows: number, d: number, k: number, inner: number];
const SIZES: Readonly<Record<string, Sizes>> = {
  even: [36, 264, 40, 64],
  odd: [33, 265, 37, 61],
  short: [36, 72, 40, 64],
  shortOdd: [33, 71, 37, 61],
};

/** Inputs in the order of their seeds. */
const shapes = ([rows, d, k, inner]: Sizes): Readonly<Record<string, readonly number[]>> => ({
  x: [rows, d],
  g0: [d],
  s0: [d],
  wq: [k, d],
  bq: [k],
  wk: [k, d],
  bk: [k],
  wv: [k, d],
  bv: [k],
  wo: [d, k],
  bo: [d],
  g1: [d],
  s1: [d],
  w1: [inner, d],
  b1: [inner],
  w2: [d, inner],
  b2: [d],
  g2: [d],
  s2: [d],
  up: [rows, d],
});

type Block = Readonly<Record<string, Tensor>>;

function inputsOf(sizes: Sizes): Record<string, Tensor> {
  const made = Object.entries(shapes(sizes)).map(([key, shape], i) => {
    const n = shape.reduce((a, b) => a * b, 1);
    return [key, tensor(random(n, i + 1, key.startsWith("w") ? 0.25 : 1), shape)] as const;
  });
  return Object.fromEntries(made);
}

/** The block's result, the gradients of `up` of each input in order, and their norm. */
function block(t: Block, p = 0, rng?: Tensor) {
  const drop = (v: Tensor): Tensor => (rng ? dropout(v, p, rng) : v);
  const inner = rng && { p, rng };
  const x = layerNorm(t.x, t.g0, t.s0, 1e-5);
  const [q, k, v] = ["q", "k", "v"].map((n) => linear(x, t[`w${n}`], t[`b${n}`]));
  const o = linear(add(mul(q, k), v), t.wo, t.bo);
  const h = layerNorm(o, t.g1, t.s1, 1e-5, x, inner);
  const wide = drop(linear(h, t.w1, t.b1, { activation: "gelu" }));
  const y = layerNorm(linear(wide, t.w2, t.b2), t.g2, t.s2, 1e-5, h, inner);
  const wrt = Object.keys(t).filter((key) => key !== "up");
  const gradients = grad(
    sum(mul(y, t.up)),
    wrt.map((key) => t[key]),
  );
  const named = Object.fromEntries(wrt.map((key, i) => [key, gradients[i]]));
  return { y, gradients: named, norm: slice(gradNorm(gradients, [], 0), 0, 2, 3) };
}

type Values = Record<string, TypedArray>;

async function run(on: Device, sizes: Sizes, p = 0): Promise<Values> {
  const step = compile(on, (t: Block, rng: Tensor) => block(t, p, p > 0 ? rng : undefined));
  const rng = Uint32Array.of(5, 0, 1, 0);
  const [first, second] = [await step(inputsOf(sizes), rng), await step(inputsOf(sizes), rng)];
  const read = async ({ y, gradients, norm }: typeof first): Promise<Values> => {
    const all = Object.entries({ y, ...gradients, norm });
    const values = await Promise.all(all.map(([, result]) => result.read()));
    return Object.fromEntries(all.map(([key], i) => [key, values[i]]));
  };
  const [got, again] = [await read(first), await read(second)];
  for (const [key, values] of Object.entries(got)) {
    const at = values.findIndex((v, i) => !Object.is(v, again[key][i]));
    assert.is(at, -1, `element ${at} of ${key} differs from run to run`);
  }
  return got;
}

const kernelsOf = (plan: AnyPlan | undefined): string[] =>
  plan?.launches.map(({ kernel }) => kernel) ?? [];

const JOINS = [
  "layernorm_backward_join",
  "layernorm_join",
  "matmul_join",
  "matmul_join_each",
  "reduce_columns_many",
  "square_sums_many",
];

test("a block with every kind of join beside PyTorch", async () => {
  const golden = new ModelGolden("joins");
  for (const [label, sizes] of Object.entries(SIZES)) {
    for (const [on, joins] of [
      [device, rules],
      [eager, always],
    ] as const) {
      const plan = await firstJoined(
        (d) => compile(d, (t: Block) => block(t))(inputsOf(sizes)),
        joins,
      );
      const found = kernelsOf(plan).filter((kernel) => JOINS.includes(kernel));
      const dispatched = plan?.launches.flatMap((launch) => chunked(launch, hardware)) ?? [];
      for (const kernel of ["matmul_end", "matmul_each"]) {
        const isThere = dispatched.some((step) => step.kernel === kernel);
        assert.ok(isThere || !label.startsWith("short"), `${label}: products in one by ${kernel}`);
      }
      if (on === eager) assert.equal([...new Set(found)].sort(), JOINS, label);
      else if (!label.startsWith("short"))
        assert.ok(found.includes("matmul_join_each") && found.includes("layernorm_backward_join"));
      const got = await run(on, sizes);
      const pair = (key: string) => {
        const want = golden.floats(`${label}.${key}`);
        const step = got[key].length === want.length ? 1 : 7; // of matrices the golden has every seventh element
        return { name: key, got: got[key].filter((_, i) => i % step === 0), want };
      };
      closeForward([pair("y")]);
      const wrt = Object.keys(got).filter((key) => key !== "y");
      closeGradients(wrt.map(pair));
    }
  }
});

test("with dropout it is what the CPU computes without joins", async () => {
  const cpu = await openDevice({ device: "cpu", threads: 1 });
  for (const sizes of Object.values(SIZES)) {
    const want = await run(cpu, sizes, 0.25);
    for (const on of [device, eager]) {
      const got = await run(on, sizes, 0.25);
      closeGradients(Object.keys(want).map((name) => ({ name, got: got[name], want: want[name] })));
    }
  }
  cpu.destroy();
});

/** As in tools/reference_joins.py. */
const [BATCH, WIDTH, HEADS, LENGTH, STEPS] = [4, 64, 2, 5, 4];

function decoderInputs(): Record<string, Tensor> {
  const sizes = {
    x: [2, BATCH, WIDTH],
    memory: [BATCH, LENGTH, WIDTH],
    up: [2 + STEPS, BATCH, WIDTH],
    ...Object.fromEntries(
      ["wq", "wk", "wv", "wc", "wm", "wn", "wo"].map((w) => [w, [WIDTH, WIDTH]]),
    ),
  };
  const made = Object.entries(sizes).map(([key, shape], i) => {
    const n = shape.reduce((product, size) => product * size, 1);
    return [key, tensor(random(n, i + 31, key.startsWith("w") ? 0.25 : 1), shape)] as const;
  });
  return Object.fromEntries(made);
}

/** A decoder of one layer, what it writes and the gradients of `up`; `queries` are those of the steps. */
function decoder(t: Block) {
  const options = { heads: HEADS, scale: 1, queryLayout: "tbd" } as const;
  const [memoryKeys, memoryValues] = [linear(t.memory, t.wm), linear(t.memory, t.wn)];
  const queries: Tensor[] = [];
  const written: Tensor[] = [];
  let h = t.x;
  let cache: readonly Tensor[] | undefined;
  for (let step = 0; step <= STEPS; step++) {
    const made = [linear(h, t.wk), linear(h, t.wv)];
    cache = cache ? cache.map((old, i) => concat([old, made[i]], 0)) : made;
    const q = linear(h, t.wq);
    queries.push(q);
    const own = { ...options, keyLayout: "tbd", causal: true } as const;
    h = add(h, attention(q, cache[0], cache[1], undefined, own));
    const seen = attention(linear(h, t.wc), memoryKeys, memoryValues, undefined, options);
    h = add(h, linear(seen, t.wo));
    written.push(h);
    if (step === 0) h = slice(h, 0, 1, 2);
  }
  const y = concat(written, 0);
  const wrt = Object.keys(t).filter((key) => key !== "up");
  const gradients = grad(
    sum(mul(y, t.up)),
    wrt.map((key) => t[key]),
  );
  return { y, queries, gradients: Object.fromEntries(wrt.map((key, i) => [key, gradients[i]])) };
}

const countOf = (plan: AnyPlan | undefined, kernel: string): number =>
  kernelsOf(plan).filter((one) => one === kernel).length;

async function decoded(on: Device): Promise<Values> {
  const step = compile(on, (t: Block) => {
    const { y, gradients } = decoder(t);
    return { y, ...gradients };
  });
  const results = Object.entries(await step(decoderInputs()));
  const values = await Promise.all(results.map(([, result]) => result.read()));
  return Object.fromEntries(results.map(([key], i) => [key, values[i]]));
}

test("gradients of keys that steps share beside PyTorch", async () => {
  const golden = new ModelGolden("joins");
  const inputs = decoderInputs();
  const { gradients } = decoder(inputs);
  const plan = makePlan(Object.values(gradients), [], [], rules);
  // a launch for each step's own key, one for the memory's keys; the prefix of two adds to both
  assert.is(countOf(plan, "attention_dkv_steps"), STEPS + 1);
  assert.is(countOf(plan, "attention_dkv"), 2);
  const got = await decoded(device);
  const pairs = Object.keys(got).map((key) => ({
    name: key,
    got: got[key].filter((_, i) => i % 7 === 0),
    want: golden.floats(`decoding.${key}`),
  }));
  closeForward(pairs.filter((pair) => pair.name === "y"));
  closeGradients(pairs.filter((pair) => pair.name !== "y"));
});

test("a query that is wanted by itself keeps its memory, and the steps their launches", () => {
  const { gradients, queries } = decoder(decoderInputs());
  const plan = makePlan([...Object.values(gradients), queries[2]], [], [], rules);
  assert.is(countOf(plan, "attention_dkv_steps"), 1, "the memory's alone");
  assert.is(countOf(plan, "attention_dkv"), 1 + STEPS + 1);
});

test("what a stack is copied together from is copied by few launches", async () => {
  const rows = [3, 1, 7, 2, 90, 4, 1, 5, 6]; // of five: they end where no window can begin
  const parts = rows.map((count, i) => random(count * 5, i + 1));
  const doubled = (...all: Tensor[]): Tensor =>
    concat(
      all.map((x) => mul(x, 2)),
      0,
    );
  const inputs = parts.map((part) => tensor(part, [part.length / 5, 5]));
  const kernels = kernelsOf(makePlan([doubled(...inputs)], [], [], rules));
  // the first of nine is written in its place
  assert.equal(kernels.filter((kernel) => kernel !== "binary").sort(), ["copy", "copy_many"]);
  const y = await compile(device, doubled)(...inputs);
  const want = parts.flatMap((part) => Array.from(part, (value) => value * 2));
  assert.equal(Array.from(await y.read()), want);
});

/** Of y = x w^T + b: the gradients of `up` y, and what their norm's op gives. */
function gradientsOf(x: Tensor, w: Tensor, b: Tensor, up: Tensor) {
  const [dw, db] = grad(sum(mul(linear(x, w, b), up)), [w, b]);
  return { dw, db, control: gradNorm([dw, db], [], 0) };
}

test("a gradient is squared, and its bias's summed, as it is made: beside plain sums", async () => {
  const cases = [
    { rows: 300, out: 1024, into: 512, found: { SQUARES: 1, SUMS: 1, PAIR: 0 } },
    { rows: 9, out: 1021, into: 515, found: { SQUARES: 1, SUMS: 1, PAIR: 0 } },
    { rows: 9, out: 40, into: 23, found: { SQUARES: 0, SUMS: 1, PAIR: 0 } }, // more tiles than partial sums
  ];
  for (const { rows, out, into, found } of cases) {
    const [x, up] = [random(rows * into, 1), random(rows * out, 2)];
    const inputs = (wrong?: number) => {
      const upstream = up.slice();
      if (wrong !== undefined) upstream[wrong] = Number.POSITIVE_INFINITY;
      const w = tensor(random(out * into, 3), [out, into]);
      const b = tensor(random(out, 4));
      return [tensor(x, [rows, into]), w, b, tensor(upstream, [rows, out])] as const;
    };
    const dw = new Float64Array(out * into);
    const db = new Float64Array(out);
    for (let k = 0; k < rows; k++) {
      for (let m = 0; m < out; m++) {
        const g = up[k * out + m];
        db[m] += g;
        for (let n = 0; n < into; n++) dw[m * into + n] += g * x[k * into + n];
      }
    }
    const norm = Math.sqrt([...dw, ...db].reduce((total, g) => total + g * g, 0));
    const plan = makePlan(Object.values(gradientsOf(...inputs())), [], [], rules);
    const made = plan.launches.find(({ kernel }) => kernel === "matmul_gradient");
    assert.equal(made?.constants, found, `${out} x ${into}`);
    for (const on of [device, eager]) {
      const step = compile(on, gradientsOf);
      const got = await step(...inputs());
      closeGradients([
        { name: "dw", got: await got.dw.read(), want: Float32Array.from(dw) },
        { name: "db", got: await got.db.read(), want: Float32Array.from(db) },
      ]);
      const [, ok, length] = await got.control.read();
      assert.is(ok, 1);
      assert.ok(Math.abs(length / norm - 1) < 1e-5, `${length} is not the norm ${norm}`);
      const [, taken] = await (await step(...inputs(rows * out - 1))).control.read();
      assert.is(taken, 0, "the last row of the gradient is not finite");
    }
  }
});

test("a gradient of two uses of a matrix is one launch: beside plain sums", async () => {
  const cases = [
    { rows: 9, more: 37, out: 1024, into: 512 },
    { rows: 9, more: 37, out: 1021, into: 515 },
    { rows: 64, more: 5, out: 40, into: 24 },
  ];
  for (const { rows, more, out, into } of cases) {
    const sizes = { x: [rows, into], up: [rows, out], y: [more, out], down: [more, into] };
    const values = Object.entries(sizes).map(([, [r, n]], i) => random(r * n, i + 1));
    const inputs = Object.entries(sizes).map(([, shape], i) => tensor(values[i], shape));
    const w = tensor(random(out * into, 9), [out, into]);
    const slope = (w1: Tensor, [x1, up, y1, down]: readonly Tensor[]): Tensor => {
      const uses = [mul(linear(x1, w1), up), mul(matmul(y1, w1), down)];
      return grad(add(sum(uses[0]), sum(uses[1])), [w1])[0];
    };
    const want = new Float64Array(out * into);
    const outer = (left: Float32Array, right: Float32Array): void => {
      for (let k = 0; k < left.length / out; k++) {
        for (let m = 0; m < out; m++) {
          const g = left[k * out + m];
          for (let n = 0; n < into; n++) want[m * into + n] += g * right[k * into + n];
        }
      }
    };
    outer(values[1], values[0]);
    outer(values[2], values[3]);
    const plan = makePlan([slope(w, inputs)], [], [], rules);
    const made = plan.launches.filter(({ kernel }) => /matmul|add_n/.test(kernel));
    assert.equal(
      made.map(({ kernel, constants }) => [kernel, constants]),
      [["matmul_gradient", { SQUARES: 0, SUMS: 0, PAIR: 1 }]],
    );
    const got = await (await compile(device, slope)(w, inputs)).read();
    closeForward([{ name: `${out} x ${into}`, got, want: Float32Array.from(want) }], 0, 1e-6);
  }
});

test("two products whose sum is not all that is wanted of them stay two", () => {
  const [x, up, y, down] = [data([8, 16]), data([8, 12]), data([6, 12], 2), data([6, 16], 3)];
  const [one, two] = [matmul(up, x, { transA: true }), matmul(y, down, { transA: true })];
  assert.is(planned([add(one, two)], rules), "matmul matmul binary", "no sum of contributions");
  assert.is(planned([addN([one, two])], rules), "matmul_gradient");
  assert.is(planned([addN([one, two]), one], rules), "matmul matmul add_n", "one is wanted");
  assert.is(planned([addN([one, two, data([12, 16])])], rules), "matmul matmul add_n");
  const small = { ...rules, largest: 12 * 16 * 4 - 4 };
  assert.is(planned([addN([one, two])], small), "matmul matmul add_n", "a binding is smaller");
});

test("sums of columns of what is multiplied too are made in one reading: beside plain sums", async () => {
  for (const [rows, columns] of [
    [300, 12],
    [300, 13],
    [33, 8],
  ]) {
    const values = [1, 2, 3, 4, 5, 6].map((seed) => random(rows * columns, seed));
    const sums = (all: readonly Tensor[]): Tensor[] =>
      [0, 2, 4].flatMap((i) => [columnSums(all[i]), columnSums(all[i], all[i + 1])]);
    const inputs = values.map((x) => tensor(x, [rows, columns]));
    const plan = makePlan(sums(inputs), [], [], rules);
    const both = plan.launches.flatMap(({ kernel, constants, params }) => {
      const { BOTH, count } = { BOTH: 0, count: 0, ...constants, ...params };
      return kernel === "reduce_columns_many" && BOTH === 1 ? [count] : [];
    });
    assert.equal(both, [2, 1]);
    const apart = [columnSums(inputs[0]), columnSums(inputs[2], inputs[3])];
    assert.is(countOf(makePlan(apart, [], [], rules), "reduce_columns_many"), 0);
    const got = await compile(device, sums)(inputs);
    for (const [i, result] of got.entries()) {
      const [x, w] = values.slice(2 * Math.floor(i / 2));
      const want = new Float64Array(columns);
      x.forEach((v, at) => {
        want[at % columns] += i % 2 === 1 ? v * w[at] : v;
      });
      const pair = { name: `${rows} x ${columns}, ${i}`, got: await result.read(), want };
      closeForward([pair], 1e-5, 1e-6);
    }
  }
});

const data = (shape: readonly number[], seed = 1): Tensor =>
  tensor(random(shape[0] * (shape[1] ?? 1), seed), shape);
const [a, w, b, r] = [data([8, 16]), data([12, 16]), data([12]), data([8, 12])];

/** The kernels of a plan of these results, and how many of them. */
function planned(results: readonly Tensor[], joins: JoinRules = always): string {
  const plan = makePlan(results, [], [], joins);
  return kernelsOf(plan).join(" ");
}

test("what is read by others, or wanted, stays apart", () => {
  const norm = (x: Tensor): Tensor => layerNorm(x, b, b, 1e-5, r);
  const product = (): Tensor => linear(a, w, b);
  assert.is(planned([norm(product())]), "layernorm_join");
  const wanted = product();
  assert.is(planned([norm(wanted), wanted]), "matmul layernorm");
  const twice = product();
  assert.is(planned([add(norm(twice), relu(twice))]), "matmul layernorm unary binary");
  const square = data([16, 16], 5);
  const stack = concat([matmul(a, square), matmul(a, data([16, 16], 6))], 0);
  assert.is(planned([stack]), "matmul matmul", "results in one memory");
  const residual = product();
  assert.is(planned([layerNorm(residual, b, b, 1e-5, residual)]), "matmul layernorm");
});

test("products are joined where that saves a dispatch", () => {
  const never: JoinRules = { ...rules, splits: () => false, each: () => 1 };
  const norm = layerNorm(linear(a, w, b), b, b, 1e-5, r);
  assert.is(planned([norm], never), "matmul layernorm");
  const each = (count: number): Tensor[] =>
    Array.from({ length: count }, (_, i) => linear(a, data([12, 16], i + 2), b));
  assert.is(planned(each(3), never), "matmul matmul matmul");
  assert.is(planned(each(3), { ...never, each: () => 3 }), "matmul_join_each", "and not split");
  assert.is(planned(each(3), { ...never, each: () => 2 }), "matmul_join_each matmul");
  assert.is(planned(each(2)), "matmul_join_each");
  assert.is(planned(each(5)), "matmul_join_each matmul_join_each");
  const [m1, m2, m3] = [1, 2, 3].map((i) => matmul(data([8, 16], i), data([16, 12], i)));
  assert.is(planned([addN([m1, m2, m3, r])], never), "matmul_join", "three and their sum are four");
  const other = linear(data([8, 16], 9), w, b);
  assert.is(planned([...each(1), other]), "matmul matmul", "another x");
  const wide = linear(a, data([16, 16], 9), data([16]));
  assert.is(planned([...each(1), wide]), "matmul matmul", "another width");
  const bare = matmul(a, w, { transB: true });
  assert.is(planned([...each(1), bare]), "matmul matmul", "another end");
});

test("an adapter that binds eight storage buffers gets no launch that binds more", async () => {
  const eight = { ...hardware, maxStorageBuffers: 8 };
  const mostIn = async (adapter: typeof hardware, more: Partial<JoinRules> = {}) => {
    const plan = await firstJoined(
      (d) => compile(d, (t: Block) => block(t))(inputsOf(SIZES.short)),
      { ...(joinRules(adapter, 2 ** 27) as JoinRules), ...more },
    );
    const steps = plan?.launches.flatMap((launch) => chunked(launch, adapter)) ?? [];
    const bound = ({ inputs, inouts, outputs }: StepLaunch): number =>
      [...inputs, ...inouts, ...outputs].filter((operand) => operand !== null).length;
    const eaches = steps.filter(({ kernel }) => kernel === "matmul_each").map(bound);
    return [Math.max(...steps.map(bound)), ...eaches];
  };
  assert.equal(await mostIn(eight), [8, 7], "two of query, key and value");
  assert.equal(await mostIn(hardware), [10, 10], "all three");
  assert.equal(await mostIn(eight, { splits: () => true }), [8], "their parts");
});

test("nothing moves across a launch that overwrites what it reads", () => {
  const ids = tensor(Uint32Array.of(1, 3, 1));
  const rows = data([3, 16], 8);
  const written = (x: Tensor): Tensor => scatterAdd(x, rows, ids, false); // in the memory of x
  const base = relu(a);
  const early = linear(base, w, b);
  const over = written(base);
  const norm = layerNorm(early, b, b, 1e-5, r);
  const order = "unary matmul scatter_links scatter_add";
  assert.is(planned([over, norm]), `${order} layernorm`);
  const square = data([16, 16], 4);
  assert.is(
    planned([matmul(square, matmul(square, square))]),
    "matmul matmul",
    "one reads the other",
  );
  const second = relu(a);
  const first = linear(second, w, b);
  const late = linear(written(second), data([12, 16], 5), b);
  assert.is(planned([first, late]), `${order} matmul`);
  const third = relu(a);
  const before = matmul(data([8, 12], 6), third, { transA: true });
  const behind = matmul(data([8, 12], 7), written(third), { transA: true });
  assert.is(planned([addN([before, behind])], rules), `${order} matmul add_n`);
});

/** Launches as the planner has them before they are joined; no tensor is a window of another. */
function joined(launches: readonly Launch[]): (Launch | Join)[] {
  const place = (t: Tensor) => ({ root: t, offset: 0 });
  const planned = launches.map((launch) => ({ op: launch.kernel, launch }));
  const context = { rules: always, place, kept: () => false };
  return withJoins(planned, context).map(({ launch }) => launch);
}

test("a gap between copies stays one; sums of squares go where each belongs", () => {
  const parts = [1, 2, 3].map((i) => data([4, 3], i));
  const places = [0, 2, 3]; // something else is in the second
  const strides = { d1: 1, d2: 1, d3: 1, d4: 1, s0: 0, s1: 0, s2: 0, s3: 0, s4: 0 };
  const none = { t0: 0, t1: 0, t2: 0, t3: 0, t4: 0 };
  const stack = data([16, 3]);
  const copies = parts.map((x, i): Launch => {
    const params = { n: 12, ...strides, xfrom: 0, yfrom: 12 * places[i], ...none };
    return { kernel: "copy", constants: { RANK: 0 }, params, inputs: [x], outputs: [stack] };
  });
  const [first, ...rest] = joined(copies);
  assert.equal([first.kernel, ...rest.map(({ kernel }) => kernel)], ["copy", "copy_many"]);
  const { yfrom, n } = rest[0].params as Record<string, number>;
  assert.equal({ yfrom, n }, { yfrom: 24, n: 24 });
  const partials = data([8, 2]);
  const squares = parts.map((x, i): Launch => {
    const params = { n: 12, rows: 1, at: 2 * places[i] };
    const constants = { SQUARES: 1 } as const;
    return { kernel: "square_sums", constants, params, inputs: [x], outputs: [partials] };
  });
  const [many, ...others] = joined(squares);
  assert.is(others.length, 0);
  const { rows, at0, at1, at2 } = many.params as Record<string, number>;
  assert.equal({ rows, at: [at0, at1, at2] }, { rows: 3, at: [0, 4, 6] });
});

test("what is larger than a binding is not joined", () => {
  const norm = layerNorm(linear(a, w, b), b, b, 1e-5, r);
  assert.is(planned([norm], { ...always, largest: 12 * 16 * 4 - 4 }), "matmul layernorm");
  const parts = { ...always, partsBytes: () => 2 ** 40 };
  assert.is(planned([norm], parts), "matmul layernorm");
});

test.run();
