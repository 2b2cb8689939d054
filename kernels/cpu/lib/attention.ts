// What the attention kernels share: the split into tasks, visibility, and the small products.
// A tile is four or eight queries of one (batch, head) pair, a query a lane. Scores stand as
// [keys, 4] (eight queries: two of them), so that softmax runs down the lanes, and a row of four
// weights is the left operand of the next product. Rows of K, V and Q are read where they lie; only
// a tile's queries are packed, to [d, lanes]. Fewer than four queries go one by one, vectors along
// keys or channels: see attention_step.ts.
// `row` is the step between two rows of a matrix in bytes, d the size of a head in floats.
import { madd } from "./simd";

export const HIDDEN: f32 = -1e30;
// Multiply-adds of a task: 20 to 40 us.
const WORK: u64 = 1 << 19;
const STEP_WORK: u64 = 1 << 17;
// Longer sequences don't fit the scratch and go query by query.
const MAX_KEYS: u32 = 8192;
// Rows of V (K, Q) that are combined at a time: they stay in the first cache while columns pass.
export const BLOCK: u32 = 64;

export function useTiles(queries: u32, keys: u32): bool {
  return queries >= 4 && keys <= MAX_KEYS;
}

@inline export function ceilDiv(a: u32, b: u32): u32 {
  return (a + b - 1) / b;
}

// A task is several pairs, or, where there are more tasks than pairs, some rows (queries or keys)
// of one, at least `unit`. cost: multiply-adds of a row.
export function taskCount(pairs: u32, rows: u32, cost: u64, tiled: bool, unit: u32): u32 {
  const fit = (tiled ? WORK : STEP_WORK) / cost;
  if (fit >= rows) return ceilDiv(pairs, <u32>min<u64>(fit / rows, pairs));
  const least = max(<u32>fit, unit);
  return pairs * ceilDiv(rows, rowsPerTask(rows, ceilDiv(rows, least), unit));
}

// Rows in each of `parts` parts, a multiple of `unit`.
export function rowsPerTask(rows: u32, parts: u32, unit: u32): u32 {
  return ceilDiv(ceilDiv(rows, parts), unit) * unit;
}

// to[c, lane] = scale * rows[min(first + lane, last), c], [d, lanes]; lanes 4 or 8.
export function packQueries(
  to: usize, rows: usize, row: usize, first: u32, last: u32, d: u32, lanes: u32, scale: f32,
): void {
  const factor = f32x4.splat(scale);
  const step = <usize>lanes << 2;
  for (let lane: u32 = 0; lane < lanes; lane += 4) {
    const i = first + lane;
    let r0 = rows + min(i, last) * row;
    let r1 = rows + min(i + 1, last) * row;
    let r2 = rows + min(i + 2, last) * row;
    let r3 = rows + min(i + 3, last) * row;
    let at = to + (lane << 2);
    for (let c: u32 = 0; c < d; c += 4) {
      const x0 = f32x4.mul(v128.load(r0), factor);
      const x1 = f32x4.mul(v128.load(r1), factor);
      const x2 = f32x4.mul(v128.load(r2), factor);
      const x3 = f32x4.mul(v128.load(r3), factor);
      const a = i32x4.shuffle(x0, x1, 0, 4, 1, 5);
      const b = i32x4.shuffle(x2, x3, 0, 4, 1, 5);
      v128.store(at, i32x4.shuffle(a, b, 0, 1, 4, 5));
      v128.store(at + step, i32x4.shuffle(a, b, 2, 3, 6, 7));
      const e = i32x4.shuffle(x0, x1, 2, 6, 3, 7);
      const f = i32x4.shuffle(x2, x3, 2, 6, 3, 7);
      v128.store(at + 2 * step, i32x4.shuffle(e, f, 0, 1, 4, 5));
      v128.store(at + 3 * step, i32x4.shuffle(e, f, 2, 3, 6, 7));
      r0 += 16;
      r1 += 16;
      r2 += 16;
      r3 += 16;
      at += 4 * step;
    }
  }
}

// s[j, lane] = rows[j] . packed[., lane] for n rows and 8 lanes: lanes 0 to 3 at `low`, the others
// at `high`, [n rounded up to 4, 4] each.
function scores8(
  low: usize, high: usize, rows: usize, row: usize, n: u32, d: u32, packed: usize,
): void {
  const end = packed + (d << 5);
  for (let j: u32 = 0; j < n; j += 4) {
    let r0 = rows + j * row;
    let r1 = rows + min(j + 1, n - 1) * row;
    let r2 = rows + min(j + 2, n - 1) * row;
    let r3 = rows + min(j + 3, n - 1) * row;
    let s00 = f32x4.splat(0);
    let s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    for (let q = packed; q < end; q += 64) {
      let x = v128.load(q);
      let y = v128.load(q, 16);
      let k = v128.load_splat<f32>(r0);
      s00 = madd(k, x, s00);
      s01 = madd(k, y, s01);
      k = v128.load_splat<f32>(r1);
      s10 = madd(k, x, s10);
      s11 = madd(k, y, s11);
      k = v128.load_splat<f32>(r2);
      s20 = madd(k, x, s20);
      s21 = madd(k, y, s21);
      k = v128.load_splat<f32>(r3);
      s30 = madd(k, x, s30);
      s31 = madd(k, y, s31);
      x = v128.load(q, 32);
      y = v128.load(q, 48);
      k = v128.load_splat<f32>(r0, 4);
      s00 = madd(k, x, s00);
      s01 = madd(k, y, s01);
      k = v128.load_splat<f32>(r1, 4);
      s10 = madd(k, x, s10);
      s11 = madd(k, y, s11);
      k = v128.load_splat<f32>(r2, 4);
      s20 = madd(k, x, s20);
      s21 = madd(k, y, s21);
      k = v128.load_splat<f32>(r3, 4);
      s30 = madd(k, x, s30);
      s31 = madd(k, y, s31);
      r0 += 8;
      r1 += 8;
      r2 += 8;
      r3 += 8;
    }
    v128.store(low, s00);
    v128.store(low, s10, 16);
    v128.store(low, s20, 32);
    v128.store(low, s30, 48);
    v128.store(high, s01);
    v128.store(high, s11, 16);
    v128.store(high, s21, 32);
    v128.store(high, s31, 48);
    low += 64;
    high += 64;
  }
}

// The same for 4 lanes.
function scores4(to: usize, rows: usize, row: usize, n: u32, d: u32, packed: usize): void {
  const end = packed + (d << 4);
  for (let j: u32 = 0; j < n; j += 4) {
    let r0 = rows + j * row;
    let r1 = rows + min(j + 1, n - 1) * row;
    let r2 = rows + min(j + 2, n - 1) * row;
    let r3 = rows + min(j + 3, n - 1) * row;
    let s0 = f32x4.splat(0);
    let s1 = s0, s2 = s0, s3 = s0;
    for (let q = packed; q < end; q += 32) {
      const x = v128.load(q);
      s0 = madd(v128.load_splat<f32>(r0), x, s0);
      s1 = madd(v128.load_splat<f32>(r1), x, s1);
      s2 = madd(v128.load_splat<f32>(r2), x, s2);
      s3 = madd(v128.load_splat<f32>(r3), x, s3);
      const y = v128.load(q, 16);
      s0 = madd(v128.load_splat<f32>(r0, 4), y, s0);
      s1 = madd(v128.load_splat<f32>(r1, 4), y, s1);
      s2 = madd(v128.load_splat<f32>(r2, 4), y, s2);
      s3 = madd(v128.load_splat<f32>(r3, 4), y, s3);
      r0 += 8;
      r1 += 8;
      r2 += 8;
      r3 += 8;
    }
    v128.store(to, s0);
    v128.store(to, s1, 16);
    v128.store(to, s2, 32);
    v128.store(to, s3, 48);
    to += 64;
  }
}

// Scores of all lanes of a tile; those of lanes 4 to 7 stand `half` bytes behind the others.
export function scores(
  to: usize, half: usize, rows: usize, row: usize, n: u32, d: u32, packed: usize, lanes: u32,
): void {
  if (lanes == 8) scores8(to, to + half, rows, row, n, d, packed);
  else scores4(to, rows, row, n, d, packed);
}

// s[j, lane] = HIDDEN where query min(first + lane, last) doesn't see key j; mask is that of the
// batch's item, 0 for none.
export function hide(
  s: usize, n: u32, first: u32, last: u32, causal: u32, offset: i32, mask: usize, maskRow: u32,
): void {
  const i0 = min(first, last);
  const i1 = min(first + 1, last);
  const i2 = min(first + 2, last);
  const i3 = min(first + 3, last);
  let bound = i32x4.splat(i32.MAX_VALUE);
  if (causal) bound = i32x4.add(lanes4(i0, i1, i2, i3), i32x4.splat(offset));
  const hidden = f32x4.splat(HIDDEN);
  const row = <usize>maskRow << 2;
  for (let j: u32 = 0; j < n; j++) {
    let seen = i32x4.ge_s(bound, i32x4.splat(j));
    if (mask) {
      let words: v128;
      const at = mask + (j << 2);
      if (row == 0) words = i32x4.splat(load<i32>(at));
      else {
        words = lanes4(
          load<u32>(at + i0 * row), load<u32>(at + i1 * row),
          load<u32>(at + i2 * row), load<u32>(at + i3 * row),
        );
      }
      seen = v128.and(seen, i32x4.ne(words, i32x4.splat(0)));
    }
    v128.store(s, v128.bitselect(v128.load(s), hidden, seen));
    s += 16;
  }
}

@inline function lanes4(a: u32, b: u32, c: u32, d: u32): v128 {
  const ab = i32x4.replace_lane(i32x4.splat(a), 1, b);
  return i32x4.replace_lane(i32x4.replace_lane(ab, 2, c), 3, d);
}

// How many keys queries first to end - 1 need: those behind the last visible one weigh nothing, but
// where a query sees none: it weighs all alike. `shared` is a mask that all queries share, or 0.
export function keyLimit(
  causal: u32, first: u32, end: u32, offset: i32, shared: usize, keys: u32,
): u32 {
  let limit = keys;
  if (causal) {
    if (<i32>first + offset < 0) return keys;
    limit = min(keys, <u32>(<i32>end + offset));
  }
  if (shared) while (limit > 0 && load<u32>(shared + ((limit - 1) << 2)) == 0) limit--;
  return limit > 0 ? limit : keys;
}

@inline function put(at: usize, offset: usize, v: v128, add: bool): void {
  store<v128>(at + offset, add ? f32x4.add(load<v128>(at + offset), v) : v);
}

// to[r, c] = sum_t a[t, r] b[t, c], or added to it; r < count <= 4, t < n, c < d; a is [n, 4].
export function combine(
  to: usize, toRow: usize, a: usize, b: usize, row: usize, n: u32, count: u32, d: u32, add: bool,
): void {
  const end = a + (n << 4);
  let c: u32 = 0;
  for (; c + 8 <= d; c += 8) {
    let s00 = f32x4.splat(0);
    let s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    let y = b;
    for (let x = a; x < end; x += 16) {
      const y0 = v128.load(y);
      const y1 = v128.load(y, 16);
      let w = v128.load_splat<f32>(x);
      s00 = madd(w, y0, s00);
      s01 = madd(w, y1, s01);
      w = v128.load_splat<f32>(x, 4);
      s10 = madd(w, y0, s10);
      s11 = madd(w, y1, s11);
      w = v128.load_splat<f32>(x, 8);
      s20 = madd(w, y0, s20);
      s21 = madd(w, y1, s21);
      w = v128.load_splat<f32>(x, 12);
      s30 = madd(w, y0, s30);
      s31 = madd(w, y1, s31);
      y += row;
    }
    let at = to;
    put(at, 0, s00, add);
    put(at, 16, s01, add);
    if (count > 1) {
      at += toRow;
      put(at, 0, s10, add);
      put(at, 16, s11, add);
    }
    if (count > 2) {
      at += toRow;
      put(at, 0, s20, add);
      put(at, 16, s21, add);
    }
    if (count > 3) {
      at += toRow;
      put(at, 0, s30, add);
      put(at, 16, s31, add);
    }
    to += 32;
    b += 32;
  }
  if (c < d) {
    let s0 = f32x4.splat(0);
    let s1 = s0, s2 = s0, s3 = s0;
    for (let x = a; x < end; x += 16) {
      const y = v128.load(b);
      s0 = madd(v128.load_splat<f32>(x), y, s0);
      s1 = madd(v128.load_splat<f32>(x, 4), y, s1);
      s2 = madd(v128.load_splat<f32>(x, 8), y, s2);
      s3 = madd(v128.load_splat<f32>(x, 12), y, s3);
      b += row;
    }
    put(to, 0, s0, add);
    if (count > 1) put(to + toRow, 0, s1, add);
    if (count > 2) put(to + 2 * toRow, 0, s2, add);
    if (count > 3) put(to + 3 * toRow, 0, s3, add);
  }
}
