// The pieces of a blocked matrix product C = A' B': packing, and the register tile.
//
// A' is cut into strips of 6 or 4 rows, stored [k][6] or [k][4]; B' into panels of 8 columns, stored
// [k][8]. A tile is one strip times one panel: 12 (or 8) vectors of sums stay in registers, and for
// each k two vectors of B and 6 (4) splats of A are read.
//
// Numerics: a sum runs strictly in order of k, and goes on where the last block of k left it: its
// bits depend neither on the blocks, nor on the tile, nor on where the element stands.
import { decode1, decode4, sizeOf } from "./decode";
import { madd } from "./simd";

/** Columns of a panel. */
export const PANEL: u32 = 8;
/** Bytes of one k in a panel. */
export const PANEL_BYTES: usize = 32;
/** Bytes a tile of sums takes, whatever its height. */
export const TILE_BYTES: usize = 192;

/** Rows of the next strip where `left` rows are left: no row is computed in vain but the last 1..3. */
@inline export function stripHeight(left: u32): u32 {
  return left > 8 || left == 5 || left == 6 ? 6 : 4;
}

/** Rows packed for `rows` rows, in units of 4 bytes x k. */
export function packedRows(rows: u32): u32 {
  let packed: u32 = 0;
  while (rows > 0) {
    const height = stripHeight(rows);
    packed += height;
    rows -= min(height, rows);
  }
  return packed;
}

// a0 b0 a1 b1 and a2 b2 a3 b3; then the halves: 4 rows of 4 k become 4 k of 4 rows
@inline function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 4, 1, 5);
}
@inline function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 6, 3, 7);
}
@inline function lowLow(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 1, 4, 5);
}
@inline function highHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 2, 3, 6, 7);
}
@inline function lowHigh(a: v128, b: v128): v128 {
  return v128.shuffle<f32>(a, b, 0, 1, 6, 7);
}

/** Four rows of A' (the last repeated past `rows`), stored row by row, ld bytes apart. */
function packStrip4(to: usize, a: usize, ld: usize, rows: u32, k: u32): void {
  let a0 = a;
  let a1 = a + min<usize>(1, rows - 1) * ld;
  let a2 = a + min<usize>(2, rows - 1) * ld;
  let a3 = a + min<usize>(3, rows - 1) * ld;
  for (let i = k >> 2; i > 0; i--) {
    const r0 = v128.load(a0);
    const r1 = v128.load(a1);
    const r2 = v128.load(a2);
    const r3 = v128.load(a3);
    const low01 = zipLow(r0, r1);
    const low23 = zipLow(r2, r3);
    const high01 = zipHigh(r0, r1);
    const high23 = zipHigh(r2, r3);
    v128.store(to, lowLow(low01, low23));
    v128.store(to, highHigh(low01, low23), 16);
    v128.store(to, lowLow(high01, high23), 32);
    v128.store(to, highHigh(high01, high23), 48);
    a0 += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
    to += 64;
  }
  for (let i = k & 3; i > 0; i--) {
    store<f32>(to, load<f32>(a0));
    store<f32>(to, load<f32>(a1), 4);
    store<f32>(to, load<f32>(a2), 8);
    store<f32>(to, load<f32>(a3), 12);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    to += 16;
  }
}

/** Six rows of A' (the last repeated past `rows`), stored row by row, ld bytes apart. */
function packStrip6(to: usize, a: usize, ld: usize, rows: u32, k: u32): void {
  let a0 = a;
  let a1 = a + min<usize>(1, rows - 1) * ld;
  let a2 = a + min<usize>(2, rows - 1) * ld;
  let a3 = a + min<usize>(3, rows - 1) * ld;
  let a4 = a + min<usize>(4, rows - 1) * ld;
  let a5 = a + min<usize>(5, rows - 1) * ld;
  for (let i = k >> 2; i > 0; i--) {
    const r0 = v128.load(a0);
    const r1 = v128.load(a1);
    const r2 = v128.load(a2);
    const r3 = v128.load(a3);
    const r4 = v128.load(a4);
    const r5 = v128.load(a5);
    const low01 = zipLow(r0, r1);
    const low23 = zipLow(r2, r3);
    const low45 = zipLow(r4, r5);
    v128.store(to, lowLow(low01, low23));
    v128.store(to, lowHigh(low45, low01), 16);
    v128.store(to, highHigh(low23, low45), 32);
    const high01 = zipHigh(r0, r1);
    const high23 = zipHigh(r2, r3);
    const high45 = zipHigh(r4, r5);
    v128.store(to, lowLow(high01, high23), 48);
    v128.store(to, lowHigh(high45, high01), 64);
    v128.store(to, highHigh(high23, high45), 80);
    a0 += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
    a4 += 16;
    a5 += 16;
    to += 96;
  }
  for (let i = k & 3; i > 0; i--) {
    store<f32>(to, load<f32>(a0));
    store<f32>(to, load<f32>(a1), 4);
    store<f32>(to, load<f32>(a2), 8);
    store<f32>(to, load<f32>(a3), 12);
    store<f32>(to, load<f32>(a4), 16);
    store<f32>(to, load<f32>(a5), 20);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    to += 24;
  }
}

/** Twelve rows of A', stored k by k, as two strips of six. */
function packColumns12(to: usize, a: usize, ld: usize, k: u32): void {
  let next = to + 24 * <usize>k;
  for (; k > 0; k--) {
    const low = v128.load(a);
    const middle = v128.load(a, 16);
    const high = v128.load(a, 32);
    v128.store(to, low);
    v128.store64_lane(to, middle, 0, 16);
    v128.store64_lane(next, middle, 1);
    v128.store(next, high, 8);
    a += ld;
    to += 24;
    next += 24;
  }
}

/** `rows` <= height rows of A', stored k by k, as one strip; zeros below. */
function packColumns(to: usize, a: usize, ld: usize, rows: u32, height: u32, k: u32): void {
  for (; k > 0; k--) {
    let r: u32 = 0;
    if (rows >= 4) {
      v128.store(to, v128.load(a));
      r = 4;
    }
    for (; r < rows; r++) store<f32>(to + (r << 2), load<f32>(a + (r << 2)));
    for (; r < height; r++) store<f32>(to + (r << 2), 0);
    a += ld;
    to += height << 2;
  }
}

/** Strips of A' (rows x k), the first at `to`: A, ld bytes a row, or its transpose. */
export function packA(to: usize, a: usize, ld: usize, trans: u32, rows: u32, k: u32): void {
  while (rows > 0) {
    let height = stripHeight(rows);
    if (trans) {
      if (rows >= 12 && stripHeight(rows - 6) == 6) {
        height = 12;
        packColumns12(to, a, ld, k);
      } else {
        packColumns(to, a, ld, min(rows, height), height, k);
      }
      a += height << 2;
    } else {
      if (height == 6) packStrip6(to, a, ld, rows, k);
      else packStrip4(to, a, ld, rows, k);
      a += height * ld;
    }
    to += (height << 2) * k;
    rows -= min(height, rows);
  }
}

/** A panel of B' whose `columns` columns are rows of B; the last is repeated, then zeroed. */
@inline function panelOfRows(
  to: usize,
  b: usize,
  ld: usize,
  columns: u32,
  k: u32,
  dtype: u32,
): void {
  const four = sizeOf(dtype) << 2;
  let panel = to;
  for (let half: u32 = 0; half < 8; half += 4) {
    let b0 = b + min<usize>(half, columns - 1) * ld;
    let b1 = b + min<usize>(half + 1, columns - 1) * ld;
    let b2 = b + min<usize>(half + 2, columns - 1) * ld;
    let b3 = b + min<usize>(half + 3, columns - 1) * ld;
    panel = to + (half << 2);
    for (let i = k >> 2; i > 0; i--) {
      const r0 = decode4(b0, dtype);
      const r1 = decode4(b1, dtype);
      const r2 = decode4(b2, dtype);
      const r3 = decode4(b3, dtype);
      const low01 = zipLow(r0, r1);
      const low23 = zipLow(r2, r3);
      const high01 = zipHigh(r0, r1);
      const high23 = zipHigh(r2, r3);
      v128.store(panel, lowLow(low01, low23));
      v128.store(panel, highHigh(low01, low23), 32);
      v128.store(panel, lowLow(high01, high23), 64);
      v128.store(panel, highHigh(high01, high23), 96);
      b0 += four;
      b1 += four;
      b2 += four;
      b3 += four;
      panel += 128;
    }
    for (let i = k & 3; i > 0; i--) {
      store<f32>(panel, decode1(b0, dtype));
      store<f32>(panel, decode1(b1, dtype), 4);
      store<f32>(panel, decode1(b2, dtype), 8);
      store<f32>(panel, decode1(b3, dtype), 12);
      b0 += four >> 2;
      b1 += four >> 2;
      b2 += four >> 2;
      b3 += four >> 2;
      panel += 32;
    }
  }
  for (let c = columns; c < 8; c++) {
    panel = to + (c << 2);
    for (let i = k; i > 0; i--) {
      store<f32>(panel, 0);
      panel += 32;
    }
  }
}

/** A panel of B' from up to 8 columns of B; zeros right of them. */
@inline function panelOfColumns(
  to: usize,
  b: usize,
  ld: usize,
  columns: u32,
  k: u32,
  dtype: u32,
): void {
  const size = sizeOf(dtype);
  for (; k > 0; k--) {
    if (columns == 8) {
      v128.store(to, decode4(b, dtype));
      v128.store(to, decode4(b + 4 * size, dtype), 16);
    } else {
      let c: u32 = 0;
      if (columns >= 4) {
        v128.store(to, decode4(b, dtype));
        c = 4;
      }
      for (; c < columns; c++) store<f32>(to + (c << 2), decode1(b + c * size, dtype));
      for (; c < 8; c++) store<f32>(to + (c << 2), 0);
    }
    b += ld;
    to += 32;
  }
}

/** Four panels of f32 from 32 columns of B, `stride` bytes apart: whole cache lines are read. */
function fourPanels(to: usize, stride: usize, b: usize, ld: usize, k: u32): void {
  let to1 = to + stride;
  let to2 = to1 + stride;
  let to3 = to2 + stride;
  for (; k > 0; k--) {
    v128.store(to, v128.load(b));
    v128.store(to, v128.load(b, 16), 16);
    v128.store(to1, v128.load(b, 32));
    v128.store(to1, v128.load(b, 48), 16);
    v128.store(to2, v128.load(b, 64));
    v128.store(to2, v128.load(b, 80), 16);
    v128.store(to3, v128.load(b, 96));
    v128.store(to3, v128.load(b, 112), 16);
    b += ld;
    to += 32;
    to1 += 32;
    to2 += 32;
    to3 += 32;
  }
}

/**
 * Panels of B' (k x columns), `stride` bytes apart, zero padded to whole panels: B, ld bytes a row, or
 * its transpose.
 */
export function packB(
  to: usize,
  stride: usize,
  b: usize,
  ld: usize,
  trans: u32,
  dtype: u32,
  columns: u32,
  k: u32,
): void {
  const size = sizeOf(dtype);
  while (columns > 0) {
    let width = min(columns, PANEL);
    if (trans) {
      if (dtype == 0) panelOfRows(to, b, ld, width, k, 0);
      else if (dtype == 1) panelOfRows(to, b, ld, width, k, 1);
      else panelOfRows(to, b, ld, width, k, 2);
      b += width * ld;
    } else {
      if (dtype == 0 && columns >= 32) {
        width = 32;
        fourPanels(to, stride, b, ld, k);
      } else if (dtype == 0) panelOfColumns(to, b, ld, width, k, 0);
      else if (dtype == 1) panelOfColumns(to, b, ld, width, k, 1);
      else panelOfColumns(to, b, ld, width, k, 2);
      b += width * size;
    }
    to += ((width + 7) >> 3) * stride;
    columns -= width;
  }
}

/**
 * sums [6][8] = (first ? 0 : sums) + strip a [k][6] x panel b [k][8]. `ahead`, step bytes on for each
 * k, is only touched: what comes next is on its way from memory meanwhile.
 */
export function tile6(
  a: usize,
  b: usize,
  k: u32,
  sums: usize,
  first: bool,
  ahead: usize,
  step: usize,
): void {
  const zero = f32x4.splat(0);
  let s00 = zero, s01 = zero;
  let s10 = zero, s11 = zero;
  let s20 = zero, s21 = zero;
  let s30 = zero, s31 = zero;
  let s40 = zero, s41 = zero;
  let s50 = zero, s51 = zero;
  if (!first) {
    s00 = v128.load(sums); s01 = v128.load(sums, 16);
    s10 = v128.load(sums, 32); s11 = v128.load(sums, 48);
    s20 = v128.load(sums, 64); s21 = v128.load(sums, 80);
    s30 = v128.load(sums, 96); s31 = v128.load(sums, 112);
    s40 = v128.load(sums, 128); s41 = v128.load(sums, 144);
    s50 = v128.load(sums, 160); s51 = v128.load(sums, 176);
  }
  let b0: v128, b1: v128, x: v128;
  for (let i = k; i > 0; i--) {
    load<u32>(ahead);
    ahead += step;
    b0 = v128.load(b); b1 = v128.load(b, 16);
    x = v128.load32_splat(a); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01);
    x = v128.load32_splat(a, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
    x = v128.load32_splat(a, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21);
    x = v128.load32_splat(a, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
    x = v128.load32_splat(a, 16); s40 = madd(x, b0, s40); s41 = madd(x, b1, s41);
    x = v128.load32_splat(a, 20); s50 = madd(x, b0, s50); s51 = madd(x, b1, s51);
    a += 24;
    b += 32;
  }
  v128.store(sums, s00); v128.store(sums, s01, 16);
  v128.store(sums, s10, 32); v128.store(sums, s11, 48);
  v128.store(sums, s20, 64); v128.store(sums, s21, 80);
  v128.store(sums, s30, 96); v128.store(sums, s31, 112);
  v128.store(sums, s40, 128); v128.store(sums, s41, 144);
  v128.store(sums, s50, 160); v128.store(sums, s51, 176);
}

/** sums [4][8] = (first ? 0 : sums) + strip a [k][4] x panel b [k][8]; see tile6. */
export function tile4(
  a: usize,
  b: usize,
  k: u32,
  sums: usize,
  first: bool,
  ahead: usize,
  step: usize,
): void {
  const zero = f32x4.splat(0);
  let s00 = zero, s01 = zero;
  let s10 = zero, s11 = zero;
  let s20 = zero, s21 = zero;
  let s30 = zero, s31 = zero;
  if (!first) {
    s00 = v128.load(sums); s01 = v128.load(sums, 16);
    s10 = v128.load(sums, 32); s11 = v128.load(sums, 48);
    s20 = v128.load(sums, 64); s21 = v128.load(sums, 80);
    s30 = v128.load(sums, 96); s31 = v128.load(sums, 112);
  }
  let b0: v128, b1: v128, x: v128;
  for (let i = k; i > 0; i--) {
    load<u32>(ahead);
    ahead += step;
    b0 = v128.load(b); b1 = v128.load(b, 16);
    x = v128.load32_splat(a); s00 = madd(x, b0, s00); s01 = madd(x, b1, s01);
    x = v128.load32_splat(a, 4); s10 = madd(x, b0, s10); s11 = madd(x, b1, s11);
    x = v128.load32_splat(a, 8); s20 = madd(x, b0, s20); s21 = madd(x, b1, s21);
    x = v128.load32_splat(a, 12); s30 = madd(x, b0, s30); s31 = madd(x, b1, s31);
    a += 16;
    b += 32;
  }
  v128.store(sums, s00); v128.store(sums, s01, 16);
  v128.store(sums, s10, 32); v128.store(sums, s11, 48);
  v128.store(sums, s20, 64); v128.store(sums, s21, 80);
  v128.store(sums, s30, 96); v128.store(sums, s31, 112);
}

