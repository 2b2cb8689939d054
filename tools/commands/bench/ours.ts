/** The benchmark's work on our engine, in a process of its own. */
import { compile } from "../../../engine/compile.ts";
import type { DeviceOptions } from "../../../engine/device.ts";
import { grad } from "../../../engine/grad.ts";
import { openDevice } from "../../../engine/open.ts";
import { attention } from "../../../engine/ops/attention.ts";
import { mul, square } from "../../../engine/ops/elementwise.ts";
import { layerNorm } from "../../../engine/ops/layernorm.ts";
import { linear, matmul } from "../../../engine/ops/matmul.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { reshape, slice } from "../../../engine/ops/shape.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import { AdamW } from "../../../engine/optim.ts";
import { state, type Tensor } from "../../../engine/tensor.ts";
import { Random } from "../../../models/training/random.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import { promptProblem } from "../../../promptgen/methods/promptgen/index.ts";
import { PromptGenPrompter } from "../../../promptgen/methods/promptgen/prompter.ts";
import { prepare, runOptions } from "../../../promptgen/run.ts";
import { about, job, repacked, time } from "./process.ts";
import { matmulSizes, operands, rows, stack, stackInput, stackWeights } from "./workload.ts";

const { device: choice, threads, wanted } = job();
const options = choice === "cpu" ? { device: choice, threads } : { device: choice };
const device = await openDevice(options as DeviceOptions);
about(device.description);

/** Times `f` on resident data until it is done; one value of the result comes to the host. */
async function kernel(name: string, f: () => Tensor, note?: string): Promise<void> {
  const call = compile(device, () => slice(reshape(f(), [-1]), 0, 0, 1));
  const check = compile(device, () => mean(square(f())));
  await time(name, async () => (await call()).item(), {
    check: async () => (await check()).item(),
    ...(note ? { note: () => note } : {}),
  });
}

if (wanted("matmul")) {
  for (const n of matmulSizes) {
    const [a, b] = operands.matmul(n).map((x, i) => state("ab"[i], x, [n, n]));
    await kernel(`matmul ${n}`, () => matmul(a, b));
    if (device.kind === "cpu") {
      const note = "b is no parameter but the product b * 1, which is in the time";
      await kernel(repacked(n), () => matmul(a, mul(b, 1)), note);
    }
  }
}
if (wanted("rows")) {
  const x = state("x", operands.softmax(), rows.softmax);
  await kernel("softmax 2048x512", () => softmax(x));
  const norm = operands.layernorm();
  const y = state("y", norm.x, rows.layernorm);
  const [g, b] = [norm.weight, norm.bias].map((w) => state("w", w, [w.length]));
  await kernel("layernorm 2048x768", () => layerNorm(y, g, b, 1e-12));
}

const { batch, sequence, heads, hidden, layers } = stack;
/** [in, out] matrices become PyTorch's [out, in]. */
function transposed(data: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) out[j * rows + i] = data[i * cols + j];
  return out;
}
const p = Object.fromEntries(
  stackWeights().map(({ name, shape, data }) => {
    if (shape.length === 1) return [name, state(name, data, shape)];
    return [name, state(name, transposed(data, shape[0], shape[1]), [shape[1], shape[0]])];
  }),
);

function forward(input: Tensor): Tensor {
  let x = input;
  for (let l = 0; l < layers; l++) {
    const of = (name: string): [Tensor, Tensor] => [
      p[`${l}.${name}.weight`],
      p[`${l}.${name}.bias`],
    ];
    const [q, k, v] = ["query", "key", "value"].map((name) => linear(x, ...of(name)));
    const mixed = attention(q, k, v, undefined, { heads, scale: (hidden / heads) ** -0.5 });
    x = layerNorm(linear(mixed, ...of("attention")), ...of("norm1"), 1e-12, x);
    const inner = linear(x, ...of("up"), { activation: "gelu" });
    x = layerNorm(linear(inner, ...of("down")), ...of("norm2"), 1e-12, x);
  }
  return x;
}

/** Times training steps and notes what one of them asks of the device. */
async function training(name: string, step: (t: number) => Promise<number>): Promise<void> {
  let t = 0;
  let note = "";
  await time(
    name,
    async () => {
      const before = { ...device.stats };
      const loss = await step(++t);
      const { launches, submits, buffersCreated } = device.stats;
      note =
        `${launches - before.launches} launches, ${submits - before.submits} submit, ` +
        `${buffersCreated - before.buffersCreated} buffers created`;
      return loss;
    },
    { note: () => note },
  );
}

const x = state("x", stackInput(), [batch, sequence, hidden]);
if (wanted("forward")) await kernel("stack forward", () => forward(x));
if (wanted("training")) {
  const parameters = Object.values(p);
  const optimizer = new AdamW(parameters, { weightDecay: 0 });
  const step = compile(device, (scalars: Tensor) => {
    const loss = mean(square(forward(x)));
    optimizer.update(grad(loss, parameters), scalars, [loss]);
    return mul(loss, 1);
  });
  await training("stack training", async (t) => (await step(optimizer.scalars(t, 1e-3))).item());
}
if (wanted("promptgen")) {
  const run = await prepare(runOptions({ method: "promptgen" }, true));
  const { prompter } = run;
  if (!(prompter instanceof PromptGenPrompter)) throw new Error("promptgen has another prompter");
  const facts = itemsOf(run.benchmark.relations, "train");
  const problem = promptProblem(prompter, facts, run.buckets, 0.3);
  const width = problem.buckets[problem.buckets.length - 1];
  const items = problem.items(0).slice(0, 32);
  const batch = problem.collate(items, width, 32, new Random(1, 0, 0));
  const optimizer = new AdamW(problem.parameters, { decays: problem.decays, maxNorm: 1 });
  const step = compile(device, (b: typeof batch, rng: Tensor, scalars: Tensor) => {
    const { loss, terms } = problem.loss(b, rng);
    optimizer.update(grad(loss, problem.parameters), scalars, [terms]);
    return loss;
  });
  await training("PromptGen step", async (t) =>
    (await step(batch, Uint32Array.of(1, 0, t, 0), optimizer.scalars(t, 1e-5))).item(),
  );
}
process.exit(0);
