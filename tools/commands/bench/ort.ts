/**
 * The benchmark's work on onnxruntime-web's WebAssembly backend, in a process of its own. It cannot train.
 *
 * Kernels read initializers, and graph optimisation is off lest they be folded away: like ours, operands are on the
 * device already, and one value comes back. The stack is optimised fully.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Graph } from "./onnx.ts";
import { about, job, repacked, threadCount, time } from "./process.ts";
import { matmulSizes, operands, rows, stack, stackInput, stackWeights } from "./workload.ts";

/** As much of onnxruntime-web's interface as is used here. */
type OrtTensor = { readonly data: Float32Array };
type Feeds = Record<string, OrtTensor>;
type Session = {
  readonly outputNames: readonly string[];
  run(feeds: Feeds): Promise<Feeds>;
  release(): Promise<void>;
};
type Ort = {
  env: { logLevel: string; wasm: { numThreads: number } };
  Tensor: new (type: "float32", data: Float32Array, shape: readonly number[]) => OrtTensor;
  InferenceSession: { create(model: Uint8Array, options: object): Promise<Session> };
};

const { threads, folder, wanted } = job();
const home = join(folder, "node_modules/onnxruntime-web");
const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
const entry: string = manifest.exports["."].node.import;
const ort = (await import(pathToFileURL(join(home, entry)).href)) as Ort;
ort.env.wasm.numThreads = threads;
ort.env.logLevel = "error";
about(`onnxruntime-web ${manifest.version}, wasm, ${threadCount(threads)}`);

/** The first of the value's elements. */
function probe(g: Graph, y: string): string {
  const flat = g.op("Reshape", [y, g.initializer([-1])]);
  return g.op("Slice", [flat, g.initializer([0]), g.initializer([1])]);
}
/** Row by row first: onnxruntime adds one value after the other, and a million of them in f32 lose digits. */
const meanSquare = (g: Graph, y: string): string =>
  g.op("ReduceMean", [g.op("ReduceMean", [g.op("Mul", [y, y]), g.initializer([1])])]);

/** Times one graph that `build` makes, then checks it with a session whose result is the mean square. */
async function measure(
  name: string,
  build: (g: Graph) => string,
  options: object,
  feeds: Feeds = {},
): Promise<void> {
  const session = (end: typeof probe, shape: number[]): Promise<Session> => {
    const g = new Graph();
    return ort.InferenceSession.create(g.model(end(g, build(g)), shape), {
      executionProviders: ["wasm"],
      ...options,
    });
  };
  const value = async (s: Session): Promise<number> =>
    (await s.run(feeds))[s.outputNames[0]].data[0];
  const timed = await session(probe, [1]);
  const check = async (): Promise<number> => {
    const checked = await session(meanSquare, [1, 1]);
    const y = await value(checked);
    await checked.release();
    return y;
  };
  await time(name, () => value(timed), { check });
  await timed.release();
}

const unfolded = { graphOptimizationLevel: "disabled" };
if (wanted("matmul")) {
  for (const n of matmulSizes) {
    const build = (g: Graph): string =>
      g.op("MatMul", [...operands.matmul(n).map((x) => g.initializer(x, [n, n]))]);
    await measure(`matmul ${n}`, build, unfolded);
    const extra = { session: { disable_prepacking: "1" } };
    await measure(repacked(n), build, { ...unfolded, extra });
  }
}

const norm = (g: Graph, x: string, weight: string, bias: string): string =>
  g.op("LayerNormalization", [x, weight, bias], { axis: { int: 1 }, epsilon: { float: 1e-12 } });
if (wanted("rows")) {
  const softmax = (g: Graph): string =>
    g.op("Softmax", [g.initializer(operands.softmax(), rows.softmax)], { axis: { int: 1 } });
  await measure("softmax 2048x512", softmax, unfolded);
  const { x, weight, bias } = operands.layernorm();
  const layernorm = (g: Graph): string =>
    norm(g, g.initializer(x, rows.layernorm), g.initializer(weight), g.initializer(bias));
  await measure("layernorm 2048x768", layernorm, unfolded);
}

const { batch, sequence, heads, hidden, layers } = stack;
const flat = [batch * sequence, hidden];
const split = [batch, sequence, heads, hidden / heads];
function forward(g: Graph): string {
  const p = Object.fromEntries(
    stackWeights().map((w) => [w.name, g.initializer(w.data, w.shape)] as const),
  );
  const scale = g.initializer(Float32Array.of((hidden / heads) ** -0.5));
  let x = g.input("x", flat);
  for (let l = 0; l < layers; l++) {
    const of = (name: string): [string, string] => [
      p[`${l}.${name}.weight`],
      p[`${l}.${name}.bias`],
    ];
    const dense = (v: string, name: string): string => {
      const [weight, bias] = of(name);
      return g.op("Add", [g.op("MatMul", [v, weight]), bias]);
    };
    const transpose = (v: string, perm: number[]): string =>
      g.op("Transpose", [v], { perm: { ints: perm } });
    const head = (name: string, perm: number[]): string =>
      transpose(g.op("Reshape", [dense(x, name), g.initializer(split)]), perm);
    const [q, k] = [head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1])];
    const scores = g.op("Mul", [g.op("MatMul", [q, k]), scale]);
    const weights = g.op("Softmax", [scores], { axis: { int: 3 } });
    const mixed = g.op("MatMul", [weights, head("value", [0, 2, 1, 3])]);
    const merged = g.op("Reshape", [transpose(mixed, [0, 2, 1, 3]), g.initializer(flat)]);
    x = norm(g, g.op("Add", [x, dense(merged, "attention")]), ...of("norm1"));
    const inner = g.op("Gelu", [dense(x, "up")]);
    x = norm(g, g.op("Add", [x, dense(inner, "down")]), ...of("norm2"));
  }
  return x;
}
if (wanted("forward")) {
  const x = new ort.Tensor("float32", stackInput(), flat);
  await measure("stack forward", forward, { graphOptimizationLevel: "all" }, { x });
}
process.exit(0);
