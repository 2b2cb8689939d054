import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { add, mul } from "../../engine/ops/elementwise.ts";
import { embedding } from "../../engine/ops/embedding.ts";
import { layerNorm } from "../../engine/ops/layernorm.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, tensor } from "../../engine/tensor.ts";
import { anyWebGPU } from "../devices.ts";

const { name, device: whole } = await anyWebGPU();
const test = suite(`windows on ${name}`);
/** The same adapter with a binding limit of 256 KiB. */
const small = await openDevice({ device: name, maxBinding: 262144 });

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

test("dropout inside rows that are cut counts on", async () => {
  const [x, y] = [3, 4].map((seed) => tensor(values(900 * 129, seed), [900, 129]));
  const [weight, bias] = [5, 6].map((seed) => tensor(values(129, seed)));
  const dropout = { p: 0.3, rng: tensor(Uint32Array.of(1, 2, 3, 4)) };
  const normed = layerNorm(x, weight, bias, 1e-5, y, dropout);
  const targets = tensor(Uint32Array.from({ length: 900 }, (_, i) => (i * 7) % 129));
  const loss = mean(crossEntropy(normed, targets));
  await same("layerNorm", [normed, ...grad(loss, [x, y])]);
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

test("rows of an embedding that do not fit a window are gathered in pieces, forward and in the gradient", async () => {
  const table = tensor(values(3000 * 64, 11), [3000, 64]);
  const ids = Uint32Array.from({ length: 1500 }, (_, i) => (i * 7) % 3000);
  const rows = embedding(table, tensor(ids), { unique: true });
  const targets = tensor(Uint32Array.from(ids, (id) => id % 64));
  const loss = mean(crossEntropy(rows, targets));
  await same("gathered", [rows, ...grad(loss, [table])]);
});

test("a tied embedding trains the same in windows", async () => {
  const train = async (device: typeof whole): Promise<number[]> => {
    const table = state("table.weight", values(3000 * 64, 10), [3000, 64]);
    const optimizer = new AdamW([table], { decays: () => true, maxNorm: 1 });
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

test("an embedding of BART-large's size (206 MB) is read, multiplied and trained", async () => {
  const [vocab, width, rows] = [50265, 1024, 3];
  const { maxBinding } = whole as unknown as { maxBinding: number };
  const device =
    maxBinding < vocab * width * 4
      ? whole
      : await openDevice({ device: name, maxBinding: 2 ** 27 });
  const data = new Float32Array(vocab * width);
  for (let i = 0; i < data.length; i++) data[i] = ((i * 7919) % 2003) / 2003 - 0.5;
  const table = state("shared.weight", data, [vocab, width]);
  const optimizer = new AdamW([table], { weightDecay: 0 });
  const step = compile(device, (ids: Tensor, targets: Tensor, scalars: Tensor) => {
    const hidden = embedding(table, ids);
    const logits = linear(hidden, table);
    const loss = mean(crossEntropy(logits, targets));
    optimizer.update(grad(loss, [table]), scalars, [loss]);
    return { hidden, logits, loss };
  });
  const ids = Uint32Array.of(5, 40_000, 50_264);
  const targets = Uint32Array.of(0, 33_000, 50_264);
  const first = await step(ids, targets, optimizer.scalars(1, 1e-2));
  const [hidden, logits] = [await first.hidden.read(), await first.logits.read()];
  ids.forEach((id, r) => {
    assert.equal(
      hidden.subarray(r * width, (r + 1) * width),
      data.subarray(id * width, (id + 1) * width),
    );
    for (const v of [0, 1, 32_767, 32_768, 33_000, 50_264]) {
      let dot = 0;
      for (let k = 0; k < width; k++) dot += data[id * width + k] * data[v * width + k];
      const ours = logits[r * vocab + v];
      assert.ok(Math.abs(ours - dot) < 1e-3, `row ${r}, word ${v}: ${ours} for ${dot}`);
    }
  });
  assert.is(logits.length, rows * vocab);
  const before = await first.loss.item();
  const second = await step(ids, targets, optimizer.scalars(2, 1e-2));
  assert.ok((await second.loss.item()) < before, "the loss falls");
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
