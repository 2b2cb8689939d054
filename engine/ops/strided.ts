import { check, fail } from "../errors.ts";
import { broadcastStrides, numel, type Shape, show } from "../shape.ts";
import type { TensorSpec } from "../tensor.ts";

/**
 * A launch's strided part: RANK (0: every operand is read and written in order) and the d, s, t,
 * ... parameters.
 */
export type Strided = {
  readonly constants: { readonly RANK: number; readonly QUAD: number };
  readonly params: Record<string, number>;
};

const maxRank = 5;

/**
 * Parameters of a kernel that walks over `shape` with lib/index5: sizes d1..d4 and for each
 * operand, by its letter, strides `<letter>0` to `<letter>4`. Axes of size 1 go, neighbours that
 * every operand sees as one axis are merged.
 * Throws when more than five axes are left.
 */
export function strided(
  op: string,
  shape: Shape,
  operands: Readonly<Record<string, readonly number[]>>,
): Strided {
  const letters = Object.keys(operands);
  const sizes: number[] = [];
  const strides: Record<string, number[]> = {};
  for (const l of letters) strides[l] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const last = sizes.length - 1;
    const merges = last >= 0 && letters.every((l) => strides[l][last] === operands[l][axis] * size);
    if (merges) {
      sizes[last] *= size;
      for (const l of letters) strides[l][last] = operands[l][axis];
    } else {
      sizes.push(size);
      for (const l of letters) strides[l].push(operands[l][axis]);
    }
  });
  if (sizes.length > maxRank) {
    fail(
      op,
      `${show(shape)} needs ${sizes.length} strided axes, at most ${maxRank} can be; reshape`,
    );
  }
  const flat =
    sizes.length === 0 || (sizes.length === 1 && letters.every((l) => strides[l][0] === 1));
  const lead = maxRank - sizes.length;
  const params: Record<string, number> = {};
  for (let k = 1; k < maxRank; k++) params[`d${k}`] = k < lead ? 1 : sizes[k - lead];
  for (const l of letters) {
    for (let k = 0; k < maxRank; k++) params[`${l}${k}`] = k < lead ? 0 : strides[l][k - lead];
  }
  const rank = flat ? 0 : sizes.length;
  const quad = rank > 1 && sizes[rank - 1] % 4 === 0;
  return { constants: { RANK: rank, QUAD: quad ? 1 : 0 }, params };
}

/** `strided` for operands that are broadcast to `shape`. */
export function broadcastParams(
  op: string,
  shape: Shape,
  operands: Readonly<Record<string, Shape>>,
): Strided {
  const strides = Object.entries(operands).map(
    ([l, s]) => [l, broadcastStrides(s, shape)] as const,
  );
  return strided(op, shape, Object.fromEntries(strides));
}

/** The spec, if byte addresses in it fit 32 bits. */
export function addressable(op: string, spec: TensorSpec): TensorSpec {
  const n = numel(spec.shape);
  check(
    n * 4 <= 0xffffffff,
    op,
    () => `shape ${show(spec.shape)} has ${n} elements, at most 2^30 - 1 can be addressed`,
  );
  return spec;
}

/** A number's 32-bit word in the given dtype; integers wrap. */
export function wordOf(value: number, dtype: string): number {
  return dtype === "f32" ? new Uint32Array(Float32Array.of(value).buffer)[0] : value >>> 0;
}
