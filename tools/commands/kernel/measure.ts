/** One op on one device: how far it is from float64, and how long its kernels take. */
import { compile } from "../../../engine/compile.ts";
import type { Device, ProfileRow } from "../../../engine/device.ts";
import { gradients } from "../../../engine/opcheck.ts";
import type { Shape } from "../../../engine/shape.ts";
import { state, type Tensor, type TypedArray, tensor } from "../../../engine/tensor.ts";
import type { KernelOp } from "./ops.ts";

/** Rows of the result that are held to float64, spread over all. */
export const ROWS = 24;
/** Of each of them, places at which the gradient is held to a difference quotient. */
const PLACES = 4;
const STEP = 1e-4;
const WARM_UPS = 2;

export type Asked = {
  readonly op: KernelOp;
  readonly shape: Shape;
  readonly heads: number;
  /** Whether the gradient of the first operand is what is computed. */
  readonly grad: boolean;
  readonly runs: number;
};

export type Measured = {
  readonly device: string;
  /** Of what was compared, the largest difference, and that as a share of the largest value. */
  readonly difference: number;
  readonly relative: number;
  /** Milliseconds of all kernels of one run, on average; undefined where the device cannot tell. */
  readonly milliseconds: number | undefined;
  /** Bytes of operands and result, each once. */
  readonly bytes: number;
  readonly flops: number | undefined;
  readonly kernels: readonly ProfileRow[];
};

function values({ shape, below }: { shape: Shape; below?: number }, seed: number): TypedArray {
  let at = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    at = (Math.imul(at, 1664525) + 1013904223) >>> 0;
    return at / 2 ** 32;
  };
  const size = shape.reduce((a, b) => a * b, 1);
  return below === undefined
    ? Float32Array.from({ length: size }, () => 2 * next() - 1)
    : Uint32Array.from({ length: size }, () => Math.floor(below * next()));
}

/** Some of `count`, from the first to the last. */
const spread = (count: number, most: number): number[] => [
  ...new Set(
    Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / Math.max(1, most - 1))),
  ),
];

/**
 * Runs an op on a device that was opened with `profile`.
 * @throws EngineError for shapes that the op refuses
 */
export async function measure(device: Device, asked: Asked): Promise<Measured> {
  const { op, shape, heads, grad, runs } = asked;
  const operands = op.operands(shape, heads);
  const data = operands.map((one, i) => values(one, i + 1));
  // states, so that a run uploads nothing
  const states = data.map((own, i) => {
    const name = `operand ${i}`;
    return own instanceof Float32Array
      ? state(name, own, operands[i].shape)
      : tensor(own, operands[i].shape, "u32");
  });
  let upstream: TypedArray | undefined;
  const run = compile(device, () => {
    const y = op.apply(states, heads);
    if (!grad) return { y };
    upstream = values({ shape: y.shape }, 99);
    const up: Tensor = tensor(upstream, y.shape);
    return { y: gradients([y], [up], [states[0]])[0] };
  });
  const first = await (await run()).y.read();
  for (let i = 1; i < WARM_UPS; i++) await (await run()).y.read();
  const keyOf = ({ kernel, op, line, tasks }: ProfileRow) =>
    JSON.stringify([kernel, op, line, tasks]);
  const before = new Map(device.profile().map((row) => [keyOf(row), { ...row }]));
  for (let i = 0; i < runs; i++) await (await run()).y.read();
  const kernels = device.profile().flatMap((row) => {
    const old = before.get(keyOf(row));
    const launches = row.launches - (old?.launches ?? 0);
    const milliseconds = row.milliseconds - (old?.milliseconds ?? 0);
    return launches > 0 ? [{ ...row, launches, milliseconds }] : [];
  });
  const [x, ...others] = data;
  const width = operands[0].shape[operands[0].shape.length - 1];
  const rows = x.length / width;
  const rowAt = (r: number, of: ArrayLike<number> = x): Float64Array =>
    Float64Array.from({ length: width }, (_, i) => of[r * width + i]);
  const result = (own: Float64Array, r: number) => op.row(own, others, { r, shape, heads });
  let difference = 0;
  let largest = 0;
  const hold = (got: number, want: number): void => {
    // what is not a number is as wrong as can be
    const off = Math.abs(got - want);
    difference = Math.max(difference, Number.isNaN(off) ? Infinity : off);
    largest = Math.max(largest, Math.abs(want));
  };
  for (const r of spread(rows, ROWS)) {
    const own = rowAt(r);
    const want = result(own, r);
    if (!upstream) {
      for (let i = 0; i < want.length; i++) hold(first[r * want.length + i], want[i]);
      continue;
    }
    const up = upstream;
    for (const i of spread(width, PLACES)) {
      const at = (step: number): number => {
        const moved = own.map((v, k) => (k === i ? v + step : v));
        const y = result(moved, r);
        let all = 0;
        for (let k = 0; k < y.length; k++) all += y[k] * up[r * y.length + k];
        return all;
      };
      hold(first[r * width + i], (at(STEP) - at(-STEP)) / (2 * STEP));
    }
  }
  const all = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return {
    device: device.description,
    difference,
    relative: difference / Math.max(largest, Number.MIN_VALUE),
    milliseconds: kernels.length > 0 ? all / runs : undefined,
    bytes: [...data, first].reduce((sum, { byteLength }) => sum + byteLength, 0),
    flops: grad ? undefined : op.flops?.(shape),
    kernels,
  };
}
