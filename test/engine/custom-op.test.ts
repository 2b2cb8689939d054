/** Ops of one's own: the program of docs/own-op.md, which device runs what, and what opcheck finds. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { type CustomOp, customOp } from "../../engine/custom-op.ts";
import type { Device } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { opcheck } from "../../engine/opcheck.ts";
import { add, mul, square } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { scalar, state, type Tensor, tensor } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import { onDevices } from "../devices.ts";
import { printed } from "../programs.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/own-op.md"), "utf8");
const [program, output] = [...page.matchAll(/```(?:ts|text)\n([\s\S]*?)```/g)].map(
  ([, code]) => code,
);

const HEAD = `
override FACTOR: f32 = 1.0;
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
`;

type Scaled = { readonly factor: number };

/** x^2 * factor; the kernel's last line and the rest can be other ones. */
const scaledSquare = (line: string, other: Partial<CustomOp<Scaled>> = {}) =>
  customOp<Scaled>({
    name: "test::scaled_square",
    infer: ([x]) => [x],
    primitives: ([x], { factor }) => [mul(square(x), factor)],
    webgpu: ({ inputs: [x], outputs: [y], attrs: { factor } }) => [
      {
        kernel: "test::scaled_square",
        wgsl: `${HEAD}  ${line}\n}`,
        params: { n: x.size },
        constants: { FACTOR: factor },
        groups: Math.ceil(x.size / 64),
        inputs: [x],
        outputs: [y],
      },
    ],
    ...other,
  });

const good = scaledSquare("if (i < p.n) { y[i] = x[i] * x[i] * FACTOR; }");
/** The kernel's result tells who ran. */
const marked = scaledSquare("if (i < p.n) { y[i] = 1000.0 + FACTOR; }");
const other = scaledSquare("if (i < p.n) { y[i] = 2000.0 + FACTOR; }");

const values = Float32Array.from({ length: 200 }, (_, i) => Math.sin(i) * 2);
const x = tensor(values, [4, 50]);

const rejects = async (work: () => Promise<unknown>, sentence: RegExp): Promise<void> => {
  try {
    await work();
  } catch (error) {
    assert.match(error instanceof Error ? error.message : String(error), sentence);
    return;
  }
  assert.unreachable(`no error that matches ${sentence}`);
};

const test = await onDevices("custom ops");

test("the program of the page prints what the page says", async (_, device) => {
  assert.is(await printed(program, device), output);
});

test("WebGPU runs the kernel, the CPU the primitives, read and compiled", async (device) => {
  const want = device.kind === "webgpu" ? [1003, 1003] : [3, 12];
  const run = compile(device, (t: Tensor) => marked([t], { factor: 3 })[0]);
  for (const got of [
    (await read(device, marked([tensor([1, 2])], { factor: 3 })))[0],
    await (await run(tensor([1, 2]))).read(),
  ]) {
    assert.equal([...got], want);
  }
});

test("ops of one name are not taken for each other", async (device) => {
  const of = async (op: typeof good) => (await read(device, op([tensor([1])], { factor: 5 })))[0];
  const got = [(await of(marked))[0], (await of(other))[0], (await of(good))[0]];
  assert.equal(got, device.kind === "webgpu" ? [1005, 2005, 5] : [5, 5, 5]);
});

test("attributes are those of each application", async (device) => {
  const [[a], [b]] = await read(device, [
    good([tensor([3])], { factor: 2 })[0],
    good([tensor([3])], { factor: 4 })[0],
  ]);
  assert.equal([a, b], [18, 36]);
});

test("what comes behind one, a state that takes its value, and one made of another", async (device) => {
  const kept = state("kept", new Float32Array([1, 2, 3]), [3]);
  const outer = customOp({
    name: "test::outer",
    infer: ([t]) => [t],
    primitives: ([t]) => [add(good([t], { factor: 2 })[0], t)],
    webgpu: () => [],
  });
  const step = compile(device, (t: Tensor) => {
    const [y] = good([add(t, kept)], { factor: 1 });
    assign(kept, y);
    return mul(y, 2);
  });
  const result = await step(tensor([1, 1, 1]));
  assert.equal([...(await result.read())], [8, 18, 32]);
  assert.equal([...(await read(device, [kept]))[0]], [4, 9, 16]);
  if (device.kind === "cpu") {
    assert.equal([...(await read(device, outer([tensor([1, 3])])))[0]], [3, 21]);
  }
});

test("gradients: of the primitives, or of the op's own rule", async (device) => {
  const ruled = scaledSquare("if (i < p.n) { y[i] = x[i] * x[i] * FACTOR; }", {
    grad: ({ inputs: [t], upstream: [dy], attrs: { factor } }) => [
      dy && mul(mul(t, 2 * factor), dy),
    ],
  });
  for (const op of [good, ruled]) {
    const [g] = grad(sum(mul(op([x], { factor: 3 })[0], scalar(2))), [x]);
    const [got] = await read(device, [g]);
    got.forEach((v, i) => {
      assert.ok(Math.abs(v - 12 * values[i]) < 1e-4);
    });
  }
});

test("more workgroups than one dimension has", async (device) => {
  const n = 65535 * 64 + 1000;
  const [y] = good([tensor(new Float32Array(n).fill(3))], { factor: 2 });
  const [got] = await read(device, [y]);
  assert.ok(got.every((v) => v === 18));
});

test("opcheck passes what is right", async (device) => {
  await opcheck(device, ([t]) => good([t], { factor: 3 }), [x]);
});

/** On the CPU there is no kernel to be wrong. */
const wrongKernel = (device: Device, op: typeof good, sentence: RegExp): Promise<void> =>
  device.kind === "cpu"
    ? opcheck(device, ([t]) => op([t], { factor: 3 }), [x])
    : rejects(() => opcheck(device, ([t]) => op([t], { factor: 3 }), [x]), sentence);

test("opcheck finds a wrong value, and elements that nobody wrote", async (device) => {
  const wrong = scaledSquare("if (i < p.n) { y[i] = x[i] * x[i] * (FACTOR + 0.001); }");
  await wrongKernel(
    device,
    wrong,
    /\[opcheck\] on [\s\S]*test::scaled_square.*output 0: element 1 of /,
  );
  const short = scaledSquare("if (i + 8 < p.n) { y[i] = x[i] * x[i] * FACTOR; }");
  await wrongKernel(device, short, /output 0: element 192 of \[4, 50\]/);
});

test("opcheck finds a wrong gradient rule, also where primitives share it", async (device) => {
  const line = "if (i < p.n) { y[i] = x[i] * x[i] * FACTOR; }";
  const wrong = scaledSquare(line, {
    grad: ({ inputs: [t], upstream: [dy] }) => [dy && mul(mul(t, 5.5), dy)],
  });
  await rejects(
    () => opcheck(device, ([t]) => wrong([t], { factor: 3 }), [x]),
    /its twin, gradient 0: element[\s\S]*gradient of input 0: its slope is/,
  );
});

test("a launch that does not fit its WGSL, or WGSL that does not compile, is said", async (device) => {
  if (device.kind === "cpu") return;
  const launched = (wgsl: string, more: object = {}) =>
    customOp({
      name: "test::bad",
      infer: ([t]) => [t],
      primitives: ([t]) => [square(t)],
      webgpu: ({ inputs, outputs }) => [
        { kernel: "test::bad", wgsl, params: { n: 2 }, groups: 1, inputs, outputs, ...more },
      ],
    });
  const run = (op: (inputs: readonly Tensor[]) => Tensor[]) => () =>
    read(device, op([tensor([1, 2])]));
  const whole = `${HEAD} y[i] = x[i]; }`;
  await rejects(run(launched(whole, { params: {} })), /\[test::bad\].* no parameter n/);
  await rejects(run(launched(whole, { params: { n: 1, m: 2 } })), /\[test::bad\].* no parameter m/);
  await rejects(run(launched(whole, { constants: { SIZE: 1 } })), /\[test::bad\].* SIZE/);
  await rejects(run(launched(whole, { inputs: [] })), /1 operands, the kernel 2 bindings/);
  await rejects(
    run(launched(whole.replace("<storage, read_write>", "<storage, read>"))),
    /\[test::bad\] binding 2 is written, so that the kernel must declare it var<storage, read_write>/,
  );
  await rejects(
    run(launched(`${HEAD} y[i] = z[i]; }`)),
    /\[test::bad\] the kernel does not compile: line \d+: .*z/,
  );
  assert.equal([...(await read(device, good([tensor([2])], { factor: 1 })))[0]], [4]);
});

test("primitives that give something else than infer says", async (device) => {
  const odd = scaledSquare("", { primitives: ([t]) => [sum(t)] });
  await rejects(
    () => opcheck(device, ([t]) => odd([t], { factor: 3 }), [x]),
    /\[test::scaled_square\] the primitives give .* where infer says/,
  );
});

test("a name without a namespace", async () => {
  await rejects(
    async () =>
      customOp({
        name: "mine" as "a::b",
        infer: (t) => [...t],
        primitives: (t) => [...t],
        webgpu: () => [],
      }),
    /the name mine is not namespace::name/,
  );
});

test.run();
