/** Every op of the public list given a tensor without elements: refused at the op in one sentence, and the device goes on. */
import * as assert from "uvu/assert";
import * as engine from "../../engine/index.ts";
import { adamw, gradNorm } from "../../engine/ops/adamw.ts";
import { columnSums } from "../../engine/ops/column-sums.ts";
import { randomBits } from "../../engine/ops/dropout.ts";
import { entropy } from "../../engine/ops/entropy.ts";
import { onDevices } from "../devices.ts";

const { ones, tensor, zeros } = engine;
type Tensor = engine.Tensor;

const test = await onDevices("empty tensors");

const empty = (...shape: number[]): Tensor => tensor(new Float32Array(0), shape);
const none = (...shape: number[]): Tensor => tensor(new Uint32Array(0), shape);
const rng = tensor(Uint32Array.of(1, 0, 1, 0));

const { add, sub, mul, div, maximum, minimum } = engine;
const { greater, less, greaterEqual, lessEqual, equal, notEqual } = engine;
const arithmetic = { add, sub, mul, div, maximum, minimum };
const comparisons = { greater, less, greaterEqual, lessEqual, equal, notEqual };
const { abs, cos, exp, gelu, geluTanh, log, neg, reciprocal, relu } = engine;
const { rsqrt, sigmoid, silu, sin, sqrt, square, tanh } = engine;
const first = { abs, cos, exp, gelu, geluTanh, log, neg, reciprocal, relu };
const rest = { rsqrt, sigmoid, silu, sin, sqrt, square, tanh };
const heads = { heads: 2, scale: 1 };

const table: Record<string, (() => unknown)[]> = {
  ...Object.fromEntries(
    Object.entries({ ...arithmetic, ...comparisons }).map(([name, op]) => [
      name,
      [
        () => op(empty(0), 1),
        () => op(2, empty(2, 0)),
        () => op(empty(0), empty(0)),
        () => op(empty(0), ones([1])),
        () => op(ones([3, 1]), empty(3, 0)),
      ],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries({ ...first, ...rest }).map(([name, op]) => [
      name,
      [() => op(empty(0)), () => op(empty(2, 0, 3))],
    ]),
  ),
  logicalAnd: [() => engine.logicalAnd(none(0), none(0)), () => engine.logicalAnd(none(0), 1)],
  logicalOr: [() => engine.logicalOr(none(0), none(0))],
  logicalNot: [() => engine.logicalNot(none(0))],
  addN: [() => engine.addN([empty(0), empty(0)])],
  argmax: [() => engine.argmax(empty(0)), () => engine.argmax(empty(0, 3))],
  topK: [() => engine.topK(empty(0), 1), () => engine.topK(empty(2, 0), 0)],
  attention: [
    () => engine.attention(empty(1, 0, 8), ones([1, 2, 8]), ones([1, 2, 8]), undefined, heads),
    () => engine.attention(ones([1, 2, 8]), empty(1, 0, 8), empty(1, 0, 8), undefined, heads),
    () => engine.attention(empty(0, 2, 8), empty(0, 2, 8), empty(0, 2, 8), undefined, heads),
  ],
  crossEntropy: [
    () => engine.crossEntropy(empty(0, 3), none(0)),
    () => engine.crossEntropy(empty(2, 0), tensor(Uint32Array.of(0, 1))),
  ],
  binaryCrossEntropyWithLogits: [
    () => engine.binaryCrossEntropyWithLogits(empty(0), empty(0)),
    () => engine.binaryCrossEntropyWithLogits(empty(2, 0), empty(2, 0)),
  ],
  dropout: [() => engine.dropout(empty(0), 0.5, rng)],
  cast: [() => engine.cast(none(0), "f32"), () => engine.cast(empty(0), "u32")],
  where: [
    () => engine.where(none(0), 1, 2),
    () => engine.where(none(0), empty(0), 1),
    () => engine.where(ones([1], "u32"), empty(0), empty(0)),
  ],
  embedding: [
    () => engine.embedding(ones([3, 4]), none(0)),
    () => engine.embedding(empty(3, 0), tensor(Uint32Array.of(0))),
    () => engine.embedding(empty(0, 4), tensor(Uint32Array.of(0))),
  ],
  full: [() => engine.full([0], 1), () => engine.full([2, 0], 1, "u32")],
  ones: [() => ones([0])],
  zeros: [() => zeros([0, 3])],
  clamp: [() => engine.clamp(empty(0), { min: 0 })],
  pow: [() => engine.pow(empty(0), 3), () => engine.pow(empty(0), 0.3)],
  rmsNorm: [
    () => engine.rmsNorm(empty(0, 3), ones([3]), 1e-6),
    () => engine.rmsNorm(empty(3, 0), undefined, 1e-6),
  ],
  std: [() => engine.std(empty(0)), () => engine.std(empty(0, 3), 0)],
  variance: [() => engine.variance(empty(0)), () => engine.variance(empty(0, 3), 0)],
  layerNorm: [
    () => engine.layerNorm(empty(0, 3), ones([3]), ones([3]), 1e-5),
    () => engine.layerNorm(empty(3, 0), empty(0), empty(0), 1e-5),
  ],
  linear: [
    () => engine.linear(empty(0, 3), ones([2, 3])),
    () => engine.linear(empty(2, 0), empty(4, 0)),
    () => engine.linear(ones([2, 3]), empty(0, 3)),
    () => engine.linear(empty(0, 3), ones([2, 3]), ones([2]), { activation: "relu" }),
  ],
  matmul: [
    () => engine.matmul(empty(0, 4), ones([4, 3])),
    () => engine.matmul(ones([3, 4]), empty(4, 0)),
    () => engine.matmul(empty(3, 0), empty(0, 4)),
    () => engine.matmul(empty(0, 3, 4), empty(0, 4, 5)),
  ],
  sum: [
    () => engine.sum(empty(0)),
    () => engine.sum(empty(3, 0), 0),
    () => engine.sum(empty(3, 0), 1),
  ],
  mean: [() => engine.mean(empty(0)), () => engine.mean(empty(0, 3), 0)],
  max: [() => engine.max(empty(0)), () => engine.max(empty(0, 3), 1)],
  min: [() => engine.min(empty(0)), () => engine.min(empty(0, 3), 1)],
  stack: [() => engine.stack([empty(0), empty(0)]), () => engine.stack([empty(2, 0)], 1)],
  concat: [
    () => engine.concat([empty(0, 3), empty(0, 3)], 0),
    () => engine.concat([ones([2, 3]), empty(0, 3)], 0),
  ],
  expand: [() => engine.expand(ones([1]), [0]), () => engine.expand(empty(0, 1), [0, 3])],
  permute: [() => engine.permute(empty(0, 3), [1, 0])],
  transpose: [() => engine.transpose(empty(3, 0), 0, 1)],
  reshape: [() => engine.reshape(empty(0, 3), [0]), () => engine.reshape(empty(0), [-1, 0])],
  slice: [() => engine.slice(empty(0, 3), 1, 0, 2), () => engine.slice(ones([3]), 0, 1, 1)],
  logSoftmax: [() => engine.logSoftmax(empty(0, 3)), () => engine.logSoftmax(empty(3, 0))],
  softmax: [() => engine.softmax(empty(0, 3)), () => engine.softmax(empty(3, 0))],
  stopGradient: [() => engine.stopGradient(empty(0))],
};

/** Ops beside the public list. */
const inner: (() => unknown)[] = [
  () => randomBits(none(0, 4), none(0, 2)),
  () => columnSums(empty(0, 3)),
  () => columnSums(empty(3, 0)),
  () => entropy(empty(0)),
  () => entropy(empty(3, 0)),
  () => gradNorm([empty(0)], [], 1),
  () =>
    adamw(empty(0), empty(0), empty(0), empty(0), ones([12]), {
      beta1: 0.9,
      beta2: 0.99,
      eps: 1e-8,
      weightDecay: 0,
    }),
];

/** What the engine exports beside ops. */
const OTHERS = [
  ...[
    "AdamW",
    "DeviceLostError",
    "EngineError",
    "GradientAccumulator",
    "NoDeviceError",
    "NonFiniteError",
    "OutOfMemoryError",
    "SGD",
  ],
  ...[
    "Result",
    "Tensor",
    "activations",
    "assign",
    "compile",
    "constantSchedule",
    "cosineSchedule",
    "customOp",
    "deviceNames",
    "grad",
    "linearSchedule",
    "numel",
    "opcheck",
    "openDevice",
    "precisions",
  ],
  ...["kaimingUniform", "normal", "uniform", "xavierUniform"],
  ...["read", "scalar", "state", "stateName", "tensor"],
];

test("every op refuses one, and the device goes on", async (device) => {
  const listed = [...Object.keys(table), ...OTHERS].sort();
  assert.equal(Object.keys(engine).sort(), listed);
  const calls = [
    ...Object.entries(table).flatMap(([name, runs]) => runs.map((run) => ({ name, run }))),
  ];
  for (const { name, run } of [...calls, ...inner.map((run) => ({ name: "inner", run }))]) {
    assert.throws(run, (error: Error) => {
      assert.instance(error, engine.EngineError, `${name}: ${error.message}`);
      assert.match(error.message, /^\[\w+\] [^\n]+$/, name);
      return true;
    });
  }
  const w = engine.state("w", new Float32Array(12).fill(1), [3, 4]);
  assert.equal([...(await engine.read(device, [engine.sum(w)]))[0]], [12]);
});

test("one that is only made is read, beside others", async (device) => {
  const values = await engine.read(device, [empty(0), engine.add(ones([2]), 1), none(2, 0)]);
  assert.equal(
    values.map((v) => [...v]),
    [[], [2, 2], []],
  );
  assert.equal([...(await engine.read(device, [empty(0)]))[0]], []);
});

test("as an argument of a compiled function it is refused by the op, or given back", async (device) => {
  const twice = engine.compile(device, (x: Tensor) => engine.mul(x, 2));
  await twice(new Float32Array(0)).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /^\[mul\] f32\[0\] has no elements/),
  );
  assert.equal([...(await (await twice(Float32Array.of(1, 2))).read())], [2, 4]);
  const same = engine.compile(device, (x: Tensor, y: Tensor) => [x, engine.add(y, 1)] as const);
  const [x, y] = await same(new Float32Array(0), Float32Array.of(1));
  assert.equal([[...(await x.read())], [...(await y.read())]], [[], [2]]);
});

test("a state without elements is read and written", async (device) => {
  const s = engine.state("s", new Float32Array(0), [0]);
  assert.equal([...(await engine.read(device, [s]))[0]], []);
  const w = engine.state("w", Float32Array.of(3), [1]);
  const got = await engine.read(device, [s, engine.add(w, 1)]);
  assert.equal(
    got.map((v) => [...v]),
    [[], [4]],
  );
});

test.run();
