/** Strides of broadcast and permuted operands, as kernels walk over them; what else elementwise ops share. */
import { check, fail } from "../errors.ts";
import { broadcastStrides, numel, type Shape, show } from "../shape.ts";
import type { TensorSpec } from "../tensor.ts";

type Axis = 0 | 1 | 2 | 3 | 4;

/**
 * A launch's strided part: RANK (0: every operand is read and written in order), the sizes d1 to d4 and the strides of
 * each operand by its letter, `a0` to `a4`.
 */
type Strided<Letter extends string> = {
  readonly constants: { readonly RANK: number };
  readonly params: { readonly [Name in `d${Exclude<Axis, 0>}` | `${Letter}${Axis}`]: number };
};

const MAX_RANK = 5;

/**
 * Parameters of a kernel that walks over `shape` with lib/index5: sizes d1..d4 and for each
 * operand, by its letter, strides `<letter>0` to `<letter>4`. Axes of size 1 go, neighbours that
 * every operand sees as one axis are merged.
 * Throws when more than five axes are left.
 */
export function strided<Letter extends string>(
  op: string,
  shape: Shape,
  operands: Readonly<Record<Letter, readonly number[]>>,
): Strided<Letter> {
  const letters = Object.keys(operands) as Letter[];
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
  if (sizes.length > MAX_RANK) {
    fail(
      op,
      `${show(shape)} needs ${sizes.length} strided axes, at most ${MAX_RANK} can be; reshape`,
    );
  }
  const flat =
    sizes.length === 0 || (sizes.length === 1 && letters.every((l) => strides[l][0] === 1));
  const lead = MAX_RANK - sizes.length;
  const params: Record<string, number> = {};
  for (let k = 1; k < MAX_RANK; k++) params[`d${k}`] = k < lead ? 1 : sizes[k - lead];
  for (const l of letters) {
    for (let k = 0; k < MAX_RANK; k++) params[`${l}${k}`] = k < lead ? 0 : strides[l][k - lead];
  }
  return {
    constants: { RANK: flat ? 0 : sizes.length },
    params: params as Strided<Letter>["params"], // the names that the loops above have made
  };
}

/** `strided` for operands that are broadcast to `shape`. */
export function broadcastParams<Letter extends string>(
  op: string,
  shape: Shape,
  operands: Readonly<Record<Letter, Shape>>,
): Strided<Letter> {
  const strides = {} as Record<Letter, readonly number[]>;
  for (const l of Object.keys(operands) as Letter[]) {
    strides[l] = broadcastStrides(operands[l], shape);
  }
  return strided(op, shape, strides);
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

/** The 32-bit word of a number that the dtype holds. */
export function wordOf(value: number, dtype: string): number {
  return dtype === "f32" ? new Uint32Array(Float32Array.of(value).buffer)[0] : value >>> 0;
}
