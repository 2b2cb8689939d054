import { suite } from "uvu";
import * as assert from "uvu/assert";
import { grad } from "../../engine/grad.ts";
import { attention } from "../../engine/ops/attention.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, reshape, slice } from "../../engine/ops/shape.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { makePlan, type Plan } from "../../engine/plan.ts";
import type { Shape } from "../../engine/shape.ts";
import { apply1, inputOp, state, type Tensor } from "../../engine/tensor.ts";

const test = suite("plan");

const input = (shape: Shape, index = 0): Tensor =>
  apply1(inputOp, [], { spec: { shape, dtype: "f32" }, index });
const count = (plan: Plan, kernel: string): number =>
  plan.launches.filter((l) => l.kernel === kernel).length;
const kernels = (plan: Plan): string[] => plan.launches.map((l) => l.kernel);

test("what no result needs is dropped", () => {
  const x = input([64]);
  mul(x, 3);
  assert.equal(kernels(makePlan([add(x, 1)], [], [x])), ["binary"]);
});

test("a reshape and an aligned slice along the leading axis cost nothing", () => {
  const x = input([4, 64]);
  const y = mul(x, 2);
  const plan = makePlan([mul(reshape(slice(y, 0, 1, 3), [128]), 2)], [], [x]);
  assert.equal(kernels(plan), ["binary", "binary"]);
  assert.is(plan.launches[1].inputs[0]?.byteOffset, 256);
});

test("a chain shares two slots, whatever its length", () => {
  const x = input([1000]);
  let y = x;
  for (let i = 0; i < 50; i++) y = mul(y, 2);
  assert.is(makePlan([y], [], [x]).slots.length, 2);
});

test("plans that grow and plans that shrink share slots as large as either needs", () => {
  const x = input([3000]);
  const sizes = [1000, 200, 3000, 50, 700];
  const chain = (order: readonly number[]): Plan => {
    const parts = order.map((n) => mul(slice(x, 0, 0, n), 2)); // all alive until the end
    const sums = parts.map((part) => sum(part));
    return makePlan(
      [
        concat(
          [...sums, ...parts].map((t) => reshape(t, [-1])),
          0,
        ),
      ],
      [],
      [x],
    );
  };
  const [one, other] = [chain(sizes), chain([...sizes].reverse())];
  const total = (slots: readonly number[]): number => slots.reduce((all, bytes) => all + bytes, 0);
  const shared = one.slots.map((bytes, i) => Math.max(bytes, other.slots[i] ?? 0));
  assert.is(total(shared), Math.max(total(one.slots), total(other.slots)));
  for (const { slots, launches } of [one, other]) {
    assert.equal(
      slots,
      [...slots].sort((a, b) => b - a),
    );
    for (const l of launches) {
      for (const r of [...l.inputs, ...l.outputs]) {
        if (r?.memory.kind !== "slot") continue;
        assert.ok(
          r.byteOffset + r.byteLength <= slots[r.memory.index],
          "the operand fits its slot",
        );
      }
    }
  }
});

test("producers write straight into the stack that is made of them", () => {
  const x = input([1, 64]);
  const rows = [1, 2, 3].map((i) => mul(x, i));
  const plan = makePlan([softmax(concat(rows, 0))], [], [x]);
  assert.equal(kernels(plan), ["binary", "binary", "binary", "softmax"]);
  assert.equal(
    plan.launches.slice(0, 3).map((l) => l.outputs[0]?.byteOffset),
    [0, 256, 512],
  );
});

test("a row that does not end on an aligned address is copied", () => {
  const x = input([1, 10]);
  const plan = makePlan([softmax(concat([mul(x, 1), mul(x, 2)], 0))], [], [x]);
  assert.is(count(plan, "copy"), 1);
});

test("a growing cache is one buffer: no copies forward, and gradients accumulate in place", () => {
  const [heads, width] = [2, 64];
  const matrix = (name: string): Tensor =>
    state(name, new Float32Array(width * width), [width, width]);
  const [q, k, v] = ["q", "k", "v"].map(matrix);
  const x = input([1, 4, width]);
  let h = x;
  let keys: Tensor | undefined;
  let values: Tensor | undefined;
  for (let t = 0; t < 6; t++) {
    const [newKey, newValue] = [linear(h, k), linear(h, v)];
    keys = keys ? concat([keys, newKey], 0) : newKey;
    values = values ? concat([values, newValue], 0) : newValue;
    const options = { heads, scale: 1, queryLayout: "tbd", keyLayout: "tbd" } as const;
    h = attention(linear(h, q), keys, values, undefined, options);
  }
  const forward = makePlan([h], [], [x]);
  assert.is(count(forward, "copy") + count(forward, "copy_flat"), 0, kernels(forward).join());
  assert.is(count(forward, "matmul"), 18);
  const plan = makePlan(grad(sum(h), [k]), [], [x]);
  const places = plan.launches
    .filter((l) => l.kernel === "attention_dkv")
    .map((l) => l.inouts.map((r) => JSON.stringify(r.memory)).join());
  assert.is(places.length, 6);
  // every step but the last of the walk back adds to the buffers of the step before it
  assert.is(new Set(places.slice(0, -1).filter((p) => p !== "")).size, 1, places.join(" "));
});

test("gradients of one weight used many times are one product over stacked rows", () => {
  const w = state("w", new Float32Array(64 * 64), [64, 64]);
  const x = input([4, 64]);
  let h = x;
  for (let t = 0; t < 5; t++) h = linear(h, w);
  const plan = makePlan(grad(sum(h), [w]), [], [x]);
  // 5 forward (the last is not needed for the gradient of a sum), 4 back, 1 for the weight
  const products = plan.launches.filter((l) => l.kernel === "matmul");
  const weightProducts = products.filter((l) => l.constants.TRANS_A === 1);
  assert.is(weightProducts.length, 1);
  assert.is(weightProducts[0].params.K, 20);
});

test("an update takes over its state when all readers ran before", () => {
  const s = state("s", new Float32Array(64), [64]);
  const before = mul(s, 2);
  const next = add(s, 1);
  const plan = makePlan([before], [{ state: s, value: next }], []);
  assert.equal(kernels(plan), ["binary", "binary", "copy_flat"]);
  assert.is(plan.launches[2].outputs[0]?.memory.kind, "state");
});

test("no launch reads and writes one buffer", () => {
  const w = state("w", new Float32Array(64 * 64), [64, 64]);
  const x = input([4, 64]);
  let h = x;
  const seen: Tensor[] = [x];
  for (let t = 0; t < 5; t++) {
    h = softmax(linear(add(h, seen[0]), w));
    seen.push(h);
  }
  const loss = sum(mul(concat(seen, 0), concat(seen, 0)));
  const plan = makePlan(grad(loss, [w, x]), [], [x]);
  const key = (r: Plan["launches"][number]["inputs"][number]): string =>
    r ? JSON.stringify(r.memory.kind === "slot" ? r.memory.index : r.memory.kind) : "";
  for (const l of plan.launches) {
    const written = new Set([...l.inouts, ...l.outputs].filter((r) => r).map(key));
    for (const r of l.inputs)
      assert.not.ok(r && written.has(key(r)), `${l.op} reads what it writes`);
  }
});

test.run();
