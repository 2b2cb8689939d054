/** Seeded random programs of views, sums, stacks, assignments and updates in place, beside an interpreter in plain numbers. */
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { adamw } from "../../engine/ops/adamw.ts";
import { add, maximum, sub } from "../../engine/ops/elementwise.ts";
import { concat, expand, permute, reshape, slice, stopGradient } from "../../engine/ops/shape.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { Draws } from "../../tools/commands/soak/programs.ts";
import { onDevices } from "../devices.ts";

const test = await onDevices("random programs");

type Value = { readonly shape: readonly number[]; readonly data: readonly number[] };
/** One step of a program: from earlier values to a new one, on the device and in plain numbers. */
type Step = {
  readonly what: string;
  readonly from: readonly number[];
  readonly device: (tensors: Tensor[]) => Tensor[];
  readonly plain: (values: Value[]) => Value[];
};

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const one = (
  what: string,
  from: readonly number[],
  device: (...t: Tensor[]) => Tensor,
  plain: (...v: Value[]) => Value,
): Step => ({ what, from, device: (t) => [device(...t)], plain: (v) => [plain(...v)] });

const zip = (a: Value, b: Value, f: (x: number, y: number) => number): Value => ({
  shape: a.shape,
  data: a.data.map((x, i) => f(x, b.data[i])),
});
/** The value of `shape` whose element at place [i, j] is that of x at flat place `at`. */
const gathered = (x: Value, shape: readonly number[], at: (i: number, j: number) => number) => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, k) => {
    const columns = shape.length > 1 ? shape[1] : 1;
    return x.data[at(Math.floor(k / columns), k % columns)];
  }),
});

const options = { beta1: 0.5, beta2: 0.5, eps: 1, weightDecay: 0.125 };
const rates = { lr: 1, first: 2, second: 4 };

/** AdamW as its paper says it. */
function updated([p, m, v, g]: Value[]): Value[] {
  const [m1, v1] = [
    zip(m, g, (a, b) => 0.5 * a + 0.5 * b),
    zip(v, g, (a, b) => 0.5 * a + 0.5 * b * b),
  ];
  const data = p.data.map((x, i) => {
    const decayed = x - rates.lr * options.weightDecay * x;
    const root = Math.sqrt(v1.data[i] * rates.second) + options.eps;
    return decayed - (rates.lr * m1.data[i] * rates.first) / root;
  });
  return [{ shape: p.shape, data }, m1, v1];
}

/** Views and ops on one value of shape [n] or [rows, columns]. */
function unary(d: Draws, x: number, shape: readonly number[]): Step {
  const [rows, columns = 1] = shape;
  const kind = d.below(8);
  const start = d.below(rows);
  const end = start + 1 + d.below(rows - start);
  if (kind < 3) {
    const to = [end - start, ...shape.slice(1)];
    return one(
      `slice(${x}, 0, ${start}, ${end})`,
      [x],
      (t) => slice(t, 0, start, end),
      (v) => gathered(v, to, (i, j) => (i + start) * columns + j),
    );
  }
  if (kind === 3 && shape.length > 1) {
    const first = d.below(columns);
    return one(
      `slice(${x}, 1, ${first}, ${columns})`,
      [x],
      (t) => slice(t, 1, first, columns),
      (v) => gathered(v, [rows, columns - first], (i, j) => i * columns + j + first),
    );
  }
  if (kind === 4 && shape.length > 1) {
    return one(
      `permute(${x})`,
      [x],
      (t) => permute(t, [1, 0]),
      (v) => gathered(v, [columns, rows], (i, j) => j * columns + i),
    );
  }
  if (kind === 5 && shape.length > 1 && rows === 1) {
    return one(
      `expand(${x})`,
      [x],
      (t) => expand(t, [3, columns]),
      (v) => gathered(v, [3, columns], (_, j) => j),
    );
  }
  if (kind === 6) {
    const of = (v: Value) => ({ ...v, data: v.data });
    return one(`stopGradient(${x})`, [x], (t) => stopGradient(t), of);
  }
  const to = d.pick([[size(shape)], [columns, rows], [1, size(shape)]]);
  return one(
    `reshape(${x}, ${to})`,
    [x],
    (t) => reshape(t, to),
    ({ data }) => ({ shape: to, data }),
  );
}

/** An op on two values of one shape. */
function binary(d: Draws, a: number, b: number, shape: readonly number[]): Step {
  const kind = d.below(4);
  if (kind === 0) {
    const f = (x: Value, y: Value) => zip(x, y, (p, q) => p + q);
    return one(`add(${a}, ${b})`, [a, b], (s, t) => add(s, t), f);
  }
  if (kind === 1) {
    const f = (x: Value, y: Value) => zip(x, y, (p, q) => p - q);
    return one(`sub(${a}, ${b})`, [a, b], (s, t) => sub(s, t), f);
  }
  if (kind === 2) {
    const f = (x: Value, y: Value) => zip(x, y, Math.max);
    return one(`maximum(${a}, ${b})`, [a, b], (s, t) => maximum(s, t), f);
  }
  const to = [2 * shape[0], ...shape.slice(1)];
  return one(
    `concat(${a}, ${b})`,
    [a, b],
    (s, t) => concat([s, t], 0),
    (x, y) => ({ shape: to, data: [...x.data, ...y.data] }),
  );
}

/** States 0, 1, 2, then an argument; then what the steps give. */
type Program = {
  readonly shape: readonly number[];
  readonly states: number;
  readonly steps: readonly Step[];
  readonly assigns: readonly (readonly [state: number, value: number])[];
  readonly results: readonly number[];
};

const shapes = [[4, 64], [3, 5], [130], [2, 65], [1, 3], [256], [2, 128]];

/** States 0 to 2 are free; 3 and 4 are moments, which only an update writes. */
function randomProgram(seed: number): Program {
  const d = new Draws(seed);
  const shape = d.pick(shapes);
  const kinds: (readonly number[])[] = Array.from({ length: 6 }, () => shape);
  const steps: Step[] = [];
  const assigns: [number, number][] = [];
  const taken = new Set<number>();
  const alike = (s: readonly number[]) =>
    kinds.flatMap((k, i) => (k.join() === s.join() ? [i] : []));
  const moments = [[3, 4]];
  const length = 3 + d.below(10);
  while (steps.length < length) {
    const made = kinds.length;
    // states and what is made of them first are the likelier
    const a = d.below(2) ? d.below(kinds.length) : d.below(4);
    if (d.below(6) === 0 && moments.length > 0) {
      const [m, v] = moments.pop() ?? [];
      const p = d.pick([0, 1, 2].filter((s) => !taken.has(s)));
      const g = d.pick(alike(shape));
      taken.add(p);
      steps.push({
        what: `adamw(${p}, ${m}, ${v}, ${g})`,
        from: [p, m, v, g],
        device: ([s, t, u, w]) => {
          const scalars = [rates.lr, rates.first, rates.second, 0, 0, 0, 0, 0];
          return adamw(s, t, u, w, tensor([1, 1, 0, 0, ...scalars]), options);
        },
        plain: updated,
      });
      kinds.push(shape, shape, shape);
      assigns.push([p, made], [m, made + 1], [v, made + 2]);
      continue;
    }
    const b = d.pick(alike(kinds[a]));
    const step = d.below(3) ? unary(d, a, kinds[a]) : binary(d, a, b, kinds[a]);
    const zeros = step.from.map((i) => ({
      shape: kinds[i],
      data: new Array<number>(size(kinds[i])).fill(0),
    }));
    const [{ shape: to }] = step.plain(zeros);
    if (size(to) > 1024) continue;
    steps.push(step);
    kinds.push(to);
  }
  for (const s of [0, 1, 2]) {
    if (!taken.has(s) && d.below(3) > 0) assigns.push([s, d.pick(alike(shape))]);
  }
  const results = Array.from({ length: 1 + d.below(6) }, () =>
    d.below(3) ? d.below(kinds.length) : d.below(3),
  );
  return { shape, states: 5, steps, assigns, results };
}

const described = ({ shape, steps, assigns, results }: Program): string => {
  let at = 6;
  const lines = steps.map(({ what }) => {
    const line = `${at} = ${what}`;
    at += what.startsWith("adamw") ? 3 : 1;
    return line;
  });
  return `shape ${shape}; ${[...lines, ...assigns.map(([s, v]) => `${s} := ${v}`)].join("; ")}; returns ${results}`;
};

/** Up to the rounding of the largest value that the program had. */
const close = (got: ArrayLike<number>, want: readonly number[], largest: number): boolean =>
  got.length === want.length && want.every((x, i) => Math.abs(got[i] - x) <= 1e-4 + 1e-6 * largest);

/** Three runs; the results of a run are read behind the next. */
async function follows(device: Device, seed: number): Promise<void> {
  const program = randomProgram(seed);
  const { shape, steps, assigns, results } = program;
  const n = size(shape);
  let now: Value[] = Array.from({ length: program.states }, (_, s) => ({
    shape,
    data: Array.from({ length: n }, (_, i) => (s < 3 ? ((i * (s + 3)) % 23) - 7 * s : s + 1)),
  }));
  const states = now.map(({ data }, s) => state(`s${s}`, Float32Array.from(data), shape));
  const run = compile(device, (x: Tensor) => {
    const all = [...states, x];
    for (const { from, device: make } of steps) all.push(...make(from.map((i) => all[i])));
    for (const [s, v] of assigns) assign(all[s], all[v]);
    return results.map((i) => all[i]);
  });
  const held = [];
  let largest = 0;
  for (let r = 0; r < 3; r++) {
    const x = Array.from({ length: n }, (_, i) => ((i * 5 + r) % 11) - 4);
    const all: Value[] = [...now, { shape, data: x }];
    for (const { from, plain } of steps) all.push(...plain(from.map((i) => all[i])));
    for (const { data } of all) largest = data.reduce((a, v) => Math.max(a, Math.abs(v)), largest);
    const got = await run(tensor(Float32Array.from(x), shape));
    held.push({ got, want: results.map((i) => all[i].data) });
    now = now.map((_, s) => {
      const [, v] = assigns.find(([a]) => a === s) ?? [s, s];
      return all[v];
    });
    const late = held[r - 1];
    for (const { got, want } of r === 2 ? [late, held[r]] : late ? [late] : []) {
      for (const [i, result] of got.entries()) {
        const data = await result.read();
        const problem = `program ${seed}, run ${held.findIndex((h) => h.got === got)}, result ${results[i]}: ${described(program)}`;
        assert.ok(close(data, want[i], largest), problem);
      }
    }
  }
  const end = await read(device, states);
  end.forEach((data, s) => {
    assert.ok(
      close(data, now[s].data, largest),
      `program ${seed}, state ${s}: ${described(program)}`,
    );
  });
}

test("300 programs give what the interpreter gives", async (device) => {
  const kinds = new Set<string>();
  for (let seed = 0; seed < 300; seed++) {
    for (const { what } of randomProgram(seed).steps) kinds.add(what.replace(/\(.*/, ""));
    await follows(device, seed);
  }
  assert.is(kinds.size, 10, [...kinds].join());
});

test.run();
