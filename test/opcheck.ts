/**
 * One check for every op: forward and every gradient, on every device, against the numpy golden; a
 * fused op also against its twin. A test is one line: `opcheck("softmax", ([x]) => softmax(x))`.
 */
import { suite } from "uvu";
import { read } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { grad } from "../engine/grad.ts";
import { openDevice } from "../engine/open.ts";
import { addN, mul } from "../engine/ops/elementwise.ts";
import { sum } from "../engine/ops/reduce.ts";
import { sameShape, show } from "../engine/shape.ts";
import { ancestors, type Node, type Tensor, type TypedArray, tensor } from "../engine/tensor.ts";
import { allDevices, openWide } from "./devices.ts";
import { type Case, type Golden, readGolden, type Values } from "./golden.ts";

/** Applies the op under test to a case's inputs. */
export type OpFunction<A> = (inputs: Tensor[], attrs: A) => Tensor | readonly Tensor[];

type Expected = Pick<Values, "shape" | "dtype"> & {
  readonly data?: TypedArray;
  readonly twin?: Tensor;
};
type Comparison = {
  readonly label: string;
  readonly got: Tensor;
  readonly expected: Expected;
  readonly kind: "forward" | "gradient";
  /** Gradients of one group share the floor of their tolerance. */
  readonly group: string;
};

/** A device and the form of the kernels that it runs, for people. */
type Form = { readonly name: string; readonly device: Device };

/** Each device with every form of its kernels: a software adapter runs those for hardware too. */
async function openForms(): Promise<Form[]> {
  const forms: Form[] = [];
  for (const { name, device } of await allDevices()) {
    forms.push({ name: `on ${name}`, device });
    if (name === "cpu") {
      const plain = await openDevice({ device: "cpu", threads: 2, simd: "plain" });
      forms.push({ name: `without relaxed SIMD on ${name}`, device: plain });
      const wide = await openWide({ threads: 2 });
      forms.push({ name: `with 64-bit addresses on ${name}`, device: wide });
    }
    if (name === "gpu:software") {
      const hardware = await openDevice({ device: name, geometry: "hardware" });
      forms.push({ name: `in the hardware form on ${name}`, device: hardware });
    }
  }
  return forms;
}

/**
 * The CPU with 1, 2 and 4 threads, and with 64-bit addresses. Profiling makes every launch a segment of its own, which the threads share whatever its
 * size.
 */
const openThreads = (): Promise<Device[]> =>
  Promise.all([
    ...[1, 2, 4].map((threads) => openDevice({ device: "cpu", threads, profile: true, debug: 0 })),
    openWide({ threads: 2, debug: 0 }),
  ]);

let formsOpened: Promise<Form[]> | undefined;

const listed = (result: Tensor | readonly Tensor[]): readonly Tensor[] =>
  "node" in result ? [result] : result;

/**
 * Values in (-1, 1) that depend on `seed` alone: an upstream gradient for comparing with a twin.
 */
function pseudoRandom(n: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Gradients of the sum of output * upstream over all outputs that have an upstream. */
function gradients(
  outputs: readonly Tensor[],
  upstream: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
): Tensor[] {
  const terms = outputs.flatMap((y, i) => {
    const up = upstream[i];
    return up ? [sum(mul(y, up))] : [];
  });
  return grad(addN(terms), wrt);
}

function compareWithGolden<A>(fn: OpFunction<A>, c: Case, golden: Golden): Comparison[] {
  const input = (i: number): Tensor => {
    const { data, shape, dtype } = golden.at(`${c.name}.input.${i}`);
    return tensor(data, shape, dtype);
  };
  const inputs = Array.from({ length: c.inputs }, (_, i) => input(i));
  const outputs = listed(fn(inputs, c.attrs as A));
  if (outputs.length !== c.outputs) {
    throw new Error(`${c.name}: ${outputs.length} outputs, the golden has ${c.outputs}`);
  }
  const comparisons: Comparison[] = outputs.map((got, j) => ({
    label: `${c.name}, output ${j}`,
    got,
    expected: golden.at(`${c.name}.output.${j}`),
    kind: "forward",
    group: c.name,
  }));
  if (c.grads.length > 0) {
    const ungraded = inputs.findIndex((x, i) => x.dtype === "f32" && !c.grads.includes(i));
    if (ungraded >= 0)
      throw new Error(`${c.name}: the golden has no gradient of input ${ungraded}`);
    const upstream = outputs.map((_, j) => {
      const key = `${c.name}.upstream.${j}`;
      if (!golden.has(key)) return undefined;
      const { data, shape } = golden.at(key);
      return tensor(data, shape);
    });
    const wrt = c.grads.map((i) => inputs[i]);
    gradients(outputs, upstream, wrt).forEach((got, k) => {
      const i = c.grads[k];
      const expected = golden.at(`${c.name}.grad.${i}`);
      const label = `${c.name}, gradient of input ${i}`;
      comparisons.push({ label, got, expected, kind: "gradient", group: c.name });
    });
  }
  for (const node of ancestors(outputs)) {
    if (node.op.twin) comparisons.push(...compareWithTwin(node, c));
  }
  return comparisons;
}

function compareWithTwin(node: Node, c: Case): Comparison[] {
  const twins = node.op.twin?.(node.inputs, node.attrs) ?? [];
  const label = `${c.name}, ${node.op.name} and its twin`;
  const group = `${c.name} ${node.id} twin`;
  const pair = (got: Tensor, twin: Tensor, what: string, kind: Comparison["kind"]): Comparison => {
    const expected = { shape: twin.shape, dtype: twin.dtype, twin };
    return { label: `${label}, ${what}`, got, expected, kind, group };
  };
  const comparisons = twins.map((t, i) => pair(node.outputs[i], t, `output ${i}`, "forward"));
  const wrt = node.inputs.filter((x) => x.dtype === "f32");
  if (c.grads.length === 0 || wrt.length === 0) return comparisons;
  const upstream = twins.map((t, i) =>
    t.dtype === "f32" ? tensor(pseudoRandom(t.size, i + 1), t.shape) : undefined,
  );
  const fused = gradients(node.outputs.slice(0, twins.length), upstream, wrt);
  gradients(twins, upstream, wrt).forEach((g, i) => {
    comparisons.push(pair(fused[i], g, `gradient ${i}`, "gradient"));
  });
  return comparisons;
}

const largest = (data: TypedArray): number => {
  let m = 0;
  for (const v of data) if (Number.isFinite(v)) m = Math.max(m, Math.abs(v));
  return m;
};

/**
 * The first place where two arrays differ by more than `tolerance`; NaN agrees with NaN, infinity
 * with itself.
 */
function firstDifference(got: TypedArray, want: TypedArray, tolerance: number): number {
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i]) || got[i] === want[i]) continue;
    if (!(Math.abs(got[i] - want[i]) <= tolerance)) return i;
  }
  return -1;
}

function judge(
  { label, got, expected, kind }: Comparison,
  values: TypedArray,
  want: TypedArray,
  floor: number,
): string | undefined {
  if (!sameShape(got.shape, expected.shape)) {
    return `${label}: shape ${show(got.shape)} is not ${show(expected.shape)}`;
  }
  if (got.dtype !== expected.dtype) return `${label}: ${got.dtype} is not ${expected.dtype}`;
  const top = largest(want);
  const forward = want instanceof Float32Array ? 1e-5 + 1e-5 * top : 0;
  const tolerance = kind === "gradient" ? 1e-3 * top + 1e-6 * floor : forward;
  const at = firstDifference(values, want, tolerance);
  if (at < 0) return undefined;
  const where = `element ${at} of ${show(got.shape)}`;
  return `${label}: ${where} is ${values[at]}, not ${want[at]} (tolerance ${tolerance})`;
}

/** What is wrong with an op on a device, one line each; empty when it agrees with its golden. */
export async function failuresOf<A>(
  device: Device,
  golden: Golden,
  fn: OpFunction<A>,
): Promise<string[]> {
  const failures: string[] = [];
  if (golden.cases.length === 0) return ["the golden has no cases"];
  const comparisons: Comparison[] = [];
  for (const c of golden.cases) {
    try {
      comparisons.push(...compareWithGolden(fn, c, golden));
    } catch (error) {
      failures.push(`${c.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const twins = comparisons.flatMap(({ expected }) => (expected.twin ? [expected.twin] : []));
  const wanted = [...comparisons.map((c) => c.got), ...twins];
  const first = await read(device, wanted);
  const second = await read(device, wanted);
  let nextTwin = comparisons.length;
  const wants = comparisons.map(({ expected }) => expected.data ?? first[nextTwin++]);
  const floors = new Map<string, number>();
  comparisons.forEach(({ kind, group }, i) => {
    if (kind === "gradient") floors.set(group, Math.max(floors.get(group) ?? 0, largest(wants[i])));
  });
  comparisons.forEach((c, i) => {
    const failure = judge(c, first[i], wants[i], floors.get(c.group) ?? 0);
    if (failure) failures.push(failure);
    const again = first[i].findIndex((v, k) => !Object.is(v, second[i][k]));
    if (again >= 0) failures.push(`${c.label}: element ${again} differs from run to run`);
  });
  return failures;
}

/** The first place where other numbers of threads give other bits. */
async function threadsDiffer<A>(golden: Golden, fn: OpFunction<A>): Promise<string | undefined> {
  const comparisons = golden.cases.flatMap((c) => compareWithGolden(fn, c, golden));
  const wanted = comparisons.map((c) => c.got);
  const devices = await openThreads();
  const [one, ...others] = await Promise.all(devices.map((device) => read(device, wanted)));
  for (const device of devices) device.destroy();
  for (const other of others) {
    for (const [i, values] of other.entries()) {
      const at = values.findIndex((v, k) => !Object.is(v, one[i][k]));
      if (at >= 0) return `${comparisons[i].label}: element ${at} differs with the threads`;
    }
  }
  return undefined;
}

/**
 * Registers and runs the tests of one op, one for each device and form of its kernels: `name` is its golden, `fn` applies
 * it to a case's inputs.
 */
export async function opcheck<A = Readonly<Record<string, unknown>>>(
  name: string,
  fn: OpFunction<A>,
): Promise<void> {
  const golden = readGolden(name);
  formsOpened ??= openForms();
  for (const form of await formsOpened) {
    const test = suite(`opcheck ${name} ${form.name}`);
    test("agrees with numpy", async () => {
      const failures = await failuresOf(form.device, golden, fn);
      if (failures.length === 0) return;
      const shown = failures.slice(0, 8).map((f) => `\n  ${f}`);
      const more = failures.length > 8 ? `\n  and ${failures.length - 8} more` : "";
      throw new Error(`[${name}] on ${form.device.description}:${shown.join("")}${more}`);
    });
    if (form.name === "on cpu") {
      test("gives the same bits with 1, 2 and 4 threads", async () => {
        const failure = await threadsDiffer(golden, fn);
        if (failure) throw new Error(`[${name}] ${failure}`);
      });
    }
    test.run();
  }
}
