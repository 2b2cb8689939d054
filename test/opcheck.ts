/**
 * One check for every op: forward and every gradient, on every device, against the numpy golden; a
 * fused op also against its twin. A test is one line: `opcheck("softmax", ([x]) => softmax(x))`.
 */
import { suite } from "uvu";
import { read } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { type Comparison, compared, gradients, twinComparisons } from "../engine/opcheck.ts";
import { openDevice } from "../engine/open.ts";
import { ancestors, type Tensor, tensor } from "../engine/tensor.ts";
import { allDevices, openWide } from "./devices.ts";
import { type Case, type Golden, readGolden } from "./golden.ts";

/** Applies the op under test to a case's inputs. */
export type OpFunction<A> = (inputs: Tensor[], attrs: A) => Tensor | readonly Tensor[];

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
    const twins = node.op.twin?.(node.inputs, node.attrs);
    if (!twins) continue;
    comparisons.push(...twinComparisons(node, c.name, { twins, graded: c.grads.length > 0 }));
  }
  return comparisons;
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
  return [...failures, ...(await compared(device, comparisons))];
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
