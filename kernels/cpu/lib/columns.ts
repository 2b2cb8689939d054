// Sums and maxima down the columns of a strip of a matrix, in the order of the rows. The results
// gather in y, which stays in the first cache; four rows at a time, so that y is read and written
// once for four.
import { loadPart, madd, maxNaN, storePart } from "./simd";

/** Columns that one task takes of `rows` rows: about 32,768 elements. */
export function stripOf(rows: u32, cols: u32): u32 {
  return min<u32>(cols, max<u32>(128, min<u32>(2048, (32768 / rows) & ~127)));
}

/** a joined with x (and w); kind 0 sums x, 1 takes maxima of x, 2 sums x * w. */
// @ts-ignore: decorator
@inline
function join(kind: u32, a: v128, x: v128, w: v128): v128 {
  if (kind == 0) return f32x4.add(a, x);
  if (kind == 1) return maxNaN(a, x);
  return madd(x, w, a);
}

// @ts-ignore: decorator
@inline
function joinWhole(kind: u32, a: v128, x: usize, w: usize): v128 {
  return join(kind, a, v128.load(x), kind == 2 ? v128.load(w) : a);
}

// @ts-ignore: decorator
@inline
function joinPart(kind: u32, a: v128, x: usize, w: usize, n: u32): v128 {
  const zero = f32x4.splat(0);
  return join(kind, a, loadPart(x, n, zero), kind == 2 ? loadPart(w, n, zero) : a);
}

// @ts-ignore: decorator
@inline
function strip(kind: u32, x: usize, w: usize, y: usize, rows: u32, cols: u32, pitch: usize): void {
  const whole = (cols & ~3) << 2;
  const part = cols & 3;
  const start = f32x4.splat(kind == 1 ? -Infinity : 0);
  for (let j: usize = 0; j < whole; j += 16) v128.store(y + j, start);
  if (part) storePart(y + whole, start, part);
  let row: u32 = 0;
  for (; row + 4 <= rows; row += 4, x += 4 * pitch, w += 4 * pitch) {
    const x1 = x + pitch;
    const x2 = x1 + pitch;
    const x3 = x2 + pitch;
    const w1 = w + pitch;
    const w2 = w1 + pitch;
    const w3 = w2 + pitch;
    for (let j: usize = 0; j < whole; j += 16) {
      let a = joinWhole(kind, v128.load(y + j), x + j, w + j);
      a = joinWhole(kind, a, x1 + j, w1 + j);
      a = joinWhole(kind, a, x2 + j, w2 + j);
      v128.store(y + j, joinWhole(kind, a, x3 + j, w3 + j));
    }
    if (part) {
      let a = joinPart(kind, loadPart(y + whole, part, start), x + whole, w + whole, part);
      a = joinPart(kind, a, x1 + whole, w1 + whole, part);
      a = joinPart(kind, a, x2 + whole, w2 + whole, part);
      storePart(y + whole, joinPart(kind, a, x3 + whole, w3 + whole, part), part);
    }
  }
  for (; row < rows; row++, x += pitch, w += pitch) {
    for (let j: usize = 0; j < whole; j += 16) {
      v128.store(y + j, joinWhole(kind, v128.load(y + j), x + j, w + j));
    }
    if (part) {
      const a = loadPart(y + whole, part, start);
      storePart(y + whole, joinPart(kind, a, x + whole, w + whole, part), part);
    }
  }
}

/** y[j] = sum_r x[r, j], rows `pitch` bytes apart */
export function sumColumns(x: usize, y: usize, rows: u32, cols: u32, pitch: usize): void {
  strip(0, x, x, y, rows, cols, pitch);
}

/** y[j] = max_r x[r, j], NaN if there is one */
export function maxColumns(x: usize, y: usize, rows: u32, cols: u32, pitch: usize): void {
  strip(1, x, x, y, rows, cols, pitch);
}

/** y[j] = sum_r x[r, j] * w[r, j] */
export function dotColumns(
  x: usize, w: usize, y: usize, rows: u32, cols: u32, pitch: usize,
): void {
  strip(2, x, w, y, rows, cols, pitch);
}
