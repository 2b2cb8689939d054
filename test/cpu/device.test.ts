/** What is the CPU device's own: threads, its memory, packed parameters, failures. */
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import type { Device, DeviceOptions } from "../../engine/device.ts";
import { CPUDevice } from "../../engine/devices/cpu/device.ts";
import { CONTROL_AT, control, heapAt } from "../../engine/devices/cpu/protocol.ts";
import { DeviceLostError, OutOfMemoryError } from "../../engine/errors.ts";
import { grad } from "../../engine/grad.ts";
import { openDevice } from "../../engine/open.ts";
import { add, mul, sub, tanh } from "../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../engine/ops/matmul.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { AdamW } from "../../engine/optim.ts";
import { state, type Tensor, type TypedArray, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { dropoutState, Random } from "../../models/training/random.ts";
import type { TrainingBatch } from "../../promptgen/methods/promptgen/index.ts";
import { openWide } from "../devices.ts";
import { closeLosses, trainedLosses } from "../models/parity.ts";
import { folder } from "../promptgen/fixture.ts";
import { batchOf, facts, golden, loadPair, settings, stepOf } from "../promptgen/golden-step.ts";
import { preparePromptGen, ROOT, tinyOptions, tinyPair } from "../promptgen/tiny.ts";

const test = suite("device on cpu");
const open = (options: DeviceOptions = {}): Promise<Device> =>
  openDevice({ threads: 2, ...options, device: "cpu" });
const device = await open();

const values = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7 + seed * 1.3) * 0.5);

async function failure(run: () => unknown): Promise<Error> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("expected an error");
}

/** x wᵀ on the host. */
function product(x: ArrayLike<number>, w: ArrayLike<number>, inner: number): number[] {
  const [rows, columns] = [x.length / inner, w.length / inner];
  return Array.from({ length: rows * columns }, (_, i) => {
    const [r, c] = [Math.floor(i / columns), i % columns];
    let total = 0;
    for (let k = 0; k < inner; k++) total += x[r * inner + k] * w[c * inner + k];
    return total;
  });
}

function close(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  assert.is(got.length, want.length, what);
  const worst = Math.max(...Array.from(want, (v, i) => Math.abs(v - got[i])));
  assert.ok(worst < 1e-4, `${what}: differs by ${worst}`);
}

test("says how many threads it has, which SIMD, and why it was opened", async () => {
  assert.match(device.description, /^CPU with 2 threads \(relaxed SIMD; as asked\)$/);
  const plain = await open({ threads: 1, simd: "plain" });
  assert.match(plain.description, /^CPU with 1 thread \(SIMD; as asked\)$/);
  const wide = await open({ threads: 2, memoryBudget: 6e9 });
  assert.match(
    wide.description,
    /^CPU with 2 threads \(relaxed SIMD, 64-bit addresses; as asked\)$/,
  );
  const { message } = await failure(() => open({ simd: "plain", memoryBudget: 6e9 }));
  assert.match(
    message,
    /^\[cpu\] a memoryBudget of 6000000000 bytes takes WebAssembly with relaxed SIMD, which/,
  );
});

test("a number of threads that cannot be is refused", async () => {
  for (const threads of [0, -1, 1.5, 65, Number.NaN]) {
    const { message } = await failure(() => open({ threads }));
    assert.is(message, `[openDevice] threads is ${threads}; give a whole number from 1 to 64`);
  }
});

test("1, 2 and 4 threads, and 64-bit addresses, train the tiny pair to the same bits, dropout included", async () => {
  const options = tinyOptions(await tinyPair(device));
  const train = async (on: Device): Promise<TypedArray[]> => {
    const { problem, prompter } = await preparePromptGen(options);
    assert.is(prompter.generator.lm.json.dropout, 0.1);
    const optimizer = new AdamW(problem.parameters, { decays: problem.decays, maxNorm: 1 });
    const step = compile(on, (batch: TrainingBatch, rng: Tensor, scalars: Tensor) => {
      const { loss, terms } = problem.loss(batch, rng);
      optimizer.update(grad(loss, [...problem.parameters]), scalars, [terms]);
      return { terms };
    });
    const [bucket] = problem.buckets.slice(-1);
    const batch = problem.collate(problem.items(0).slice(0, 8), bucket, 8, new Random(1, 0));
    const terms: TypedArray[] = [];
    for (let i = 1; i <= 4; i++) {
      const result = await step(batch, dropoutState(1, i), optimizer.scalars(i, 3e-3));
      terms.push(await result.terms.read());
    }
    const moments = optimizer.moments.flatMap(({ m, v }) => [m, v]);
    return [...terms, ...(await read(on, [...problem.parameters, ...moments]))];
  };
  const [one, ...others] = await Promise.all(
    [1, 2, 4].map(async (threads) => train(await open({ threads }))),
  );
  // every launch is shared among the threads when each is timed
  others.push(await train(await open({ threads: 3, profile: true })));
  others.push(await train(await openWide({ threads: 2 })));
  assert.ok(one.every((data) => data.every(Number.isFinite)));
  for (const other of others) assert.equal(other, one);
});

test("the build without relaxed SIMD trains like PyTorch too", async () => {
  const pair = loadPair();
  const losses = await trainedLosses(
    await open({ simd: "plain" }),
    pair.bart,
    batchOf(facts),
    (batch) => stepOf(pair, batch, settings.alpha).loss,
    golden.doubles("train.lr"),
    settings.weight_decay,
  );
  closeLosses("train.loss", losses, golden.doubles("train.loss"));
});

test("a plan beyond 32-bit addresses is refused with its bytes, and nothing is allocated", async () => {
  const one = await open();
  const [n, k] = [24_000, 8];
  const a = state("a", new Float32Array(n * k), [n, k]);
  const twice = (x: Tensor) => {
    const products = [x, mul(x, 2)].map((b) => matmul(a, b, { transB: true })); // 2.3 GB each
    return sum(mul(products[0], products[1]));
  };
  const before = { ...one.stats };
  const error = await failure(() => compile(one, twice)(tensor(new Float32Array(n * k), [n, k])));
  assert.instance(error, OutOfMemoryError);
  const found =
    /needs (\d+) bytes beside 0 in use, but the limit is (\d+) bytes \(32-bit addresses\); give it more with memoryBudget \(--memory 12G\)/.exec(
      error.message,
    );
  assert.ok(found, error.message);
  if (found) {
    assert.ok(Number(found[1]) >= 2 * n * n * 4, found[1]);
    assert.ok(Number(found[2]) < 2 ** 32 && Number(found[2]) > 2 ** 32 - 2 ** 23, found[2]);
  }
  assert.equal({ ...one.stats }, before);
  assert.equal([...(await read(one, [mul(tensor([1, 2]), 2)]))[0]], [2, 4], "it still works");
});

test("with 64-bit addresses the same plan fits, and one block beyond 32 bits is refused", async () => {
  const one = await openWide({ memoryBudget: 15e9 });
  const [n, k] = [2_000, 8];
  const x = tensor(values(n * k, 1), [n, k]);
  const product = (on: Device) => read(on, [matmul(x, x, { transB: true })]);
  assert.equal(await product(one), await product(device), "the same bits above 4 GiB");
  const big = state("big", { read: async () => new Float32Array(0) }, [2 ** 30 - 1]);
  const error = await failure(() => compile(one, () => mul(big, 2))());
  assert.match(
    error.message,
    /^\[cpu\] .* needs 4294967296 bytes in one piece, of which there may be 4294901760; use a smaller/,
  );
  one.destroy();
});

test("data that stand in a plan count before anything is allocated", async () => {
  const one = await open({ memoryBudget: 2 ** 20 });
  const data = tensor(new Float32Array(1000 * 1000), [1000, 1000]);
  const error = await failure(() => compile(one, () => sum(data))());
  assert.instance(error, OutOfMemoryError);
  assert.match(error.message, /^\[cpu\] the plan needs \d+ bytes beside 0 in use/);
  assert.is(one.stats.buffersCreated, 0);
  one.destroy();
});

test("a frozen weight is kept packed only, can be read, and can be written", async () => {
  const one = await open();
  const [rows, inner, columns] = [3, 256, 512];
  const w = state("w", values(columns * inner, 1), [columns, inner]);
  const x = values(rows * inner, 2);
  const f = compile(one, (x: Tensor) => linear(x, w));
  const run = async () => (await f(tensor(x, [rows, inner]))).read();
  close(await run(), product(x, values(columns * inner, 1), inner), "as it was made");
  assert.ok(one.stats.bytes >= w.bytes && one.stats.bytes < 1.2 * w.bytes, `${one.stats.bytes}`);
  assert.equal((await read(one, [w]))[0], values(columns * inner, 1));
  assert.ok(one.stats.bytes < 1.2 * w.bytes, "reading needs no memory");
  for (const seed of [3, 4]) {
    one.write(w, values(columns * inner, seed));
    close(await run(), product(x, values(columns * inner, seed), inner), `written, ${seed}`);
    assert.equal((await read(one, [w]))[0], values(columns * inner, seed));
  }
});

test("a state that one plan trains is packed anew for the plan that reads it", async () => {
  const [rows, inner, columns] = [4, 64, 96];
  const x = values(rows * inner, 1);
  for (const first of ["reader", "trainer"]) {
    const one = await open();
    let now = values(columns * inner, 5);
    const w = state("w", now, [columns, inner]);
    const reads = compile(one, (x: Tensor) => linear(x, w));
    const trains = compile(one, (x: Tensor, rate: Tensor) => {
      const loss = sum(mul(linear(x, w), linear(x, w)));
      assign(w, sub(w, mul(grad(loss, [w])[0], rate)));
    });
    const at = tensor(x, [rows, inner]);
    if (first === "reader") close(await (await reads(at)).read(), product(x, now, inner), first);
    for (let i = 0; i < 3; i++) {
      await trains(at, Float32Array.of(0.01));
      const y = product(x, now, inner);
      now = now.map((v, j) => {
        const [c, k] = [Math.floor(j / inner), j % inner];
        let slope = 0;
        for (let r = 0; r < rows; r++) slope += 2 * y[r * columns + c] * x[r * inner + k];
        return v - 0.01 * slope;
      });
      close((await read(one, [w]))[0], now, `the weights after step ${i}, ${first} first`);
      const got = await (await reads(at)).read();
      close(got, product(x, now, inner), `the reader after step ${i}, ${first} first`);
    }
    one.write(w, values(columns * inner, 7));
    const got = await (await reads(at)).read();
    close(got, product(x, values(columns * inner, 7), inner), "written at the end");
  }
});

test("several devices work at once, and one that is destroyed says so", async () => {
  const devices = await Promise.all([1, 2, 3].map((threads) => open({ threads })));
  const w = state("w", values(64 * 64, 1), [64, 64]);
  const losses = await Promise.all(
    devices.map(async (on, d) => {
      const step = compile(on, (x: Tensor) => {
        const loss = mean(tanh(linear(x, w)));
        assign(w, sub(w, mul(grad(loss, [w])[0], d + 1)));
        return loss;
      });
      let last = 0;
      for (let i = 0; i < 10; i++)
        last = await (await step(tensor(values(640, 2), [10, 64]))).item();
      return last;
    }),
  );
  assert.ok(losses[0] > losses[1] && losses[1] > losses[2], `each trains its own: ${losses}`);
  const [gone, ...left] = devices;
  gone.destroy();
  assert.match((await failure(() => read(gone, [add(w, 1)]))).message, /the device was destroyed/);
  for (const on of left) assert.is((await read(on, [add(w, 1)]))[0].length, 64 * 64);
});

/** Ends the process where workers that wait for each other would keep it. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    console.error("the run hangs");
    process.exit(1);
  }, 30_000);
  return work.finally(() => clearTimeout(timer));
}

/** Makes the next program that is sent to the workers point beyond the memory. */
function breakNext(on: Device): void {
  assert.instance(on, CPUDevice);
  if (!(on instanceof CPUDevice)) return;
  const { workers } = on;
  const post = workers.post.bind(workers);
  workers.post = (request, transfer) => {
    if (request.kind === "program") {
      const { words } = request;
      // operands are the only words as large as an address
      for (let i = words.length - 1; i > words.length - 8 && i >= 0; i--) {
        if (words[i] >= heapAt(1)) words[i] = 0xfff00000;
      }
    }
    post(request, transfer);
  };
}

test("a kernel that fails rejects what waits for it, on one thread and on several", async () => {
  for (const threads of [1, 3]) {
    const on = await open({ threads, profile: true });
    const f = compile(on, (x: Tensor) => softmax(x));
    const x = tensor(values(640, 1), [10, 64]);
    breakNext(on);
    const waiting = (await f(x)).read();
    const error = await inTime(failure(() => waiting));
    assert.instance(error, DeviceLostError);
    assert.match(error.message, /^\[cpu\] (memory access out of bounds|a kernel failed)/);
    assert.instance(await failure(() => f(x)), DeviceLostError, "so does the next call");
    assert.instance(await failure(() => on.synchronize()), DeviceLostError);
  }
});

test("threads that are woken too early or for nothing go on waiting", async () => {
  const lone = await open({ threads: 1 });
  const on = await open({ threads: 4 });
  assert.instance(on, CPUDevice);
  if (!(on instanceof CPUDevice) || !on.workers.memory) throw new Error("its memory is shared");
  const words = new Int32Array(on.workers.memory.buffer, CONTROL_AT, control.words);
  // a barrier after each op, at which threads wait for those whom the cores left out
  const w = state("w", values(256 * 256, 1), [256, 256]);
  const chain = (x: Tensor): Tensor => {
    let y = x;
    for (let i = 0; i < 30; i++) y = softmax(linear(y, w));
    return y;
  };
  const x = tensor(values(64 * 256, 2), [64, 256]);
  const want = await (await compile(lone, chain)(x)).read();
  const run = compile(on, chain);
  await run(x);
  let asleep = 0;
  for (let round = 0; round < 20; round++) {
    const result = (await run(x)).read(); // under way while this thread wakes whom it can
    for (const end = performance.now() + 30; performance.now() < end; ) {
      asleep += Atomics.notify(words, control.barrier) + Atomics.notify(words, control.run);
    }
    assert.equal(await inTime(result), want, `round ${round}`);
  }
  assert.ok(asleep > 0, "somebody was asleep");
  on.destroy();
  lone.destroy();
});

test("kernels that are not built: one sentence says what to run", () => {
  const home = folder({ "package.json": '{ "type": "module" }' });
  for (const part of ["engine", "kernels"]) {
    cpSync(join(ROOT, part), join(home, part), {
      recursive: true,
      filter: (path) => !path.endsWith(join("cpu", "build")),
    });
  }
  const code = `import { openDevice } from "./engine/open.ts";
    await openDevice({ device: "cpu" }).catch((e) => console.log(e.message));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", code], {
    cwd: home,
    encoding: "utf8",
  });
  assert.match(
    stdout,
    /^\[cpu\] no CPU kernels: \[load\] file:.*\/cpu\/build\/relaxed\.wasm cannot be read \(ENOENT.*\); run npm run kernels in a clone, or install the package again$/m,
  );
});

test.run();
