/**
 * What attention by distance needs: rotary positions (Su et al., 2021), queries and keys turned by angles that grow with their
 * place, and a mask for attention within a window. Knows no architecture.
 */
import { abs, add, cast, lessEqual, logicalAnd, mul, sub } from "../engine/ops/elementwise.ts";
import { embedding } from "../engine/ops/embedding.ts";
import { concat, reshape, slice } from "../engine/ops/shape.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";

/** Cosines and sines of angles f32, of a shape that spreads over [B, T, heads, width / 2]. */
export type Angles = { readonly cos: Tensor; readonly sin: Tensor };

/**
 * The angles of places: place p turns the pair i of a head of `width` by p / base^(2i / width).
 *
 * @param length tokens of a text
 * @param positions u32 [B, length], less than `rows`; 0, 1, ..., length-1 when left out
 * @param rows the most positions that a text may have
 */
export function rotaryAngles(
  width: number,
  base: number,
  length: number,
  positions: Tensor | undefined,
  rows: number,
): Angles {
  const half = width / 2;
  const count = positions ? rows : length;
  const table = (of: (angle: number) => number): Tensor => {
    const values = Float32Array.from({ length: count * half }, (_, at) => {
      const pair = at % half;
      return of(Math.floor(at / half) / base ** ((2 * pair) / width));
    });
    const t = tensor(values, [count, half]);
    return positions
      ? reshape(embedding(t, positions), [-1, length, 1, half])
      : reshape(t, [1, length, 1, half]);
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** x [B, T, heads * width], each head turned: its first half and its second are the two parts of width / 2 pairs. */
export function rotate(x: Tensor, heads: number, { cos, sin }: Angles): Tensor {
  const [batch, length, size] = x.shape;
  const half = size / heads / 2;
  const split = reshape(x, [batch, length, heads, 2 * half]);
  const [a, b] = [slice(split, 3, 0, half), slice(split, 3, half, 2 * half)];
  const turned = concat([sub(mul(a, cos), mul(b, sin)), add(mul(b, cos), mul(a, sin))], 3);
  return reshape(turned, x.shape);
}

/**
 * Which keys each query may see, u32 [B, T, T]: those that `mask` u32 [B, T] shows and that are at most `far` places away. Without
 * a mask every place holds a token. Places are counted as `positions` u32 [B, T] say, else from left to right.
 */
export function windowMask(
  batch: number,
  length: number,
  far: number,
  mask: Tensor | undefined,
  positions: Tensor | undefined,
): Tensor | undefined {
  // consecutive places of a text are never farther apart than it is long
  if (length - 1 <= far) return mask;
  const counted = Uint32Array.from({ length }, (_, at) => at);
  const places = cast(positions ?? tensor(counted, [1, length]), "f32");
  const apart = sub(reshape(places, [-1, length, 1]), reshape(places, [-1, 1, length]));
  const near = lessEqual(abs(apart), far); // [B or 1, T, T]
  const shown = mask ?? tensor(new Uint32Array(batch * length).fill(1), [batch, length]);
  return logicalAnd(near, reshape(shown, [batch, 1, length]));
}
