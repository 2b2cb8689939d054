/**
 * From a function to a plan that is replayed: traced once for each signature of its arguments. `read` does the same for
 * a tensor that nobody compiled. Knows the device by its interface only.
 */
import type { Device, Executable, Run } from "./device.ts";
import { check, EngineError, fail } from "./errors.ts";
import { makePlan } from "./plan.ts";
import { keep, touch } from "./plan-cache.ts";
import { type Shape, show } from "./shape.ts";
import {
  ancestors,
  apply1,
  constantOp,
  type DType,
  hostData,
  inputOp,
  type Node,
  stateOp,
  Tensor,
  type TensorSpec,
  type TypedArray,
  tensor,
} from "./tensor.ts";
import { traced } from "./trace.ts";

/** A value of a finished run. It stays readable until the second run after it. */
export class Result {
  readonly shape: Shape;
  readonly dtype: DType;
  #run: Run;
  #index: number;
  constructor(spec: TensorSpec, run: Run, index: number) {
    this.shape = spec.shape;
    this.dtype = spec.dtype;
    this.#run = run;
    this.#index = index;
  }
  /** Copies the value to the host. Throws when a later run has reused its memory. */
  async read(): Promise<TypedArray> {
    return typed(await this.#run.read(this.#index), this.dtype);
  }
  /** The one number of a one-element value. */
  async item(): Promise<number> {
    const data = await this.read();
    check(data.length === 1, "item", () => `${show(this.shape)} is not one value; use read()`);
    return data[0];
  }
}

export function typed(bytes: ArrayBuffer, dtype: DType): TypedArray {
  if (dtype === "f32") return new Float32Array(bytes);
  if (dtype === "i32") return new Int32Array(bytes);
  if (dtype === "u32") return new Uint32Array(bytes);
  return new Uint16Array(bytes);
}

/** What a compiled function takes where the traced one takes tensors. */
export type Input<T> = T extends Tensor
  ? Tensor | TypedArray
  : T extends object
    ? { readonly [K in keyof T]: Input<T[K]> }
    : never;

/** What a compiled function gives where the traced one gives tensors. */
export type Output<T> = T extends Tensor
  ? Result
  : T extends object
    ? { readonly [K in keyof T]: Output<T[K]> }
    : T;

/** Calls `visit` on each leaf of a tree of arrays and records and rebuilds the tree. */
function mapTree(
  value: unknown,
  path: string,
  visit: (v: unknown, path: string) => unknown,
): unknown {
  if (value instanceof Tensor || ArrayBuffer.isView(value)) return visit(value, path);
  if (Array.isArray(value)) return value.map((v, i) => mapTree(v, `${path}[${i}]`, visit));
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([k, v]) => [k, mapTree(v, `${path}.${k}`, visit)]));
  }
  return visit(value, path);
}

function hostInput(value: unknown, path: string): Tensor {
  if (value instanceof Tensor) {
    check(
      value.node.op === constantOp,
      "compile",
      () => `argument ${path} is ${value}, which has no host data; pass tensor(data, shape)`,
    );
    return value;
  }
  if (
    value instanceof Float32Array ||
    value instanceof Int32Array ||
    value instanceof Uint32Array
  ) {
    return tensor(value);
  }
  return fail(
    "compile",
    `argument ${path} is ${value === null ? "null" : typeof value}: it would be frozen into the plan; ` +
      "pass a tensor or a typed array",
  );
}

const signatureOf = (inputs: readonly Tensor[]): string =>
  inputs.map((t) => `${t.dtype}${show(t.shape)}`).join(";");

type Compiled = { executable: Promise<Executable>; outputs: readonly Tensor[]; shape: unknown };

/**
 * Traces `fn` once for each signature (shapes and dtypes) of its arguments, plans it, and replays the plan.
 * Arguments and results are tensors, or arrays and records of them; arguments may be typed arrays.
 * @returns an async function; its results are read with `read()` or `item()`.
 */
export function compile<A extends unknown[], R>(
  device: Device,
  fn: (...args: A) => R,
): (...args: { [K in keyof A]: Input<A[K]> }) => Promise<Output<R>> {
  const plans = new Map<string, Compiled>();
  const build = (args: readonly unknown[], inputs: readonly Tensor[]): Compiled => {
    let next = 0;
    const placeholders: Tensor[] = [];
    const tracedArgs = args.map((a, i) =>
      mapTree(a, `${i}`, () => {
        const spec = inputs[next++];
        const shaped = { shape: spec.shape, dtype: spec.dtype };
        const t = apply1(inputOp, [], { spec: shaped, index: placeholders.length });
        placeholders.push(t);
        return t;
      }),
    );
    const { value, effects } = traced(() => fn(...(tracedArgs as A)));
    const outputs: Tensor[] = [];
    const shape = mapTree(value, "result", (v, path) => {
      if (v === undefined) return undefined;
      if (!(v instanceof Tensor)) fail("compile", `${path} is ${typeof v}, not a Tensor`);
      return outputs.push(v) - 1;
    });
    const plan = makePlan(outputs, effects, placeholders);
    return { executable: device.load(plan), outputs, shape };
  };
  return async (...args) => {
    const inputs: Tensor[] = [];
    args.forEach((a, i) => {
      mapTree(a, `${i}`, (v, path) => inputs.push(hostInput(v, path)));
    });
    const key = `${signatureOf(inputs)}|${JSON.stringify(mapTree(args, "", () => 0))}`;
    let compiled = plans.get(key);
    if (!compiled) {
      compiled = build(args, inputs);
      const mine = compiled;
      plans.set(key, mine);
      mine.executable.then(
        (e) => keep(device, mine, e, () => plans.delete(key)),
        () => plans.delete(key),
      );
    }
    const executable = await compiled.executable;
    await device.ready();
    await executable.ready();
    touch(device, compiled);
    const run = executable.run(inputs.map(hostData));
    const { outputs, shape } = compiled;
    return mapTree(shape, "", (i) =>
      typeof i === "number" ? new Result(outputs[i], run, i) : undefined,
    ) as Output<R>;
  };
}

/** The graph's structure as text: two graphs with the same text differ only in their constants' data. */
function structure(nodes: readonly Node[], outputs: readonly Tensor[]): string {
  const local = new Map<Node, number>();
  const ref = (t: Tensor): string => `${local.get(t.node)}.${t.index}`;
  const lines = nodes.map((node, i) => {
    local.set(node, i);
    if (node.op === stateOp) return `state${node.id}`;
    const { data: _, ...attrs } = node.attrs;
    return `${node.op.name} ${JSON.stringify(attrs)} ${node.inputs.map(ref).join(",")}`;
  });
  return `${lines.join("\n")}\n=> ${outputs.map(ref).join(",")}`;
}

const eager = new WeakMap<Device, Map<string, Promise<Executable>>>();

/** Values of tensors that nobody compiled: planned on the spot, the plan cached by the graph's structure. */
export async function read(device: Device, tensors: readonly Tensor[]): Promise<TypedArray[]> {
  if (tensors.every((t) => t.node.op === stateOp)) {
    const all = await device.readStates(tensors);
    return all.map((bytes, i) => typed(bytes, tensors[i].dtype));
  }
  const nodes = ancestors(tensors);
  const constants = nodes.flatMap((n) => (n.op === constantOp ? n.outputs : []));
  if (nodes.some((n) => n.op === inputOp)) {
    throw new EngineError("[read] the tensor depends on an argument of a compiled function");
  }
  const plans = eager.get(device) ?? new Map<string, Promise<Executable>>();
  eager.set(device, plans);
  const key = structure(nodes, tensors);
  let loading = plans.get(key);
  if (!loading) {
    const made = device.load(makePlan(tensors, [], constants));
    loading = made;
    plans.set(key, made);
    made.then(
      (e) => keep(device, made, e, () => plans.delete(key)),
      () => plans.delete(key),
    );
  }
  const executable = await loading;
  await device.ready();
  await executable.ready();
  touch(device, loading);
  const run = executable.run(constants.map(hostData));
  return Promise.all(tensors.map(async (t, i) => typed(await run.read(i), t.dtype)));
}
