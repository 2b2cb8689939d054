/** Arithmetic of shapes: sizes, strides, broadcasting. Knows no tensor. */
import { check } from "./errors.ts";

export type Shape = readonly number[];

/** The number of elements. */
export function numel(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** Refuses what is no shape: sizes are whole numbers of 0 or more. */
export function checkShape(op: string, shape: Shape): void {
  check(
    Array.isArray(shape) && shape.every((d) => Number.isSafeInteger(d) && d >= 0),
    op,
    () => `the shape ${JSON.stringify(shape)} must be a list of whole numbers of 0 or more`,
  );
}

export const show = (shape: Shape): string => `[${shape.join(", ")}]`;

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/** The NumPy rule: shapes are aligned at the last axis, sizes are equal or 1. */
export function broadcastShapes(op: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      check(
        shape[i] === out[at] || shape[i] === 1 || out[at] === 1,
        op,
        () => `shapes ${shapes.map(show).join(" and ")} do not broadcast: sizes must be equal or 1`,
      );
      if (shape[i] !== 1) out[at] = shape[i];
    }
  }
  return out;
}

/** Strides that read `shape` as if it had been expanded to `to` (stride 0 on expanded axes). */
export function broadcastStrides(shape: Shape, to: Shape): number[] {
  const own = stridesOf(shape);
  const lead = to.length - shape.length;
  return to.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : own[i - lead]));
}

/** A non-negative axis, or an error that names the range. */
export function normalizeAxis(op: string, axis: number, shape: Shape): number {
  const a = axis < 0 ? axis + shape.length : axis;
  check(
    Number.isInteger(a) && a >= 0 && a < shape.length,
    op,
    () => `axis ${axis} is out of range for shape ${show(shape)}`,
  );
  return a;
}
