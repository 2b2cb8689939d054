/**
 * The gradient of a table by the rows that a step reads, on a GPU's form of the kernels: steps of AdamW beside float64, element by
 * element, and what keeps a table's gradient as it was.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { firstJoined } from "../../engine/devices/onlooker.ts";
import { grad } from "../../engine/grad.ts";
import type { JoinRules } from "../../engine/joins.ts";
import type { Launch } from "../../engine/op.ts";
import { openDevice } from "../../engine/open.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { stopGradient } from "../../engine/ops/shape.ts";
import { AdamW } from "../../engine/optim.ts";
import { withTableRows } from "../../engine/table-gradients.ts";
import {
  apply1,
  state,
  stateName,
  type Tensor,
  type TensorSpec,
  type TypedArray,
  tempOp,
  tensor,
  zeroState,
} from "../../engine/tensor.ts";
import { workload } from "../../tools/gpu/workload.ts";
import { anyWebGPU } from "../devices.ts";
import { type Adam64, adamw64, start64 } from "../engine/adamw64.ts";
import { closeForward, closeGradients } from "../models/parity.ts";

const { name } = await anyWebGPU();
const test = suite(`gradients of tables by rows on ${name}`);
const device = await openDevice({ device: name, geometry: "hardware" });
const rules = device.joins as JoinRules;

/** Values in (-1, 1) that depend on `seed` alone. */
function random(n: number, seed: number): Float32Array {
  let last = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    last = (Math.imul(last, 1664525) + 1013904223) >>> 0;
    return last / 2 ** 31 - 1;
  });
}

/** A table, the ids of two readings of it for each step, and the ids that products read and write. */
type Case = {
  readonly vocab: number;
  readonly dim: number;
  readonly first: readonly (readonly number[])[];
  readonly second: readonly (readonly number[])[];
  readonly words: readonly number[];
};
const WORDS = [9, 4, 30, 2, 17, 8, 0, 21];
const READ = {
  // in one list twice and thrice, in both, among the words, beyond the table; each step others
  first: [
    [3, 4, 3, 90, 12, 39, 3],
    [5, 5, 39, 7, 40, 2, 2],
  ],
  second: [
    [12, 4, 6, 40, 6],
    [0, 1, 30, 5, 4000],
  ],
};
const CASES: Readonly<Record<string, Case>> = {
  even: { ...READ, vocab: 40, dim: 8, words: WORDS },
  odd: { ...READ, vocab: 40, dim: 7, words: WORDS },
  wide: { ...READ, vocab: 40, dim: 264, words: WORDS },
  // more sums of squares than the rows have
  large: { ...READ, vocab: 700, dim: 12, words: WORDS },
  "words alone": { vocab: 40, dim: 8, words: WORDS, first: [[], []], second: [[], []] },
  "no words": { ...READ, vocab: 40, dim: 8, words: [] },
};
/** Rows of the products that write words, and that read them. */
const [WRITTEN, MEAN] = [10, 37];
const ADAM = { lr: 0.1, weightDecay: 0.25, betas: [0.8, 0.9], eps: 1e-5 } as const;
const MAX_NORM = 2;

type Batch = Readonly<
  Record<"first" | "second" | "up" | "more" | "h" | "dlogits" | "mix" | "dmean", Tensor>
>;
type Values = Readonly<Record<keyof Batch, Float32Array | Uint32Array>>;

function valuesOf(c: Case, step: number): Values {
  const [ids, more] = [c.first[step], c.second[step]].map((list) => Uint32Array.from(list));
  const [d, words] = [c.dim, c.words.length];
  const seed = 10 * step;
  return {
    first: ids,
    second: more,
    up: random(ids.length * d, seed + 1),
    more: random(more.length * d, seed + 2),
    h: random(WRITTEN * d, seed + 3),
    dlogits: random(WRITTEN * words, seed + 4),
    mix: random(MEAN * words, seed + 5),
    dmean: random(MEAN * d, seed + 6),
  };
}

const batchOf = ({ dim, words }: Case, v: Values): Batch => ({
  first: tensor(v.first),
  second: tensor(v.second),
  up: tensor(v.up, [v.first.length, dim]),
  more: tensor(v.more, [v.second.length, dim]),
  h: tensor(v.h, [WRITTEN, dim]),
  dlogits: tensor(v.dlogits, [WRITTEN, words.length]),
  mix: tensor(v.mix, [MEAN, words.length]),
  dmean: tensor(v.dmean, [MEAN, dim]),
});

/** The rows that products write and read; one that is not read where there are no words. */
const wordsOf = (table: Tensor, { words }: Case): Tensor =>
  embedding(table, tensor(Uint32Array.from(words.length > 0 ? words : [0])), { unique: true });

/** A number that depends on rows of the table as the values of a batch say. */
function lossOf(table: Tensor, c: Case, b: Batch, rows: Tensor = wordsOf(table, c)): Tensor {
  const { words, first } = c;
  const terms: Tensor[] = [];
  if (first[0].length > 0) {
    const readings = [
      mul(embedding(table, b.first), b.up),
      mul(embedding(table, b.second), b.more),
    ];
    terms.push(...readings.map((each) => sum(each)));
  }
  if (words.length > 0) {
    terms.push(sum(mul(matmul(b.h, rows, { transB: true }), b.dlogits)));
    terms.push(sum(mul(matmul(b.mix, rows), b.dmean)));
  }
  return terms.reduce((a, term) => add(a, term));
}

/** Its gradient, by hand. */
function gradient64({ vocab, dim, words }: Case, v: Values): Float64Array {
  const g = new Float64Array(vocab * dim);
  const scatter = (ids: ArrayLike<number>, rows: ArrayLike<number>): void => {
    for (let r = 0; r < ids.length; r++) {
      for (let j = 0; ids[r] < vocab && j < dim; j++) g[ids[r] * dim + j] += rows[r * dim + j];
    }
  };
  scatter(v.first, v.up);
  scatter(v.second, v.more);
  const C = words.length;
  words.forEach((id, c) => {
    for (let j = 0; j < dim; j++) {
      for (let r = 0; r < WRITTEN; r++) g[id * dim + j] += v.dlogits[r * C + c] * v.h[r * dim + j];
      for (let r = 0; r < MEAN; r++) g[id * dim + j] += v.mix[r * C + c] * v.dmean[r * dim + j];
    }
  });
  return g;
}

type Stepped = { readonly states: readonly TypedArray[]; readonly control: readonly TypedArray[] };

/** Two steps of AdamW; `change` spoils a batch. */
async function stepped(
  on: Device,
  c: Case,
  change: (values: Values) => void = () => undefined,
): Promise<Stepped> {
  const { lr, weightDecay, betas, eps } = ADAM;
  const table = state("table", random(c.vocab * c.dim, 99), [c.vocab, c.dim]);
  const rest = { betas, eps, weightDecay, decays: () => true, maxNorm: MAX_NORM };
  const optimizer = new AdamW([table], rest);
  const step = compile(on, (b: Batch, scalars: Tensor) =>
    optimizer.update(grad(lossOf(table, c, b), [table]), scalars, []),
  );
  const control: TypedArray[] = [];
  for (const at of [0, 1]) {
    const values = valuesOf(c, at);
    change(values);
    const result = await step(batchOf(c, values), optimizer.scalars(at + 1, lr));
    control.push(await result.read());
  }
  const [{ m, v }] = optimizer.moments;
  return { states: await read(on, [table, m, v]), control };
}

/** More terms of the loss, and more results, of the gradients of the table and of its words. */
type Change = {
  readonly joins?: JoinRules;
  readonly loss?: (table: Tensor, b: Batch) => Tensor[];
  readonly results?: (table: Tensor, words: Tensor) => Tensor[];
};

/** The kernels of a step's plan that have to do with the table, in order. */
async function kernelsOf(
  c: Case,
  { joins = rules, loss = () => [], results = () => [] }: Change = {},
): Promise<string> {
  const table = state("table", random(c.vocab * c.dim, 99), [c.vocab, c.dim]);
  const optimizer = new AdamW([table]);
  const plan = await firstJoined((on) => {
    const step = compile(on, (b: Batch, scalars: Tensor) => {
      const words = wordsOf(table, c);
      const all = [lossOf(table, c, b, words), ...loss(table, b)];
      const [g, rows] = grad(
        all.reduce((x, y) => add(x, y)),
        [table, words],
      );
      return [optimizer.update([g], scalars, []), ...results(g, rows)];
    });
    return step(batchOf(c, valuesOf(c, 0)), optimizer.scalars(1, 1));
  }, joins);
  const seen = /^(fill|scatter_|table_|square_sums|adamw|matmul_gradient|add_n)/;
  const names = plan?.launches.map(({ kernel }) => kernel).filter((kernel) => seen.test(kernel));
  return names?.join(" ") ?? "";
}

const BY_ROWS =
  "matmul_gradient fill scatter_links table_places table_rows square_sums adamw_table";
const WHOLE = "matmul_gradient fill scatter_links scatter_add scatter_add square_sums adamw";

test("two steps are those of float64, and the same from run to run", async () => {
  for (const [label, c] of Object.entries(CASES)) {
    let want = start64(random(c.vocab * c.dim, 99));
    const norms = [0, 1].map((at) => {
      const g = gradient64(c, valuesOf(c, at));
      const norm = Math.sqrt(g.reduce((total, x) => total + x * x, 0));
      const clip = Math.min(1, MAX_NORM / (norm + 1e-6));
      want = adamw64(
        want,
        g.map((x) => x * clip),
        at + 1,
        ADAM satisfies Adam64,
      );
      return norm;
    });
    const got = await stepped(device, c);
    got.control.forEach(([, ok, norm], at) => {
      assert.is(ok, 1, label);
      assert.ok(Math.abs(norm / norms[at] - 1) < 1e-5, `${label}: ${norm}, not ${norms[at]}`);
    });
    const wanted = [want.p, want.m, want.v];
    const pairs = ["table", "m", "v"].map((what, i) => {
      return { name: `${label}, ${what}`, got: got.states[i], want: wanted[i] };
    });
    closeForward(pairs, 0, 2e-5);
    const again = await stepped(device, c);
    const all = (of: Stepped) => [...of.states, ...of.control].flatMap((x) => Array.from(x));
    const [one, two] = [all(got), all(again)];
    const at = one.findIndex((x, i) => !Object.is(x, two[i]));
    assert.is(at, -1, `${label}: value ${at} differs from run to run`);
  }
});

test("a step is not taken where a row that is added, or a word's, is not finite", async () => {
  const c = CASES.large;
  const start = random(c.vocab * c.dim, 99);
  const spoil = (which: keyof Values, at: number, value: number) => (v: Values) => {
    v[which][at] = value;
  };
  for (const [which, at] of [
    ["up", 2 * c.dim + 1], // the second of three with one id
    ["more", 1 * c.dim], // one that is a word's too
    ["dlogits", 3],
  ] as const) {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const { states, control } = await stepped(device, c, spoil(which, at, bad));
      assert.equal(
        control.map(([, ok]) => ok),
        [0, 0],
        which,
      );
      assert.equal(Array.from(states[0]), Array.from(start), which);
      assert.ok(states.slice(1).every((x) => x.every((y) => y === 0)));
    }
  }
  // beyond the table; the places of 90 and 40 in one list, and in the other
  const beyond = { ...c, vocab: 40 };
  const { control } = await stepped(device, beyond, (v) => {
    if (v.first[3] === 90) v.up[3 * c.dim] = Number.NaN;
    if (v.second[4] === 4000) v.more[4 * c.dim] = Number.NaN;
  });
  assert.equal(
    control.map(([, ok]) => ok),
    [1, 1],
    "no id of the table",
  );
});

test("the PromptGen step has the norm and the first moments that the CPU has", async () => {
  const { batch, run, optimizer } = workload({ size: "toy" });
  const scalars = optimizer.scalars(1, 1e-3);
  const rng = Uint32Array.of(1, 0, 1, 0);
  const plan = await firstJoined((on) => compile(on, run)(batch, rng, scalars), rules);
  const updates = plan?.launches.filter(({ kernel }) => kernel === "adamw_table");
  assert.is(updates?.length, 2, "words and positions");
  const cpu = await openDevice({ device: "cpu", threads: 1 });
  const on = async (where: Device) => {
    const { optimizer: own, parameters, run: step } = workload({ size: "toy" });
    parameters.forEach((p, i) => {
      where.write(
        p,
        random(p.size, i).map((x) => x / 4),
      );
    });
    const { report } = await compile(where, step)(batch, rng, scalars);
    const moments = own.moments.map(({ m }) => m);
    return { report: await report.read(), m: await read(where, moments), moments };
  };
  const [got, want] = [await on(device), await on(cpu)];
  closeForward([{ name: "report", got: got.report, want: want.report }], 0, 1e-4);
  closeGradients(
    want.moments.map((m, i) => ({ name: stateName(m), got: got.m[i], want: want.m[i] })),
  );
  cpu.destroy();
});

test("a table's copy in f16 is what its rows are", async () => {
  const c = CASES.even;
  const half = await openDevice({ device: name, geometry: "hardware", precision: "f16" });
  const table = state("table", random(c.vocab * c.dim, 99), [c.vocab, c.dim]);
  const optimizer = new AdamW([table], { maxNorm: 1 });
  const scores = (x: Tensor, of: Tensor): Tensor => linear(x, stopGradient(of));
  const step = compile(half, (b: Batch, scalars: Tensor) => {
    const y = scores(b.h, table);
    optimizer.update(grad(lossOf(table, c, b), [table]), scalars, []);
    return y;
  });
  const launches: number[] = [];
  for (const i of [1, 2, 3]) {
    const [before] = await read(half, [table]);
    const batch = batchOf(c, valuesOf(c, i % 2));
    // a constant has no copy: it is rounded as it is loaded
    const [want] = await read(half, [scores(batch.h, tensor(before as Float32Array, table.shape))]);
    const begun = half.stats.launches;
    const y = await step(batch, optimizer.scalars(i, 0.1));
    launches.push(half.stats.launches - begun);
    assert.equal(Array.from(await y.read()), Array.from(want), `step ${i}`);
  }
  const rest = launches[1];
  assert.equal(launches, [rest + 1, rest, rest], "the copy is made once, then written");
  half.destroy();
});

test("rows take the place of a table's gradient where nobody wants it, nor they are more than its own", async () => {
  const c = CASES.even;
  assert.is(await kernelsOf(c), BY_ROWS);
  const places = "fill table_places square_sums adamw_table";
  assert.is(await kernelsOf(CASES["words alone"]), `matmul_gradient ${places}`);
  const rows = "fill scatter_links table_rows square_sums adamw_table";
  assert.is(await kernelsOf(CASES["no words"]), rows);
  const largest = c.vocab * c.dim * 4;
  assert.is(await kernelsOf(c, { joins: { ...rules, largest } }), BY_ROWS);
  const tight = { ...rules, largest: largest - 1 };
  assert.is(await kernelsOf(c, { joins: tight }), WHOLE, "a binding is smaller");
  assert.is(await kernelsOf(c, { results: (g) => [g] }), WHOLE, "the gradient is a result");
  assert.is(await kernelsOf(c, { results: (g) => [sum(g)] }), WHOLE, "the gradient is read");
  assert.is(await kernelsOf(c, { results: (_, g) => [g] }), WHOLE, "the words' is a result");
  const tied = (table: Tensor, { h }: Batch) => [sum(linear(h, table))];
  assert.not.match(await kernelsOf(c, { loss: tied }), /table/, "all rows have a gradient");
  const small = { ...c, words: [9, 4, 13, 2, 17, 8, 0, 11] };
  const most = small.words.length + READ.first[0].length + READ.second[0].length;
  assert.is(await kernelsOf({ ...small, vocab: most }), BY_ROWS);
  assert.is(await kernelsOf({ ...small, vocab: most - 1 }), WHOLE, "more rows than the table has");
  const beyond = { ...small, words: [9, 4, 13, 40, 17, 8, 0, 11] };
  assert.is(await kernelsOf(beyond), WHOLE, "a word that the table does not have");
});

test("nor is anything moved across a launch that writes what it reads", () => {
  const [vocab, dim] = [9, 4];
  const [table, m, v] = ["table", "m", "v"].map((what) => zeroState(what, [vocab, dim]));
  const temp = (spec: TensorSpec): Tensor => apply1(tempOp, [], { spec });
  const rowsOf = (): Tensor => temp({ shape: [2, dim], dtype: "f32" });
  const [dy, words] = [rowsOf(), rowsOf()];
  const ids = tensor(Uint32Array.of(3, 5));
  const [links, heads] = [1, 2].map(() => temp({ shape: [2], dtype: "u32" }));
  const g = temp({ shape: [vocab, dim], dtype: "f32" });
  const [partials, scalars, control] = [8, 8, 4].map((n) => temp({ shape: [n], dtype: "f32" }));
  const fill = (y: Tensor): Launch => {
    return { kernel: "fill", params: { n: y.size, bits: 0 }, inputs: [], outputs: [y] };
  };
  const scatter = (UNIQUE: 0 | 1, inputs: (Tensor | null)[], count = vocab): Launch => {
    const params = { n: 2 * dim, rows: 2, dim, vocab: count, first: 0, count };
    const constants = { UNIQUE };
    return { kernel: "scatter_add", constants, params, inputs, inouts: [g], outputs: [] };
  };
  const squares: Launch = {
    kernel: "square_sums",
    constants: { SQUARES: 1 },
    params: { n: g.size, rows: 1, at: 0 },
    inputs: [g],
    outputs: [partials],
  };
  const update: Launch = {
    kernel: "adamw",
    params: { n: g.size, beta1: 0, beta2: 0, eps: 1, weightDecay: 0 },
    inputs: [g, scalars, control],
    inouts: [table, m, v],
    outputs: [],
  };
  const reader: Launch = {
    kernel: "copy_flat",
    params: { n: g.size },
    inputs: [g],
    outputs: [temp({ shape: [vocab, dim], dtype: "f32" })],
  };
  type More = {
    between?: Launch[];
    behind?: Launch[];
    after?: Launch[];
    of?: Tensor;
    at?: Tensor;
    count?: number;
  };
  const kernels = (more: More): string => {
    const { between = [], behind = [], after = [], of = words, at = ids, count } = more;
    const launches = [
      ...[fill(g), scatter(0, [dy, ids, links, heads]), ...between],
      ...[scatter(1, [of, at, null, null], count), ...behind, squares, update, ...after],
    ];
    const context = {
      rules,
      place: (t: Tensor) => ({ root: t, offset: 0 }),
      kept: () => false,
      window: (root: Tensor) => root,
      stack: ([t]: readonly Tensor[]) => t,
    };
    const planned = launches.map((launch) => ({ op: launch.kernel, launch }));
    const found = withTableRows(planned, context).map(({ launch }) => launch.kernel);
    return found.filter((kernel) => kernel !== "fill" && kernel !== "copy_flat").join(" ");
  };
  const whole = "scatter_add scatter_add square_sums adamw";
  const byRows = "table_places table_rows square_sums adamw_table";
  assert.is(kernels({}), byRows);
  assert.is(kernels({ between: [fill(words)], behind: [fill(dy)] }), byRows, "done with");
  assert.is(kernels({ between: [fill(dy)] }), whole, "the rows that are added");
  assert.is(kernels({ between: [fill(links)] }), whole, "their order");
  assert.is(kernels({ behind: [fill(words)] }), whole, "the rows that they are added to");
  assert.is(kernels({ behind: [fill(g)] }), whole, "the gradient");
  assert.is(kernels({ after: [reader] }), whole, "the gradient is read later");
  assert.is(kernels({ of: dy }), whole, "rows that are added to themselves");
  assert.is(kernels({ of: table }), whole, "a state");
  assert.is(kernels({ at: links }), whole, "ids that nobody knows");
  assert.is(kernels({ count: vocab - 1 }), whole, "rows of a part");
});

test.run();
