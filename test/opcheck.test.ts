/** opcheck itself: what is right passes, and each way of being wrong is found. */
import { existsSync, readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GradRule, Op } from "../engine/op.ts";
import { equal, mul, mulOp, neg, tanh } from "../engine/ops/elementwise.ts";
import { sumTo } from "../engine/ops/reduce.ts";
import { reshape, stopGradient } from "../engine/ops/shape.ts";
import { apply1, type Tensor } from "../engine/tensor.ts";
import { openDevices } from "./devices.ts";
import { type Golden, readGolden } from "./golden.ts";
import { failuresOf, type OpFunction } from "./opcheck.ts";

type Sides = { left?: number; right?: number };

/** A golden's cases without number operands. */
function tensorsOnly(golden: Golden): Golden {
  return { ...golden, cases: golden.cases.filter((c) => c.inputs === 2) };
}

async function failures(name: string, fn: OpFunction<Sides>): Promise<string[]> {
  const golden = tensorsOnly(readGolden(name));
  const [device] = await openDevices();
  return failuresOf(device, golden, fn);
}

/** Multiplication with another gradient rule. */
function mulWith(grad: GradRule, more: Partial<Op> = {}): OpFunction<Sides> {
  const op: Op = { ...mulOp, ...more, grad };
  return ([a, b]) => apply1(op, [a, b], { side: 0 });
}

const both = (dy: Tensor, [a, b]: readonly Tensor[]): Tensor[] => [
  sumTo(mul(dy, b), a.shape),
  sumTo(mul(dy, a), b.shape),
];

const right: GradRule = ({ inputs, upstream: [dy] }) => (dy ? both(dy, inputs) : []);

function rejects(found: readonly string[], pattern: RegExp): void {
  assert.ok(
    found.some((f) => pattern.test(f)),
    `not rejected by ${pattern}: ${found.join("; ")}`,
  );
}

test("a right op passes", async () => {
  assert.equal(await failures("mul", mulWith(right)), []);
});

test("a wrong forward is found", async () => {
  const slightly = ([a, b]: Tensor[]) => mul(mul(a, b), 1.0001);
  rejects(await failures("mul", slightly), /length 65, output 0: element \d+ of \[65\] is/);
});

test("a right forward with a wrong gradient is found", async () => {
  const swapped: GradRule = ({ inputs: [a, b], upstream: [dy] }) =>
    dy ? [sumTo(mul(dy, a), a.shape), sumTo(mul(dy, b), b.shape)] : [];
  const found = await failures("mul", mulWith(swapped));
  rejects(found, /gradient of input 0/);
  rejects(found, /gradient of input 1/);
  assert.not.ok(found.some((f) => f.includes("output")));
});

test("a gradient that is off by one part in 300 is found", async () => {
  const off: GradRule = ({ inputs, upstream: [dy] }) =>
    dy ? both(mul(dy, 1 + 1 / 300), inputs) : [];
  rejects(await failures("mul", mulWith(off)), /length 64, gradient of input 0/);
});

test("a gradient of the wrong sign is found", async () => {
  const flipped: GradRule = ({ inputs, upstream: [dy] }) => (dy ? both(neg(dy), inputs) : []);
  rejects(await failures("mul", mulWith(flipped)), /gradient of input 0/);
});

test("a gradient that is zero is found", async () => {
  const stopped = ([a, b]: Tensor[]) => mul(stopGradient(a), stopGradient(b));
  const found = await failures("mul", stopped);
  rejects(found, /gradient of input 0: element 0 of \[1\] is 0/);
  rejects(found, /gradient of input 1: element 0 of \[1\] is 0/);
});

test("a gradient that is missing for one input is found", async () => {
  const half: GradRule = ({ inputs, upstream: [dy] }) => (dy ? [both(dy, inputs)[0]] : []);
  const found = await failures("mul", mulWith(half));
  rejects(found, /gradient of input 1: element 0 of \[1\] is 0/);
  assert.not.ok(found.some((f) => f.includes("gradient of input 0")));
});

test("a gradient that forgets to sum over broadcast axes is found", async () => {
  const forgetful: GradRule = ({ inputs: [a, b], upstream: [dy] }) =>
    dy ? [mul(dy, b), mul(dy, a)] : [];
  rejects(await failures("mul", mulWith(forgetful)), /gradient rule gave .* for input/);
});

test("a wrong shape and a wrong dtype are found", async () => {
  const flat = ([a, b]: Tensor[]) => reshape(mul(a, b), [1, -1]);
  rejects(await failures("mul", flat), /shape|broadcast/);
  const golden = readGolden("integers");
  const [device] = await openDevices();
  const cases = golden.cases.slice(0, 2);
  const bits = await failuresOf(device, { ...golden, cases }, ([a, b]) => equal(a, b));
  rejects(bits, /element 0/);
  rejects(bits, /u32 is not i32/);
});

test("an op that differs from its twin is found, forward and backward", async () => {
  const twin = ([a, b]: readonly Tensor[]) => [tanh(mul(a, b))];
  const found = await failures("mul", mulWith(right, { twin }));
  rejects(found, /mul and its twin, output 0/);
  rejects(found, /mul and its twin, gradient 1/);
  const same = mulWith(right, { twin: ([a, b]) => [mul(b, a)] });
  assert.equal(await failures("mul", same), []);
});

test("a missing golden, an empty one and one without a gradient are failures", async () => {
  assert.throws(() => readGolden("nothing"), /no such file/);
  const [device] = await openDevices();
  const golden = readGolden("mul");
  assert.equal(await failuresOf(device, { ...golden, cases: [] }, mulWith(right)), [
    "the golden has no cases",
  ]);
  const [first] = golden.cases;
  const cases = [{ ...first, grads: [0] }];
  const found = await failuresOf(device, { ...golden, cases }, mulWith(right));
  rejects(found, /the golden has no gradient of input 1/);
});

test("every golden has its test", () => {
  const ops = readdirSync(new URL("golden/ops", import.meta.url)).map((f) => f.split(".")[0]);
  const untested = ops.filter((op) => !existsSync(new URL(`ops/${op}.test.ts`, import.meta.url)));
  assert.equal(untested, []);
});

test.run();
