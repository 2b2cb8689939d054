// Products of a single query with all keys of a (batch, head) pair: no packing, vectors along the
// channels. Names as in attention.ts.
import { HIDDEN } from "./attention";
import { madd } from "./simd";

// x . rows[j] for four keys from j on, of n; beyond the last: the last again.
@inline export function dots(x: usize, rows: usize, row: usize, j: u32, n: u32, d: u32): v128 {
  const r0 = rows + j * row;
  const r1 = rows + min(j + 1, n - 1) * row;
  const r2 = rows + min(j + 2, n - 1) * row;
  const r3 = rows + min(j + 3, n - 1) * row;
  let s0 = f32x4.splat(0);
  let s1 = s0, s2 = s0, s3 = s0;
  for (let c: usize = 0, size = <usize>d << 2; c < size; c += 16) {
    const v = v128.load(x + c);
    s0 = madd(v, v128.load(r0 + c), s0);
    s1 = madd(v, v128.load(r1 + c), s1);
    s2 = madd(v, v128.load(r2 + c), s2);
    s3 = madd(v, v128.load(r3 + c), s3);
  }
  // a transposition and three additions in one
  const a = f32x4.add(i32x4.shuffle(s0, s1, 0, 4, 1, 5), i32x4.shuffle(s0, s1, 2, 6, 3, 7));
  const b = f32x4.add(i32x4.shuffle(s2, s3, 0, 4, 1, 5), i32x4.shuffle(s2, s3, 2, 6, 3, 7));
  return f32x4.add(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7));
}

// Lanes that are keys at all: j + lane < n.
@inline export function inRange(j: u32, n: u32): v128 {
  return i32x4.lt_s(i32x4.add(i32x4.splat(j), i32x4(0, 1, 2, 3)), i32x4.splat(n));
}

// HIDDEN in the lanes that query i doesn't see, bound = i + offset; mask is the query's row, 0 for
// none.
@inline export function hideKeys(
  s: v128, j: u32, n: u32, causal: u32, bound: i32, mask: usize,
): v128 {
  const hidden = f32x4.splat(HIDDEN);
  if (causal) {
    const seen = i32x4.le_s(i32x4.add(i32x4.splat(j), i32x4(0, 1, 2, 3)), i32x4.splat(bound));
    s = v128.bitselect(s, hidden, seen);
  }
  if (mask) {
    const at = mask + (j << 2);
    let words: v128;
    if (j + 4 <= n) words = v128.load(at);
    else {
      words = i32x4.splat(load<i32>(at));
      if (j + 1 < n) words = i32x4.replace_lane(words, 1, load<i32>(at, 4));
      if (j + 2 < n) words = i32x4.replace_lane(words, 2, load<i32>(at, 8));
    }
    s = v128.bitselect(s, hidden, i32x4.ne(words, i32x4.splat(0)));
  }
  return s;
}

// to[c] = factor * sum_j w[j] rows[j, c] for n keys and d channels.
export function weigh(
  to: usize, w: usize, rows: usize, row: usize, n: u32, d: u32, factor: f32,
): void {
  const f = f32x4.splat(factor);
  const end = w + (n << 2);
  let c: u32 = 0;
  for (; c + 32 <= d; c += 32) {
    let s0 = f32x4.splat(0);
    let s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    let r = rows;
    for (let at = w; at < end; at += 4) {
      const x = v128.load_splat<f32>(at);
      s0 = madd(x, v128.load(r), s0);
      s1 = madd(x, v128.load(r, 16), s1);
      s2 = madd(x, v128.load(r, 32), s2);
      s3 = madd(x, v128.load(r, 48), s3);
      s4 = madd(x, v128.load(r, 64), s4);
      s5 = madd(x, v128.load(r, 80), s5);
      s6 = madd(x, v128.load(r, 96), s6);
      s7 = madd(x, v128.load(r, 112), s7);
      r += row;
    }
    v128.store(to, f32x4.mul(s0, f));
    v128.store(to, f32x4.mul(s1, f), 16);
    v128.store(to, f32x4.mul(s2, f), 32);
    v128.store(to, f32x4.mul(s3, f), 48);
    v128.store(to, f32x4.mul(s4, f), 64);
    v128.store(to, f32x4.mul(s5, f), 80);
    v128.store(to, f32x4.mul(s6, f), 96);
    v128.store(to, f32x4.mul(s7, f), 112);
    to += 128;
    rows += 128;
  }
  for (; c + 16 <= d; c += 16) {
    let s0 = f32x4.splat(0);
    let s1 = s0, s2 = s0, s3 = s0;
    let r = rows;
    for (let at = w; at < end; at += 4) {
      const x = v128.load_splat<f32>(at);
      s0 = madd(x, v128.load(r), s0);
      s1 = madd(x, v128.load(r, 16), s1);
      s2 = madd(x, v128.load(r, 32), s2);
      s3 = madd(x, v128.load(r, 48), s3);
      r += row;
    }
    v128.store(to, f32x4.mul(s0, f));
    v128.store(to, f32x4.mul(s1, f), 16);
    v128.store(to, f32x4.mul(s2, f), 32);
    v128.store(to, f32x4.mul(s3, f), 48);
    to += 64;
    rows += 64;
  }
  for (; c < d; c += 4) {
    let s = f32x4.splat(0);
    let r = rows;
    for (let at = w; at < end; at += 4) {
      s = madd(v128.load_splat<f32>(at), v128.load(r), s);
      r += row;
    }
    v128.store(to, f32x4.mul(s, f));
    to += 16;
    rows += 16;
  }
}

// to[j, c] = w[j] x[c] for n keys and d channels, or added to it.
export function spread(
  to: usize, row: usize, w: usize, x: usize, n: u32, d: u32, add: bool,
): void {
  const end = w + (n << 2);
  const size = <usize>d << 2;
  for (; w < end; w += 4) {
    const f = v128.load_splat<f32>(w);
    if (!add) {
      for (let c: usize = 0; c < size; c += 16) v128.store(to + c, f32x4.mul(f, v128.load(x + c)));
    } else if (load<f32>(w) != 0) {
      for (let c: usize = 0; c < size; c += 16) {
        v128.store(to + c, madd(f, v128.load(x + c), v128.load(to + c)));
      }
    }
    to += row;
  }
}
