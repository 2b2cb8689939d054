import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { openDevice } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";

const test = suite("windows");
const whole = await openDevice();
/** The same adapter with a binding limit of 256 KiB. */
const small = await openDevice({ maxBinding: 262144 });

const values = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7 + seed * 1.3) * 0.5);

const close = (a: ArrayLike<number>, b: ArrayLike<number>, what: string): void => {
  assert.is(a.length, b.length, what);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs(b[i]));
    worst = Math.max(worst, Math.abs(a[i] - b[i]));
  }
  assert.ok(worst <= 1e-5 * largest + 1e-7, `${what}: differs by ${worst} of ${largest}`);
};

/** The same tensors on both devices. */
async function same(what: string, tensors: readonly Tensor[]): Promise<void> {
  const [a, b] = [await read(small, tensors), await read(whole, tensors)];
  a.forEach((x, i) => {
    close(x, b[i], `${what} ${i}`);
  });
}

test("elementwise work is cut flat", async () => {
  const [x, y] = [tensor(values(200_000, 1)), tensor(values(200_000, 2))];
  await same("add", [add(x, y), mul(x, 3)]);
});

test("rows are cut between rows", async () => {
  const x = tensor(values(900 * 128, 3), [900, 128]);
  const targets = tensor(
    Uint32Array.from({ length: 900 }, (_, i) => (i * 7) % 128),
    [900],
  );
  const loss = mean(crossEntropy(x, targets));
  await same("softmax", [softmax(x), loss, ...grad(loss, [x])]);
});

test("a product is cut along N, M and K", async () => {
  const [x, h] = [tensor(values(5 * 64, 1), [5, 64]), tensor(values(5 * 3000, 5), [5, 3000])];
  const w = tensor(values(3000 * 64, 4), [3000, 64]); // 768 KB
  const bias = tensor(values(3000, 6), [3000]);
  await same("N", [linear(x, w, bias, { activation: "gelu" })]);
  await same("K", [
    matmul(h, w),
    linear(h, matmul(tensor(values(64 * 64, 8), [64, 64]), w, { transB: true })),
  ]);
  await same("M", [matmul(h, x, { transA: true }), matmul(w, x, { transB: true })]);
});

test("an embedding is read and its gradient summed by windows of rows", async () => {
  const table = tensor(values(3000 * 64, 9), [3000, 64]);
  const ids = tensor(
    Uint32Array.from({ length: 40 }, (_, i) => (i * 613) % 3000),
    [40],
  );
  const rows = embedding(table, ids);
  const loss = sum(mul(rows, rows));
  await same("embedding", [rows, ...grad(loss, [table])]);
});

test("a tied embedding trains the same in windows", async () => {
  const train = async (device: typeof whole): Promise<number[]> => {
    const table = state("table.weight", values(3000 * 64, 10), [3000, 64]);
    const optimizer = new AdamW([table], { maxNorm: 1 });
    const step = compile(device, (ids: Tensor, scalars: Tensor) => {
      const logits = linear(embedding(table, ids), table);
      const loss = mean(crossEntropy(logits, ids));
      optimizer.update(grad(loss, [table]), scalars, [loss]);
      return loss;
    });
    const losses: number[] = [];
    for (let i = 1; i <= 3; i++) {
      const ids = Uint32Array.from({ length: 20 }, (_, k) => (k * 97 + i * 31) % 3000);
      losses.push(await (await step(ids, optimizer.scalars(i, 1e-2))).item());
    }
    return losses;
  };
  close(await train(small), await train(whole), "losses");
});

test("an op without a windowed form is refused at plan time, by name", async () => {
  let message = "";
  try {
    await read(small, [sum(tensor(values(300 * 300, 1), [300, 300]), 0)]);
  } catch (e) {
    message = String(e);
  }
  assert.match(message, /\[sum\].*larger than a binding.*no windowed form/);
});

test.run();
