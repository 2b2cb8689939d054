/**
 * From a function to a plan that is replayed: traced once for each signature of its arguments. `read` does the same for
 * a tensor that nobody compiled. Knows the device by its interface only.
 */
import type { Device, Executable, Run } from "./device.ts";
import { check, EngineError, fail } from "./errors.ts";
import { checkSizes, watched } from "./finite.ts";
import { lowered } from "./lower.ts";
import type { Op } from "./op.ts";
import { type AnyPlan, makePlan } from "./plan.ts";
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
import { type Assign, traced } from "./trace.ts";

/** A value of a finished run. It stays readable until the second run after it. */
export class Result {
  readonly shape: Shape;
  readonly dtype: DType;
  #run: Run;
  #index: number;
  /** @internal */
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

/** A plan, what it gives, and how its results are arranged. */
type Made = {
  readonly plan: AnyPlan;
  /** What its last result, beyond `outputs`, tells the size of; absent where nobody watches. */
  readonly names?: readonly string[] | undefined;
  readonly outputs: readonly TensorSpec[];
  readonly shape: unknown;
};
type Compiled = Omit<Made, "plan"> & { readonly executable: Promise<Executable> };

const specOf = ({ shape, dtype }: TensorSpec): TensorSpec => ({ shape, dtype });

/** A plan, which also tells how large its values are where the device is to look for those that are not finite. */
function planned(
  device: Device,
  outputs: readonly Tensor[],
  effects: readonly Assign[],
  inputs: readonly Tensor[],
): Pick<Made, "plan" | "names"> {
  const wanted = lowered([...outputs, ...effects.map(({ value }) => value)], device.kind);
  const results = wanted.slice(0, outputs.length);
  const assigned = effects.map(({ state }, i) => ({ state, value: wanted[outputs.length + i] }));
  const watch = device.checkFinite ? watched(wanted) : undefined;
  const all = watch ? [...results, watch.sizes] : results;
  return {
    plan: makePlan(all, assigned, inputs, device.joins, device.copies),
    names: watch?.names,
  };
}

/** Plans by signature, each for as long as the device keeps it. What is kept here holds no tensor, so that no data live on. */
class Plans {
  readonly #device: Device;
  readonly #compiled = new Map<string, Compiled>();
  constructor(device: Device) {
    this.#device = device;
  }

  /** Runs the plan of that name, which is made where it is not there. */
  async run<T>(
    name: string,
    make: () => Made,
    inputs: readonly Tensor[],
    begin: (run: Run, compiled: Compiled) => T,
  ): Promise<T> {
    for (;;) {
      const compiled = this.#compiled.get(name) ?? this.#load(name, make());
      const executable = await compiled.executable;
      if (executable.gone) continue;
      const { names, outputs } = compiled;
      const data = inputs.map(hostData);
      if (!names) return executable.run(data, (run) => begin(run, compiled));
      const { value, sizes } = await executable.run(data, (run) => ({
        value: begin(run, compiled),
        sizes: run.read(outputs.length),
      }));
      checkSizes(new Float32Array(await sizes), names);
      return value;
    }
  }

  #load(name: string, { plan, outputs, shape, names }: Made): Compiled {
    const drop = (): void => {
      this.#compiled.delete(name);
    };
    const executable = this.#device.load(plan, drop);
    executable.catch(drop);
    const compiled = { executable, outputs, shape, names };
    this.#compiled.set(name, compiled);
    return compiled;
  }
}

/**
 * Traces `fn` once for each signature (shapes and dtypes) of its arguments, plans it, and replays the plan.
 * Arguments and results are tensors, or arrays and records of them; arguments may be typed arrays.
 * @returns an async function; its results are read with `read()` or `item()`.
 */
export function compile<A extends unknown[], R>(
  device: Device,
  fn: (...args: A) => R,
): (...args: { [K in keyof A]: Input<A[K]> }) => Promise<Output<R>> {
  const plans = new Plans(device);
  const build = (args: readonly unknown[], inputs: readonly Tensor[]): Made => {
    let next = 0;
    const placeholders: Tensor[] = [];
    const tracedArgs = args.map((a, i) =>
      mapTree(a, `${i}`, () => {
        const spec = specOf(inputs[next++]);
        const t = apply1(inputOp, [], { spec, index: placeholders.length });
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
    const { plan, names } = planned(device, outputs, effects, placeholders);
    return { plan, outputs: outputs.map(specOf), shape, names };
  };
  return async (...args) => {
    const inputs: Tensor[] = [];
    args.forEach((a, i) => {
      mapTree(a, `${i}`, (v, path) => inputs.push(hostInput(v, path)));
    });
    const name = `${signatureOf(inputs)}|${JSON.stringify(mapTree(args, "", () => 0))}`;
    const make = (): Made => build(args, inputs);
    return plans.run(
      name,
      make,
      inputs,
      (run, { outputs, shape }) =>
        mapTree(shape, "", (i) =>
          typeof i === "number" ? new Result(outputs[i], run, i) : undefined,
        ) as Output<R>,
    );
  };
}

/** Ops by their names: those of one's own may share one. */
const namesakes = new Map<string, Op[]>();

/** A name that no other op has. */
function uniqueName(op: Op): string {
  if (op.on === undefined) return op.name;
  const all = namesakes.get(op.name) ?? [];
  namesakes.set(op.name, all);
  if (!all.includes(op)) all.push(op);
  return `${op.name} ${all.indexOf(op)}`;
}

/** The graph's structure as text: two graphs with the same text differ only in their constants' data. */
function structure(nodes: readonly Node[], outputs: readonly Tensor[]): string {
  const local = new Map<Node, number>();
  const ref = (t: Tensor): string => `${local.get(t.node)}.${t.index}`;
  const lines = nodes.map((node, i) => {
    local.set(node, i);
    if (node.op === stateOp) return `state${node.id}`;
    const { data: _, ...attrs } = node.attrs;
    return `${uniqueName(node.op)} ${JSON.stringify(attrs)} ${node.inputs.map(ref).join(",")}`;
  });
  return `${lines.join("\n")}\n=> ${outputs.map(ref).join(",")}`;
}

const eager = new WeakMap<Device, Plans>();

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
  const plans = eager.get(device) ?? new Plans(device);
  eager.set(device, plans);
  const make = (): Made => ({
    ...planned(device, tensors, [], constants),
    outputs: tensors.map(specOf),
    shape: undefined,
  });
  return plans.run(structure(nodes, tensors), make, constants, (run) =>
    Promise.all(tensors.map(async (t, i) => typed(await run.read(i), t.dtype))),
  );
}
