/**
 * The benchmark's work on TensorFlow.js's WebAssembly backend, in a process of its own.
 *
 * In Node the backend takes one thread, because its workers start from blobs that Node's Worker cannot read. Here they get
 * what the blobs hold, from the package's own files.
 */
import { existsSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { about, job, threadCount, time } from "./process.ts";
import { matmulSizes, operands, rows, stack, stackInput, stackWeights } from "./workload.ts";

/** As much of TensorFlow.js's interface as is used here. */
type Value = {
  dispose(): void;
  dataSync(): Float32Array;
};
type Tf = {
  version_core: string;
  env(): { set(flag: string, value: boolean): void };
  setBackend(name: string): Promise<boolean>;
  tidy<T>(f: () => T): T;
  tensor(data: Float32Array, shape: readonly number[]): Value;
  variable(initial: Value): Value;
  matMul(a: Value, b: Value): Value;
  fused: { matMul(operands: { a: Value; b: Value; bias: Value }): Value };
  add(a: Value, b: Value | number): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value | number): Value;
  square(x: Value): Value;
  rsqrt(x: Value): Value;
  erf(x: Value): Value;
  mean(x: Value, axis?: number, keepDims?: boolean): Value;
  softmax(x: Value): Value;
  reshape(x: Value, shape: readonly number[]): Value;
  transpose(x: Value, perm: readonly number[]): Value;
  slice(x: Value, begin: number, size: number): Value;
  train: {
    adam(
      rate: number,
      beta1: number,
      beta2: number,
      epsilon: number,
    ): { minimize(f: () => Value, returnCost: true): Value };
  };
};
type Backend = {
  setThreadsCount(n: number): void;
  getThreadsCount(): number;
};

const { threads, folder, wanted, products } = job();
const require = createRequire(join(folder, "package.json"));
const scope = join(folder, "node_modules/@tensorflow");

/** Lets the backend's threaded form start in Node with `threads` threads. Before the backend is loaded. */
function provideThreads(): void {
  const built = join(scope, "tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd");
  const { wasmWorkerContents } = require(`${built}.worker.js`) as { wasmWorkerContents: string };
  class BackendWorker extends Worker {
    constructor() {
      super(wasmWorkerContents.replaceAll("\n", "\\n"), { eval: true });
    }
    override postMessage(message: unknown): void {
      const loads = typeof message === "object" && message !== null && "urlOrBlob" in message;
      super.postMessage(loads ? { ...message, urlOrBlob: `${built}.js` } : message);
    }
  }
  Object.assign(require("node:worker_threads"), { Worker: BackendWorker });
  // the backend takes half of the processors at most
  Object.assign(require("node:os"), { cpus: () => Array.from({ length: 2 * threads }) });
}
provideThreads();
// its threads do not keep the process alive while it waits for them
setInterval(() => {}, 60_000);

const tf = require("@tensorflow/tfjs-core") as Tf;
const backend = require("@tensorflow/tfjs-backend-wasm") as Backend;
// gradients are published only as modules whose imports have no endings
registerHooks({
  resolve(specifier, context, next) {
    if (specifier.startsWith(".") && context.parentURL?.includes("/tfjs-core/dist/")) {
      const candidates = [`${specifier}.js`, `${specifier}/index.js`];
      const found = candidates.map((s) => new URL(s, context.parentURL)).find((u) => existsSync(u));
      if (found) return next(found.href, context);
    }
    return next(specifier, context);
  },
});
await import(pathToFileURL(join(scope, "tfjs-core/dist/register_all_gradients.js")).href);
tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", threads > 1);
if (threads > 1) backend.setThreadsCount(threads);
await tf.setBackend("wasm");
const taken = threads > 1 ? backend.getThreadsCount() : 1;
about(`tfjs-wasm ${tf.version_core}, ${threadCount(taken)}`);

/** Times `f`, which is complete when it returns, and frees what it made. */
const kernel = (name: string, f: () => Value): Promise<void> => {
  const item = (end: () => Value): number => {
    const y = tf.tidy(end);
    const [value] = y.dataSync();
    y.dispose();
    return value;
  };
  return time(name, async () => item(() => tf.slice(tf.reshape(f(), [-1]), 0, 1)), {
    // row by row first: one sum of a million squares in f32 loses digits
    check: async () => item(() => tf.mean(tf.mean(tf.square(f()), -1))),
  });
};

if (wanted("matmul")) {
  for (const n of matmulSizes) {
    const [a, b] = operands.matmul(n).map((x) => tf.tensor(x, [n, n]));
    for (const name of products(n)) await kernel(name, () => tf.matMul(a, b));
  }
}

function layerNorm(x: Value, weight: Value, bias: Value): Value {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  const normal = tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-12)));
  return tf.add(tf.mul(normal, weight), bias);
}
if (wanted("rows")) {
  const x = tf.tensor(operands.softmax(), rows.softmax);
  await kernel("softmax 2048x512", () => tf.softmax(x));
  const norm = operands.layernorm();
  const y = tf.tensor(norm.x, rows.layernorm);
  const [weight, bias] = [norm.weight, norm.bias].map((w) => tf.tensor(w, [w.length]));
  await kernel("layernorm 2048x768", () => layerNorm(y, weight, bias));
}

const { batch, sequence, heads, hidden, layers } = stack;
const p = Object.fromEntries(
  stackWeights().map((w) => [w.name, tf.variable(tf.tensor(w.data, w.shape))]),
);
const input = tf.tensor(stackInput(), [batch * sequence, hidden]);

const gelu = (x: Value): Value =>
  tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
function forward(): Value {
  let x = input;
  for (let l = 0; l < layers; l++) {
    const of = (name: string): [Value, Value] => [p[`${l}.${name}.weight`], p[`${l}.${name}.bias`]];
    const dense = (a: Value, name: string): Value => {
      const [b, bias] = of(name);
      return tf.fused.matMul({ a, b, bias });
    };
    const split = [batch, sequence, heads, hidden / heads];
    const head = (name: string, perm: number[]): Value =>
      tf.transpose(tf.reshape(dense(x, name), split), perm);
    // a transposed operand would make its product many times slower than this transposition
    const scores = tf.matMul(head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]));
    const weights = tf.softmax(tf.mul(scores, (hidden / heads) ** -0.5));
    const mixed = tf.transpose(tf.matMul(weights, head("value", [0, 2, 1, 3])), [0, 2, 1, 3]);
    const merged = tf.reshape(mixed, [batch * sequence, hidden]);
    x = layerNorm(tf.add(x, dense(merged, "attention")), ...of("norm1"));
    x = layerNorm(tf.add(x, dense(gelu(dense(x, "up")), "down")), ...of("norm2"));
  }
  return x;
}
if (wanted("forward")) await kernel("stack forward", forward);
if (wanted("training")) {
  const optimizer = tf.train.adam(1e-3, 0.9, 0.999, 1e-8);
  await time("stack training", async () => {
    const cost = optimizer.minimize(() => tf.mean(tf.square(forward())), true);
    const [loss] = cost.dataSync();
    cost.dispose();
    return loss;
  });
}
process.exit(0);
