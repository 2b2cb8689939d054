/** Plans and memory over a device's life: what stays, what gives its memory back, and what is said after its end. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as assert from "uvu/assert";
import { compile, type Result, read } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { EngineError, OutOfMemoryError } from "../../engine/errors.ts";
import { openDevice } from "../../engine/open.ts";
import { add, mul, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { type StateSource, state, type Tensor, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { onDevices, type TestDevice } from "../devices.ts";

const test = await onDevices("long life");

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const open = (name: TestDevice, memoryBudget: number): Promise<Device> =>
  openDevice({ device: name, threads: 2, memoryBudget });
const full = (size: number, value: number): Tensor =>
  tensor(new Float32Array(size).fill(value), [size]);
const first = async (result: Result): Promise<number> => (await result.read())[0];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function failure(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("expected an error");
}

/** x + launches, or x + launches + 1000 with a constant; a launch each. */
function chain(device: Device, launches: number, constant = false, traced = () => {}) {
  return compile(device, (x: Tensor) => {
    traced();
    let y = constant ? add(x, full(x.size, 1000)) : x;
    for (let i = 0; i < launches; i++) y = add(y, 1);
    return y;
  });
}

/** What a plan of one argument of 30,000 numbers, a constant and a result takes at the most. */
const SIZE = 30_000;
const BUDGET = 1_800_000;

test("a call that waits keeps its plan, however many plans want its memory", async (_, name) => {
  const device = await open(name, BUDGET);
  const functions = Array.from({ length: 12 }, (_, i) => chain(device, 3 + i, true));
  const busy = chain(device, 60);
  for (let round = 0; round < 3; round++) {
    const long = Array.from({ length: 3 }, () => busy(full(SIZE, round)));
    await turn();
    const calls: Promise<Result>[] = [];
    for (const f of functions) {
      calls.push(f(full(SIZE, round)));
      if (calls.length % 4 === 0) await turn();
    }
    const got = await Promise.all((await Promise.all(calls)).map(first));
    const want = functions.map((_, i) => round + 1000 + 3 + i);
    assert.equal(got, want, `round ${round}`);
    assert.is(await first((await Promise.all(long))[2]), round + 60);
    assert.ok(device.stats.bytes <= BUDGET, `${device.stats.bytes} bytes`);
  }
  device.destroy();
});

test("a result that nobody has read is readable though its plan was let go", async (_, name) => {
  const device = await open(name, BUDGET);
  let traces = 0;
  const one = chain(device, 5, false, () => traces++);
  const runs = [await one(full(SIZE, 1)), await one(full(SIZE, 2))];
  const read = await one(full(SIZE + 1, 3));
  assert.is(await first(read), 8);
  const unread = await one(full(SIZE + 1, 4));
  for (let i = 0; i < 20; i++) await chain(device, 2)(full(SIZE, i));
  assert.is(await first(await one(full(SIZE, 0))), 5);
  assert.is(traces, 3, "the plan was let go");
  assert.equal(await Promise.all([...runs, read, unread].map(first)), [6, 7, 8, 9]);
  device.destroy();
});

test("idle plans go before memory is refused: the least recently called first", async (_, name) => {
  const device = await open(name, BUDGET);
  let traces = 0;
  const f = compile(device, (x: Tensor) => {
    traces++;
    return add(x, 1);
  });
  for (let i = 0; i < 60; i++) {
    const size = SIZE + i;
    if (i % 2) assert.is(await first(await f(full(size, i))), i + 1);
    else assert.is((await read(device, [sub(full(size, i), 1)]))[0][size - 1], i - 1);
    assert.is(await first(await f(full(7, i))), i + 1);
    assert.ok(device.stats.bytes <= BUDGET, `${device.stats.bytes} bytes`);
  }
  assert.is(traces, 31, "the plan that is called often has stayed");
  assert.is(await first(await f(full(SIZE + 1, 1))), 2);
  assert.is(traces, 32, "the oldest has not");
  const { stats } = device;
  const error = await failure(() => f(full(BUDGET / 4, 1)));
  assert.instance(error, OutOfMemoryError);
  assert.match(
    error.message,
    /needs \d+ bytes beside \d+ in use, but the (budget|limit) is 1800000/,
  );
  assert.ok(stats.bytes <= BUDGET);
  assert.is(await first(await f(full(7, 1))), 2, "it still works");
  device.destroy();
});

test("intermediates of one plan make room for those of another", async (_, name) => {
  const device = await open(name, 1_000_000);
  // the large intermediate is the first one of one function, the last one of the other
  const grows = compile(device, (x: Tensor) => {
    const rows = Array.from({ length: 3 }, (_, i) => add(x, i));
    return sub(softmax(matmul(rows[1], rows[2])), matmul(rows[0], rows[1]));
  });
  const x = (n: number) => tensor(new Float32Array(n * n).fill(1 / n), [n, n]);
  const want = new Map<number, number>();
  for (const n of [120, 40, 100, 16, 130, 120, 40, 100]) {
    const got = await first(await grows(x(n)));
    assert.is(got, want.get(n) ?? got, `${n}`);
    want.set(n, got);
    assert.is(await first(await chain(device, 2)(full(SIZE, n))), n + 2);
    assert.ok(device.stats.bytes <= 1_000_000);
  }
  device.destroy();
});

test("calls at once that do not fit together wait for each other", async (_, name) => {
  const device = await open(name, BUDGET);
  const f = compile(device, (x: Tensor) => add(mul(x, 2), full(x.size, 3)));
  const sizes = Array.from({ length: 24 }, (_, i) => SIZE - i);
  const got = await Promise.all(sizes.map(async (n, i) => first(await f(full(n, i)))));
  assert.equal(
    got,
    sizes.map((_, i) => 2 * i + 3),
  );
  device.destroy();
});

test("launches are counted on a software adapter alone", async (_, name) => {
  const device = await openDevice({ device: name, threads: 1 });
  const traces = [0, 0, 0];
  const all = traces.map((_, i) => chain(device, 10_500, false, () => traces[i]++));
  for (const f of [...all, all[0]]) assert.is(await first(await f(full(4, 1))), 10_501);
  assert.equal(traces, name === "gpu:software" ? [2, 1, 1] : [1, 1, 1]);
  device.destroy();
});

test("reads of what nobody compiled get their values, all at once", async (device) => {
  for (const count of [12, 40]) {
    const reads = Array.from({ length: count }, (_, i) =>
      read(device, [add(full(4, i), 1), mul(full(5 + (i % 3), i), 2)]),
    );
    const got = (await Promise.all(reads)).map(([a, b]) => [a[3], b.length, b[0]]);
    assert.equal(
      got,
      Array.from({ length: count }, (_, i) => [i + 1, 5 + (i % 3), 2 * i]),
    );
  }
});

test("many calls of one function at once: the last two results are there, the others say who took them", async (device) => {
  const f = compile(device, (x: Tensor) => add(x, 1));
  const results = await Promise.all(Array.from({ length: 9 }, (_, i) => f(full(16, i))));
  for (const [i, result] of results.entries()) {
    if (i >= 7) assert.is(await first(result), i + 1);
    else {
      const { message } = await failure(() => first(result));
      assert.match(message, /^\[read\] the result of run \d was reused by run \d; read it before/);
    }
  }
  // reads that begin at any time between the calls
  const early: Promise<unknown>[] = [];
  let last: Promise<Result> | undefined;
  for (let i = 0; i < 40; i++) {
    const call = f(full(16, i));
    if (last) early.push(last.then(first).catch((error) => error));
    last = call;
    await (i % 3 ? Promise.resolve() : call);
  }
  for (const [i, end] of (await Promise.all(early)).entries()) {
    if (end instanceof Error) assert.match(end.message, /was reused by run/);
    else assert.is(end, i + 1);
  }
  assert.is(await first(await f(full(16, 1))), 2, "the device still works");
});

test("calls of one function that change a state run in the order of the calls", async (device) => {
  const w = state("w", new Float32Array(16), [16]);
  const f = compile(device, (x: Tensor) => {
    assign(w, add(mul(w, 2), x));
    return w;
  });
  const want = Array.from({ length: 8 }, (_, i) => i + 1).reduce((now, x) => 2 * now + x, 0);
  await Promise.all(Array.from({ length: 8 }, (_, i) => f(full(16, i + 1))));
  assert.is((await read(device, [w]))[0][0], want);
});

test("the data of a call, and constants of a plan, do not live as long as the plan", async (device) => {
  const refs: WeakRef<Float32Array>[] = [];
  const noted = (value: number): Tensor => {
    const data = new Float32Array(1e5).fill(value);
    refs.push(new WeakRef(data));
    return tensor(data, [1e5]);
  };
  const f = compile(device, (x: Tensor) => add(x, noted(7)));
  for (const i of [1, 2]) assert.is(await first(await f(noted(i))), i + 7);
  const values = async (i: number) => (await read(device, [mul(noted(i), noted(i))]))[0][0];
  for (const i of [1, 2]) assert.is(await values(i), i * i);
  for (let i = 0; i < 10 && refs.some((r) => r.deref()); i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    collect();
  }
  assert.equal(
    refs.map((r) => r.deref()?.[0]),
    refs.map(() => undefined),
  );
  assert.is(await first(await f(full(1e5, 1))), 8);
});

test("values that could not be read are asked for again", async (device) => {
  let asked = 0;
  const data = Float32Array.from({ length: 64 * 64 }, (_, i) => i % 3);
  const source: StateSource = {
    read: async (from, to) => {
      if (asked++ === 0) throw new Error("the disk is gone");
      return data.slice(from, to);
    },
  };
  const w = state("w", source, [64, 64]);
  const f = compile(device, (x: Tensor) => matmul(x, w));
  const x = tensor(new Float32Array(64).fill(1), [1, 64]);
  const { bytes } = device.stats;
  assert.match((await failure(() => f(x))).message, /the disk is gone/);
  assert.is(device.stats.bytes, bytes, "nothing stays");
  const want = Array.from({ length: 64 }, (_, j) =>
    data.reduce((sum, v, i) => sum + (i % 64 === j ? v : 0), 0),
  );
  assert.equal([...(await (await f(x)).read())], want);
});

test("an empty tensor ends no device", async (device) => {
  const empty = () => tensor(new Float32Array(0), [0]);
  const tries = [
    () => read(device, [add(empty(), 1)]),
    async () => (await compile(device, (x: Tensor) => ({ y: mul(x, 2) }))(empty())).y.read(),
    () =>
      read(device, [
        matmul(tensor(new Float32Array(0), [0, 4]), tensor(new Float32Array(12), [4, 3])),
      ]),
  ];
  for (const work of tries) {
    try {
      await work(); // an empty result, or refused by the op
    } catch (error) {
      assert.instance(error, EngineError);
    }
    assert.equal([...(await read(device, [add(full(2, 1), 1)]))[0]], [2, 2]);
  }
});

test("after its end a device answers everything with one sentence", async (_, name) => {
  const said = /^\[(cpu|webgpu)\] the device was destroyed; open another one with openDevice$/;
  for (let turns = 0; turns < 5; turns++) {
    const device = await open(name, 2e7);
    const w = state("w", new Float32Array(64), [64]);
    const f = compile(device, (x: Tensor) => {
      assign(w, add(w, x));
      return w;
    });
    const g = chain(device, 300);
    const unread = await f(full(64, 1));
    const reading = await f(full(64, 1));
    const works = [
      ...Array.from({ length: 6 }, async (_, i) => first(await g(full(2000 + i, 1)))),
      ...Array.from({ length: 6 }, (_, i) => read(device, [softmax(full(9 + i, 1))])),
      read(device, [w]),
      first(reading),
      device.synchronize(),
    ];
    const ends = Promise.allSettled(works);
    for (let i = 0; i < turns; i++) await turn();
    device.destroy();
    for (const end of await ends) {
      if (end.status === "fulfilled") continue; // it came before
      assert.instance(end.reason, EngineError);
      assert.match(end.reason.message, said);
    }
    const after: (() => unknown)[] = [
      () => f(full(64, 1)),
      () => f(full(64, 1)),
      () => chain(device, 2)(full(3, 1)),
      () => read(device, [add(w, 1)]),
      () => read(device, [w]),
      () => read(device, [state("never seen", new Float32Array(3), [3])]),
      () => device.write(w, new Float32Array(64)),
      () => unread.read(),
      () => device.synchronize(),
    ];
    for (const [i, work] of after.entries()) {
      const error = await failure(work);
      assert.instance(error, EngineError);
      assert.match(error.message, said, `${i}`);
    }
    device.destroy();
    device.profile();
  }
});

test("a device that was destroyed leaves nothing behind", async (_, name) => {
  const gone = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const device = await open(name, 2e7);
      await first(await chain(device, 2)(full(1000, 1)));
      const ref = new WeakRef(device);
      device.destroy();
      return ref;
    }),
  );
  for (let i = 0; i < 40 && gone.some((r) => r.deref()); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collect();
  }
  assert.equal(
    gone.map((r) => r.deref()?.description),
    gone.map(() => undefined),
  );
});

test.run();
