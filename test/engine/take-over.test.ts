/** An update may write over its state only where nobody reads the old value behind it. */
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { adamw } from "../../engine/ops/adamw.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { makePlan, type Plan } from "../../engine/plan.ts";
import { apply1, inputOp, state, type Tensor, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { onDevices } from "../devices.ts";
import { closeForward } from "../models/parity.ts";
import { type Adam64, adamw64, start64 } from "./adamw64.ts";

const test = await onDevices("taking over");

const rates: Adam64 = { lr: 0.25, weightDecay: 0.125, betas: [0.5, 0.75], eps: 1 };
const attrs = { beta1: 0.5, beta2: 0.75, eps: 1, weightDecay: 0.125 };
const numbers = (size: number, f: (i: number) => number) =>
  Float32Array.from({ length: size }, (_, i) => f(i));

/** A parameter with its moments. */
class Trained {
  readonly p: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly start: Float32Array;
  constructor(name: string, shape: readonly number[], f: (i: number) => number) {
    const size = shape.reduce((a, b) => a * b, 1);
    this.start = numbers(size, f);
    this.p = state(name, this.start, shape);
    this.m = state(`${name}.m`, new Float32Array(size), shape);
    this.v = state(`${name}.v`, new Float32Array(size), shape);
  }
  /** The first step along `gradient`, assigned; gives the new value. */
  update(gradient: Tensor): Tensor {
    const update = tensor([1, 1, 0, 0, 0.25, 1 / 0.5, 1 / 0.25, 0, 0, 0, 0, 0]);
    const [p, m, v] = adamw(this.p, this.m, this.v, gradient, update, attrs);
    assign(this.p, p);
    assign(this.m, m);
    assign(this.v, v);
    return p;
  }
  /** What the first step must give. */
  after(gradient: ArrayLike<number>): readonly number[] {
    return adamw64(start64(this.start), gradient, 1, rates).p;
  }
}

const pair = (shape: readonly number[]): [Trained, Trained] => [
  new Trained("one", shape, (i) => Math.sin(i) + 2),
  new Trained("two", shape, (i) => Math.cos(i) - 3),
];

test("the second of two updates reads the first's state", async (device) => {
  for (const shape of [[64], [3, 5]]) {
    const [one, two] = pair(shape);
    const g = numbers(one.p.size, (i) => Math.cos(3 * i));
    const step = compile(device, (gradient: Tensor) => {
      one.update(gradient);
      two.update(one.p);
    });
    await step(tensor(g, shape));
    const [p, q] = await read(device, [one.p, two.p]);
    closeForward(
      [
        { name: "the first", got: p, want: one.after(g) },
        { name: "the second", got: q, want: two.after(one.start) },
      ],
      1e-5,
    );
  }
});

test("each of three updates reads the state before it, by a view or by way of a sum", async (device) => {
  const [one, two] = pair([2, 64]);
  const three = new Trained("three", [1, 64], (i) => i / 64);
  const g = numbers(128, (i) => Math.cos(3 * i));
  const step = compile(device, (gradient: Tensor) => {
    one.update(gradient);
    two.update(add(one.p, 1));
    three.update(slice(two.p, 0, 1, 2));
  });
  await step(tensor(g, [2, 64]));
  const [p, q, r] = await read(device, [one.p, two.p, three.p]);
  closeForward(
    [
      { name: "the first", got: p, want: one.after(g) },
      { name: "the second", got: q, want: two.after(one.start.map((x) => x + 1)) },
      { name: "the third", got: r, want: three.after(two.start.subarray(64)) },
    ],
    1e-5,
  );
});

test("a stack that is made behind the update holds the old value", async (device) => {
  const g = numbers(128, (i) => Math.cos(3 * i));
  // the new value is read: the update cannot come last
  const run = async (read: (p: Tensor, gradient: Tensor) => Tensor) => {
    const [one] = pair([2, 64]);
    const step = compile(device, (gradient: Tensor) => {
      const after = mul(one.update(gradient), 1);
      return { after, stack: read(one.p, gradient) };
    });
    const { after, stack } = await step(tensor(g, [2, 64]));
    return { old: one.start, after, stack, want: one.after(g) };
  };
  // cut by the columns it is no view, and written straight into the stack
  const cut = await run((p) => {
    const part = slice(p, 1, 0, 32); // [2, 32]
    return concat([part, part], 0);
  });
  // one stack written straight into the other
  const nested = await run((p, gradient) => {
    const inner = concat([p, gradient], 0);
    return concat([inner, inner], 0);
  });
  const old = [...cut.old];
  const columns = [...old.slice(0, 32), ...old.slice(64, 96)];
  closeForward(
    [
      { name: "the new value", got: await cut.after.read(), want: cut.want },
      { name: "its columns", got: await cut.stack.read(), want: [...columns, ...columns] },
      { name: "the new value again", got: await nested.after.read(), want: nested.want },
      {
        name: "the stack of stacks",
        got: await nested.stack.read(),
        want: [...old, ...g, ...old, ...g],
      },
    ],
    1e-5,
  );
});

const copies = (plan: Plan): number =>
  plan.launches.filter(({ kernel }) => kernel === "copy_flat").length;

test("no copy where everybody reads before, and as many as results need", () => {
  const g = apply1(inputOp, [], { spec: { shape: [64], dtype: "f32" }, index: 0 });
  const plan = (results: (p: Tensor, other: Tensor) => Tensor[]): number => {
    const p = state("p", new Float32Array(64), [64]);
    const [m, v, other] = ["m", "v", "other"].map((n) => state(n, new Float32Array(64), [64]));
    const update = tensor(new Float32Array(12));
    const made = results(p, other);
    const outputs = adamw(p, m, v, g, update, attrs);
    const effects = [p, m, v].map((s, i) => ({ state: s, value: outputs[i] }));
    return copies(makePlan([...made, outputs[0]], effects, [g]));
  };
  assert.is(
    plan((p) => [add(p, 1)]),
    0,
  );
  assert.is(
    plan((_, other) => [other]),
    0,
    "a state that no run assigns",
  );
  assert.is(
    plan((p) => [p]),
    1,
  );
  assert.is(
    plan((p) => [p, slice(p, 0, 0, 3), p]),
    2,
  );
});

test("no copy of a window whose neighbours on both sides are read later", () => {
  const x = apply1(inputOp, [], { spec: { shape: [192], dtype: "f32" }, index: 0 });
  const y = mul(x, 2);
  const [below, window, above] = [0, 64, 128].map((from) => slice(y, 0, from, from + 64));
  const moments = [3, 4].map((k) => mul(slice(x, 0, 0, 64), k));
  const update = tensor(new Float32Array(12));
  const [p] = adamw(window, moments[0], moments[1], slice(x, 0, 0, 64), update, attrs);
  assert.is(copies(makePlan([add(below, p), add(above, p)], [], [x])), 0);
  assert.is(copies(makePlan([add(window, p)], [], [x])), 1);
});

test.run();
