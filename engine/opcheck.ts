/** Whether ops compute what they say, forward and backward: `opcheck`, for ops of one's own and for the engine's tests. */
import { read } from "./compile.ts";
import type { Device } from "./device.ts";
import { EngineError } from "./errors.ts";
import { grad } from "./grad.ts";
import { twinOf } from "./lower.ts";
import { add, addN, mul } from "./ops/elementwise.ts";
import { sum } from "./ops/reduce.ts";
import { sameShape, show } from "./shape.ts";
import {
  ancestors,
  hostData,
  type Node,
  type Tensor,
  type TensorSpec,
  type TypedArray,
  tensor,
} from "./tensor.ts";

/** A value and what it must be: `data`, or what `twin` computes on the same device. */
export type Comparison = {
  readonly label: string;
  readonly got: Tensor;
  readonly expected: TensorSpec & { readonly data?: TypedArray; readonly twin?: Tensor };
  readonly kind: "forward" | "gradient";
  /** Gradients of one group share the floor of their tolerance. */
  readonly group: string;
};

/**
 * Values in (-1, 1) that depend on `seed` alone: an upstream gradient, or a direction.
 */
function pseudoRandom(n: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const weighted = (outputs: readonly Tensor[], by: readonly (Tensor | undefined)[]): Tensor =>
  addN(
    outputs.flatMap((y, i) => {
      const up = by[i];
      return up ? [sum(mul(y, up))] : [];
    }),
  );

/** Gradients of the sum of output * upstream over all outputs that have an upstream. */
export const gradients = (
  outputs: readonly Tensor[],
  upstream: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
): Tensor[] => grad(weighted(outputs, upstream), wrt);

/** An upstream gradient for each output that can have one. */
const upstreamOf = (outputs: readonly Tensor[]): (Tensor | undefined)[] =>
  outputs.map((t, i) =>
    t.dtype === "f32" ? tensor(pseudoRandom(t.size, i + 1), t.shape) : undefined,
  );

/** A node's outputs, and with `graded` the gradients of its inputs, beside those of its twin. */
export function twinComparisons(
  node: Node,
  name: string,
  { twins, graded }: { readonly twins: readonly Tensor[]; readonly graded: boolean },
): Comparison[] {
  const label = `${name}, ${node.op.name} and its twin`;
  const group = `${name} ${node.id} twin`;
  const pair = (got: Tensor, twin: Tensor, what: string, kind: Comparison["kind"]): Comparison => {
    const expected = { shape: twin.shape, dtype: twin.dtype, twin };
    return { label: `${label}, ${what}`, got, expected, kind, group };
  };
  const comparisons = twins.map((t, i) => pair(node.outputs[i], t, `output ${i}`, "forward"));
  const wrt = node.inputs.filter((x) => x.dtype === "f32");
  const upstream = upstreamOf(twins);
  if (!graded || wrt.length === 0 || !upstream.some((up) => up)) return comparisons;
  const own = gradients(node.outputs.slice(0, twins.length), upstream, wrt);
  gradients(twins, upstream, wrt).forEach((g, i) => {
    comparisons.push(pair(own[i], g, `gradient ${i}`, "gradient"));
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

const wantedOf = (comparisons: readonly Comparison[]): Tensor[] => [
  ...comparisons.map((c) => c.got),
  ...comparisons.flatMap(({ expected }) => (expected.twin ? [expected.twin] : [])),
];

/** One sentence for each comparison that does not hold, and for each value that another run gives other bits. */
export async function compared(
  device: Device,
  comparisons: readonly Comparison[],
): Promise<string[]> {
  const failures: string[] = [];
  const wanted = wantedOf(comparisons);
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

/** The step of a difference quotient in f32, and how far from it a slope may be, as a share of the gradient's length. */
const STEP = 2 ** -7;
const SLOPE_TOLERANCE = 2e-2;

/** The gradients' slope in a direction against a difference quotient, of the inputs in turn. */
async function slopes(
  device: Device,
  fn: (inputs: readonly Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
): Promise<string[]> {
  const outputs = fn(inputs);
  const upstream = upstreamOf(outputs);
  const wrt = inputs.flatMap((x, i) => (x.dtype === "f32" ? [i] : []));
  if (wrt.length === 0 || !upstream.some((up) => up)) return [];
  const found = gradients(
    outputs,
    upstream,
    wrt.map((i) => inputs[i]),
  );
  const tested = wrt.map((i, k) => {
    const direction = tensor(pseudoRandom(inputs[i].size, 100 + i), inputs[i].shape);
    const at = (step: number): Tensor =>
      weighted(fn(inputs.with(i, add(inputs[i], mul(direction, step)))), upstream);
    return [sum(mul(found[k], direction)), sum(mul(found[k], found[k])), at(STEP), at(-STEP)];
  });
  const values = await read(device, tested.flat());
  return wrt.flatMap((i, k) => {
    const [slope, square, above, below] = values.slice(4 * k, 4 * k + 4).map(([v]) => v);
    const quotient = (above - below) / (2 * STEP);
    // what f32 leaves of the difference of two such sums
    const noise = (2 ** -20 * Math.max(Math.abs(above), Math.abs(below), 1)) / STEP;
    const tolerance = SLOPE_TOLERANCE * Math.sqrt(square) + noise;
    if (Math.abs(slope - quotient) <= tolerance) return [];
    return [
      `gradient of input ${i}: its slope is ${slope}, the difference quotient ${quotient} (tolerance ${tolerance})`,
    ];
  });
}

/**
 * Holds every op of a graph that is also there in primitives (each `customOp` is) to these, outputs and gradients, on a device;
 * all gradients to difference quotients; and two runs to the same bits. Choose inputs at which `fn` is smooth.
 * @param fn what is checked; its inputs become one op or a few
 * @param inputs made by `tensor`
 * @throws EngineError with a line for each fault
 */
export async function opcheck(
  device: Device,
  fn: (inputs: readonly Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
): Promise<void> {
  const listed = (result: Tensor | readonly Tensor[]): readonly Tensor[] =>
    "node" in result ? [result] : result;
  const comparisons = (given: readonly Tensor[]): Comparison[] =>
    ancestors(listed(fn(given))).flatMap((node) =>
      node.op.twin
        ? twinComparisons(node, "opcheck", { twins: twinOf(node, node.inputs), graded: true })
        : [],
    );
  // the same plan with other values: what a kernel leaves unwritten is then not what it should be
  const others = inputs.map((x) =>
    x.dtype === "f32"
      ? tensor(
          hostData(x).map((v) => 1 - v),
          x.shape,
        )
      : x,
  );
  await read(device, wantedOf(comparisons(others)));
  const failures = [
    ...(await compared(device, comparisons(inputs))),
    ...(await slopes(device, (given) => listed(fn(given)), inputs)),
  ];
  if (failures.length === 0) return;
  const shown = failures.slice(0, 8).map((failure) => `\n  ${failure}`);
  const more = failures.length > 8 ? `\n  and ${failures.length - 8} more` : "";
  throw new EngineError(`[opcheck] on ${device.description}:${shown.join("")}${more}`);
}
