/** What a tensor is: a node of a graph that owns no memory, and its leaves (states, inputs, constants). */
import { check, fail } from "./errors.ts";
import type { Attrs, Op } from "./op.ts";
import { checkShape, numel, type Shape, sameShape, show } from "./shape.ts";

/** f16 and bf16 are storage formats of frozen weights; arithmetic is f32. */
export type DType = "f32" | "i32" | "u32" | "f16" | "bf16";
export type TypedArray = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** What an op promises of one output. */
export type TensorSpec = { readonly shape: Shape; readonly dtype: DType };

/** One application of an op. Nodes are numbered as they are made, so ids are in topological order. */
export type Node = {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly outputs: readonly Tensor[];
};

/** Describes a value; owns no memory. `index` says which output of its node it is. */
export class Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  /** @internal */
  readonly node: Node;
  /** @internal */
  readonly index: number;
  /** @internal */
  constructor(spec: TensorSpec, node: Node, index: number) {
    this.shape = spec.shape;
    this.dtype = spec.dtype;
    this.node = node;
    this.index = index;
  }
  /** The number of elements. */
  get size(): number {
    return numel(this.shape);
  }
  get bytes(): number {
    return byteLength(this);
  }
  toString(): string {
    return `Tensor(${this.node.op.name}, ${this.dtype}${show(this.shape)})`;
  }
}

/** Bytes in a buffer: halves are packed two to a 32-bit word. */
export function byteLength(spec: TensorSpec): number {
  const n = numel(spec.shape);
  return spec.dtype === "f16" || spec.dtype === "bf16" ? Math.ceil(n / 2) * 4 : n * 4;
}

/** Bytes of the values alone, where memory takes half-precision tensors in whole words. */
export const valueBytes = ({ shape, dtype }: TensorSpec): number =>
  numel(shape) * (dtype === "f16" || dtype === "bf16" ? 2 : 4);

let nodes = 0;

/** No kernel runs on nothing: a tensor without elements is made and read, but not computed with. */
function checkFilled(op: string, { shape, dtype }: TensorSpec): void {
  check(!shape.includes(0), op, () => {
    return `${dtype}${show(shape)} has no elements to compute with; leave the op out, or use sizes of 1 or more`;
  });
}

/** Where a node comes from: a line of a program, or the gradient of another node. */
export type Origin = { readonly line: string } | { readonly gradientOf: Node };

const origins = new WeakMap<Node, Origin>();
let noting = false;
let differentiated: Node | undefined;

/** From here on each node is noted with where it comes from, which takes a stack trace each time. */
export function noteOrigins(): void {
  noting = true;
}

/** Undefined for a node that was made before `noteOrigins`. */
export const originOf = (node: Node): Origin | undefined => origins.get(node);

/** The line of a program that made a node, of a gradient that made the node whose gradient it is; undefined where nobody noted it. */
export function lineOf(node: Node): string | undefined {
  const origin = originOf(node);
  if (!origin) return undefined;
  return "line" in origin ? origin.line : lineOf(origin.gradientOf);
}

/** Runs `make`; the nodes that it makes are noted as the gradient of `node`. */
export function asGradientOf<T>(node: Node, make: () => T): T {
  if (!noting) return make();
  const before = differentiated;
  differentiated = node;
  try {
    return make();
  } finally {
    differentiated = before;
  }
}

/** The package's own folders, where no line is the user's; bundlers would take `new URL` for files to be copied. */
const HERE = import.meta.url;
const OWN = ["engine/", "models/", "promptgen/"].map(
  (name) => HERE.slice(0, HERE.lastIndexOf("/engine/") + 1) + name,
);

/** The innermost line outside the package that asks for an op, and that of the model in between, if there is one. */
function callingLine(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 60; // models call deeply
  const frames = (new Error().stack ?? "").split("\n").slice(1);
  Error.stackTraceLimit = limit;
  const placed = frames.filter((frame) => /:\d+:\d+/.test(frame)); // the host's own functions have no line
  const lines = placed.map((frame) => frame.trim().replace(/^at /, ""));
  const within = lines.find(
    (line) => !line.includes(OWN[0]) && OWN.some((own) => line.includes(own)),
  );
  const outside = lines.find((line) => !OWN.some((own) => line.includes(own)));
  if (outside === undefined) return within ?? lines[0] ?? "a line that the host does not tell";
  return within === undefined ? outside : `${within}, called from ${outside}`;
}

function noteOrigin(node: Node): void {
  origins.set(node, differentiated ? { gradientOf: differentiated } : { line: callingLine() });
}

/** Applies an op to tensor `x` of a graph, as the next after the one that gives it: what it makes can be planned at once. */
export function applyBehind(op: Op, x: Tensor): Tensor {
  const outputs: Tensor[] = [];
  const node: Node = { id: x.node.id + 0.5, op, inputs: [x], attrs: {}, outputs };
  outputs.push(...op.infer([x], {}).map((spec, i) => new Tensor(spec, node, i)));
  return outputs[0];
}

/** Applies an op: checks the inputs now, so that the stack trace shows the caller's line. */
export function apply(op: Op, inputs: readonly Tensor[], attrs: Attrs = {}): Tensor[] {
  for (const x of inputs) {
    check(x instanceof Tensor, op.name, () => `expected a Tensor, got ${typeof x}`);
  }
  const specs = op.infer(inputs, attrs);
  if (!LEAVES.has(op)) for (const spec of [...inputs, ...specs]) checkFilled(op.name, spec);
  const outputs: Tensor[] = [];
  const node: Node = { id: nodes++, op, inputs, attrs, outputs };
  for (let i = 0; i < specs.length; i++) outputs.push(new Tensor(specs[i], node, i));
  if (noting) noteOrigin(node);
  return outputs;
}

/** Applies an op that has one output. */
export const apply1 = (op: Op, inputs: readonly Tensor[], attrs: Attrs = {}): Tensor =>
  apply(op, inputs, attrs)[0];

const leaf = (name: string): Op => ({
  name,
  infer: (_, attrs) => [attrs.spec as TensorSpec],
  grad: () => [],
  launch: () => [],
});

/** Values that live across runs: parameters and optimiser moments. */
export const stateOp: Op = leaf("state");
/** An argument of a compiled function. */
export const inputOp: Op = leaf("input");
/** Host data that is uploaded with the plan. */
export const constantOp: Op = leaf("constant");
/** Scratch memory of one op's launches. */
export const tempOp: Op = leaf("temp");

const LEAVES: ReadonlySet<Op> = new Set([stateOp, inputOp, constantOp, tempOp]);
export const isLeaf = (node: Node): boolean => LEAVES.has(node.op);

const ARRAYS = {
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
} as const;

/** The dtype of host data: what is asked for, or what the array says. Throws where they do not fit. */
function dtypeOf(op: string, data: unknown, dtype: DType | undefined): DType {
  if (dtype !== undefined) {
    const names = Object.keys(ARRAYS);
    check(names.includes(dtype), op, () => `the dtype ${dtype} is none of ${names.join(", ")}`);
    check(data instanceof ARRAYS[dtype], op, () => {
      return `${arrayName(data)} does not hold ${dtype}; pass a ${ARRAYS[dtype].name}`;
    });
    return dtype;
  }
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  if (data instanceof Uint16Array)
    return fail(op, 'a Uint16Array needs its dtype, "f16" or "bf16"');
  return fail(op, `the data ${arrayName(data)} is no Float32Array, Int32Array or Uint32Array`);
}

const arrayName = (data: unknown): string =>
  data !== null && typeof data === "object" ? data.constructor.name : String(data);

/** The whole numbers that an integer dtype holds: the least and the largest. */
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** Refuses a number that the dtype would change to another one: a fraction, or a number out of range. */
export function checkHolds(op: string, value: number, dtype: DType): void {
  const range = RANGES[dtype];
  const holds = range
    ? Number.isInteger(value) && value >= range[0] && value <= range[1]
    : !Number.isFinite(value) || Number.isFinite(Math.fround(value));
  check(holds, op, () => {
    if (!range) return `${dtype} does not hold the number ${value}; use one below 3.4e38`;
    const whole = `whole numbers from ${range[0]} to ${range[1]}`;
    return `${dtype} does not hold the number ${value}, only ${whole}; use one of them, or cast() to f32`;
  });
}

/** Numbers as an array of the dtype. */
function arrayOf(values: readonly unknown[], dtype: DType): TypedArray {
  check(dtype === "f32" || dtype in RANGES, "tensor", () => {
    return `numbers make a tensor of f32, i32 or u32, not of ${dtype}; pass a typed array`;
  });
  // Array.from visits holes too
  const numbers = Array.from(values, (value) => {
    check(typeof value === "number", "tensor", () => {
      const what = Array.isArray(value)
        ? "a list"
        : value == null
          ? `${value}`
          : `a ${typeof value}`;
      return `the data hold ${what} where a number is expected; pass one flat list, and the shape behind it`;
    });
    checkHolds("tensor", value, dtype);
    return value;
  });
  return ARRAYS[dtype].from(numbers);
}

function checkData(op: string, data: TypedArray, shape: Shape): void {
  checkShape(op, shape);
  check(
    data.length === numel(shape),
    op,
    () => `${data.length} values do not fill shape ${show(shape)} (${numel(shape)})`,
  );
}

/**
 * A tensor of host data. Inside `compile` it is a constant of the plan. Numbers become f32, or the dtype that is asked for; a typed
 * array must be one of its dtype.
 */
export function tensor(data: TypedArray | number[], shape?: Shape, dtype?: DType): Tensor {
  const array = Array.isArray(data) ? arrayOf(data, dtype ?? "f32") : data;
  const kind = dtypeOf("tensor", array, dtype);
  const spec = { shape: shape ?? [array.length], dtype: kind };
  checkData("tensor", array, spec.shape);
  return apply1(constantOp, [], { spec, data: array });
}

export const scalar = (value: number): Tensor => tensor([value], []);

/** Values that a device reads piece by piece when it first needs them, and again after it let them go. */
export type StateSource = {
  /** The values from element `first` up to `end`, in the state's dtype. */
  read(first: number, end: number): Promise<TypedArray>;
  /** Fills `into`, which may be shared memory, with the bytes of all values; absent where they have to be made. */
  readInto?(into: Uint8Array): Promise<void>;
  /** The error for a value of `readInto` that is NaN or infinite, by its place; the device looks for one. */
  refused?(place: number): Error;
};

/** What a state holds until a device takes it over; no data is zeros. */
export type StateInit = { name: string; data: TypedArray | StateSource | undefined };

/** A tensor with memory of its own that outlives a run; `assign` inside `compile` changes it. */
export function state(
  name: string,
  data: TypedArray | StateSource,
  shape: Shape,
  dtype?: DType,
): Tensor {
  const isSource = "read" in data && typeof data.read === "function";
  const kind = isSource ? (dtype ?? "f32") : dtypeOf(name, data, dtype);
  if (ArrayBuffer.isView(data)) checkData(name, data, shape);
  else checkShape(name, shape);
  const spec = { shape, dtype: kind };
  return apply1(stateOp, [], { spec, state: { name, data } satisfies StateInit });
}

/** A state of zeros, for which the host holds nothing. */
export function zeroState(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  checkShape(name, shape);
  const init: StateInit = { name, data: undefined };
  return apply1(stateOp, [], { spec: { shape, dtype }, state: init });
}

export function stateName(t: Tensor): string {
  return t.node.op === stateOp ? (t.node.attrs.state as StateInit).name : t.toString();
}

/**
 * The data of a constant, or of a state as it was made; undefined for a state of zeros. Throws for a state whose values come
 * from a `StateSource`.
 */
export function initialData(t: Tensor): TypedArray | undefined {
  if (t.node.op === constantOp) return t.node.attrs.data as TypedArray;
  if (t.node.op === stateOp) {
    const { data } = t.node.attrs.state as StateInit;
    if (data === undefined || ArrayBuffer.isView(data)) return data;
  }
  return fail("tensor", `${t} has no host data`);
}

/** The source of a state whose first values can be read straight into memory; undefined for others. */
export function directSource(
  t: Tensor,
): (Required<Pick<StateSource, "readInto">> & StateSource) | undefined {
  const { data } = t.node.attrs.state as StateInit;
  if (data === undefined || ArrayBuffer.isView(data) || data.readInto === undefined)
    return undefined;
  return { ...data, readInto: data.readInto };
}

/** Elements that are read and uploaded at once. */
const PIECE_ELEMENTS = 4 * 2 ** 20;

/** The first values of a state in pieces, in order; nothing for a state of zeros. */
export async function* initialPieces(t: Tensor): AsyncGenerator<TypedArray> {
  const { data } = t.node.attrs.state as StateInit;
  if (data === undefined) return;
  for (let first = 0; first < t.size; first += PIECE_ELEMENTS) {
    const end = Math.min(t.size, first + PIECE_ELEMENTS);
    if (ArrayBuffer.isView(data)) yield data.subarray(first, end);
    else {
      const piece = await data.read(first, end);
      dtypeOf(stateName(t), piece, t.dtype);
      checkData(stateName(t), piece, [end - first]);
      yield piece;
    }
  }
}

/** As `initialData`, with the zeros written out. */
export const hostData = (t: Tensor): TypedArray => initialData(t) ?? new Float32Array(t.size);

export const sameSpec = (a: TensorSpec, b: TensorSpec): boolean =>
  a.dtype === b.dtype && sameShape(a.shape, b.shape);

/** Every node that `roots` depend on, in topological (id) order. Iterative: an unroll is thousands of nodes deep. */
export function ancestors(roots: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = roots.map((t) => t.node);
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const x of node.inputs) if (!seen.has(x.node)) stack.push(x.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}
