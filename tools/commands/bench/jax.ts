/**
 * The benchmark's work on jax-js, in a process of its own: on its wasm backend for the device cpu, else on its webgpu backend.
 * Its values are reference-counted: an argument is consumed unless passed as `.ref`.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { about, job, threadCount, time } from "./process.ts";
import { provideWorkers } from "./workers.ts";
import { matmulSizes, operands, rows, stack, stackInput, stackWeights } from "./workload.ts";

const { device, threads, folder, wanted, products } = job();
const backend = device === "cpu" ? "wasm" : "webgpu";
if (backend === "wasm") provideWorkers(threads);
else await provideWebGPU();

/** Dawn, as a browser would offer it. */
async function provideWebGPU(): Promise<void> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create([]);
  Object.defineProperty(globalThis, "__dawn", { value: gpu });
  Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  pace();
}

/** The same nap between Dawn's polls that the engine takes, so that the adapter has both cores. */
function pace(): void {
  const nap = new Int32Array(new SharedArrayBuffer(4));
  let pending = 0;
  const tick = (): void => {
    if (pending === 0) return;
    Atomics.wait(nap, 0, 0, 0.2);
    setImmediate(tick);
  };
  const wrap = (owner: object, method: string): void => {
    const original = Reflect.get(owner, method) as (...args: unknown[]) => Promise<unknown>;
    Reflect.set(owner, method, function (this: unknown, ...args: unknown[]) {
      const promise = original.apply(this, args);
      if (pending++ === 0) setImmediate(tick);
      const done = (): void => {
        pending--;
      };
      promise.then(done, done);
      return promise;
    });
  };
  wrap(GPUQueue.prototype, "onSubmittedWorkDone");
  wrap(GPUBuffer.prototype, "mapAsync");
}

/** As much of jax-js's interface as is used here. */
type Value = {
  readonly ref: Value;
  add(x: Value | number): Value;
  sub(x: Value | number): Value;
  mul(x: Value | number): Value;
  div(x: Value | number): Value;
  mean(axis?: number, options?: { keepdims: boolean }): Value;
  reshape(shape: readonly number[]): Value;
  data(): Promise<Float32Array>;
};
type Values = Record<string, Value>;
type Jax = {
  init(backend: string): Promise<unknown>;
  defaultDevice(backend: string): void;
  numpy: {
    array(data: Float32Array): Value;
    matmul(a: Value, b: Value): Value;
    square(x: Value): Value;
    sqrt(x: Value): Value;
    zerosLike(x: Value): Value;
  };
  nn: {
    softmax(x: Value, axis: number): Value;
    gelu(x: Value, options: { approximate: boolean }): Value;
    dotProductAttention(q: Value, k: Value, v: Value): Value;
  };
  jit<F>(f: F): F;
  valueAndGrad(f: (p: Values, x: Value) => Value): (p: Values, x: Value) => [Value, Values];
  tree: {
    ref<T>(tree: T): T;
    map(f: (...leaves: Value[]) => Value, ...trees: Values[]): Values;
    dispose(tree: unknown): void;
  };
  blockUntilReady(tree: unknown): Promise<unknown>;
};

const home = join(folder, "node_modules/@jax-js/jax");
const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
const entry: string = manifest.module ?? manifest.main ?? "dist/index.js";
const jax = (await import(pathToFileURL(join(home, entry)).href)) as Jax;
const { numpy: np, nn, tree, blockUntilReady } = jax;
await jax.init(backend);
jax.defaultDevice(backend);
about(
  `jax-js ${manifest.version}, ${backend}${backend === "wasm" ? `, ${threadCount(threads)}` : ""}`,
);

const value = (data: Float32Array, shape: readonly number[]): Value =>
  np.array(data).reshape(shape);
/** Times `f` until its result is there, then checks the result's mean square. */
const kernel = (name: string, f: () => Value): Promise<void> =>
  time(
    name,
    async () => {
      const y = f();
      await blockUntilReady(y);
      tree.dispose(y);
      return undefined;
    },
    // row by row first: one sum of a million squares in f32 loses digits
    { check: async () => (await np.square(f()).mean(-1).mean().data())[0] },
  );

function layerNorm(x: Value, weight: Value, bias: Value): Value {
  const mean = x.ref.mean(-1, { keepdims: true });
  const centred = x.sub(mean);
  const variance = np.square(centred.ref).mean(-1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(1e-12)))
    .mul(weight)
    .add(bias);
}

if (wanted("matmul")) {
  for (const n of matmulSizes) {
    const [a, b] = operands.matmul(n).map((x) => value(x, [n, n]));
    for (const name of products(n)) await kernel(name, () => np.matmul(a.ref, b.ref));
  }
}
if (wanted("rows")) {
  const x = value(operands.softmax(), rows.softmax);
  const softmax = jax.jit((v: Value) => nn.softmax(v, -1));
  await kernel("softmax 2048x512", () => softmax(x.ref));
  const parts = operands.layernorm();
  const y = value(parts.x, rows.layernorm);
  const [g, b] = [parts.weight, parts.bias].map((w) => value(w, [w.length]));
  const norm = jax.jit(layerNorm);
  await kernel("layernorm 2048x768", () => norm(y.ref, g.ref, b.ref));
}

const { batch, sequence, heads, hidden, layers } = stack;
function forward(p: Values, input: Value): Value {
  let x = input;
  for (let l = 0; l < layers; l++) {
    const dense = (v: Value, name: string): Value =>
      np.matmul(v, p[`${l}.${name}.weight`]).add(p[`${l}.${name}.bias`]);
    const split = (v: Value): Value => v.reshape([batch, sequence, heads, hidden / heads]);
    const [q, k, v] = ["query", "key", "value"].map((name) => split(dense(x.ref, name)));
    const mixed = nn.dotProductAttention(q, k, v).reshape([batch * sequence, hidden]);
    const norm = (v: Value, name: string): Value =>
      layerNorm(v, p[`${l}.${name}.weight`], p[`${l}.${name}.bias`]);
    x = norm(x.add(dense(mixed, "attention")), "norm1");
    const inner = nn.gelu(dense(x.ref, "up"), { approximate: false });
    x = norm(x.add(dense(inner, "down")), "norm2");
  }
  return x;
}

let p: Values = Object.fromEntries(stackWeights().map((w) => [w.name, value(w.data, w.shape)]));
const x = value(stackInput(), [batch * sequence, hidden]);
if (wanted("forward")) {
  const f = jax.jit(forward);
  await kernel("stack forward", () => f(tree.ref(p), x.ref));
}
if (wanted("training")) {
  const lossAndGrad = jax.valueAndGrad((w: Values, v: Value) => np.square(forward(w, v)).mean());
  const step = jax.jit((w: Values, m: Values, v: Values, c1: Value, c2: Value, input: Value) => {
    const [loss, g] = lossAndGrad(tree.ref(w), input);
    const m2 = tree.map((a, b) => a.mul(0.9).add(b.mul(0.1)), m, tree.ref(g));
    const v2 = tree.map((a, b) => a.mul(0.999).add(np.square(b).mul(0.001)), v, g);
    const update = (a: Value, b: Value, c: Value): Value =>
      a.sub(
        b
          .div(c1.ref)
          .div(np.sqrt(c.div(c2.ref)).add(1e-8))
          .mul(1e-3),
      );
    return [tree.map(update, w, tree.ref(m2), tree.ref(v2)), m2, v2, loss] as const;
  });
  let m = tree.map((a) => np.zerosLike(a.ref), p);
  let v = tree.map((a) => np.zerosLike(a.ref), p);
  let t = 0;
  await time("stack training", async () => {
    t++;
    const scalar = (s: number): Value => np.array(Float32Array.of(s)).reshape([]);
    let loss: Value;
    [p, m, v, loss] = step(p, m, v, scalar(1 - 0.9 ** t), scalar(1 - 0.999 ** t), x.ref);
    const [first] = await loss.data();
    await blockUntilReady(p);
    return first;
  });
}
process.exit(0);
