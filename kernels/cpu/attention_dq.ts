// w[j] = exp(s[j] - max s) / sum; dw[j] = do[i] . v[j];
// ds[j] = w[j] (dw[j] - sum_j w[j] dw[j]) * scale, 0 where j is masked; dq[i] = sum_j ds[j] k[j].
// Both w and ds of a query are left in `weights` for the gradients of k and v: [pairs, queries, 2,
// keys rounded up to 4], zeros behind the last key.
// Dropout (DROPOUT): dw[j], and the w[j] that is left, are 0 or divided by 1 - p.
// Parameters, layouts, tasks and tiles as in attention.ts.
// Numerics: scores are computed again, with the forward pass's maximum and sum; f32 sums in order
// of j.
import {
  BLOCK, HIDDEN, combine, hide, keyLimit, packQueries, rowsPerTask, scores, taskCount, useTiles,
} from "./lib/attention";
import { DRAWN, draw, draw4, drop4, dropped } from "./lib/dropout";
import { dots, hideKeys, inRange, weigh } from "./lib/attention_step";
import { expLow } from "./lib/math";
import { madd, sum4 } from "./lib/simd";

@unmanaged export class AttentionDq {
  queries: u32; keys: u32; heads: u32; pairs: u32; chunks: u32;
  qBatch: u32; qRow: u32; kBatch: u32; kRow: u32; maskBatch: u32; maskRow: u32; offset: i32;
  scale: f32; op: u32; keep: f32; rescale: f32;
  MASK: u32; CAUSAL: u32; DROPOUT: u32;
  q: usize; k: usize; v: usize; mask: usize; stats: usize; dout: usize;
  dq: usize; weights: usize;
  rng: usize;
}

export function attention_dq_tasks(p: AttentionDq): u32 {
  const tiled = useTiles(p.queries, p.keys);
  return taskCount(p.pairs, p.queries, <u64>p.keys * p.chunks * 12, tiled, 8);
}

export function attention_dq(p: AttentionDq, task: u32, scratch: usize): void {
  const count = attention_dq_tasks(p);
  if (count > p.pairs) {
    const parts = count / p.pairs;
    const rows = rowsPerTask(p.queries, parts, 8);
    const first = (task % parts) * rows;
    some(p, task / parts, first, min(first + rows, p.queries), scratch);
  } else {
    const end = p.pairs * (task + 1) / count;
    const first = p.pairs * task / count;
    for (let pair = first; pair < end; pair++) some(p, pair, 0, p.queries, scratch);
  }
}

function some(p: AttentionDq, pair: u32, first: u32, end: u32, scratch: usize): void {
  if (useTiles(p.queries, p.keys)) {
    for (let i = first; i < end; i += 8) tile(p, pair, i, min(i + 8, end), scratch);
  } else {
    for (let i = first; i < end; i++) one(p, pair, i, scratch);
  }
}

// Queries first to end - 1, at most 8.
function tile(p: AttentionDq, pair: u32, first: u32, end: u32, scratch: usize): void {
  const b = pair / p.heads;
  const d = p.chunks << 2;
  const head = (pair % p.heads) * p.chunks;
  const q = <usize>(b * p.qBatch + head) << 4;
  const k = <usize>(b * p.kBatch + head) << 4;
  const qRow = <usize>p.qRow << 4;
  const kRow = <usize>p.kRow << 4;
  const mask = p.MASK ? p.mask + (<usize>(b * p.maskBatch) << 2) : 0;
  const lanes: u32 = end - first > 4 ? 8 : 4;
  const half = <usize>(p.keys + 3 & ~3) << 4;
  const s = scratch + (d << 5);
  const dw = s + 2 * half;
  const m = dw + 2 * half;

  const shared = p.maskRow == 0 ? mask : 0;
  let limit = keyLimit(p.CAUSAL, first, end, p.offset, shared, p.keys);
  if (limit < p.keys) {
    const tops = p.stats + (<usize>(pair * p.queries) << 3);
    for (let i = first; i < end; i++) {
      if (load<f32>(tops + (<usize>i << 3)) <= HIDDEN) limit = p.keys;
    }
  }
  packQueries(scratch, p.q + q, qRow, first, end - 1, d, lanes, p.scale);
  scores(s, half, p.k + k, kRow, limit, d, scratch, lanes);
  packQueries(scratch, p.dout + q, qRow, first, end - 1, d, lanes, 1);
  scores(dw, half, p.v + k, kRow, limit, d, scratch, lanes);
  for (let lane: u32 = 0; lane < lanes; lane += 4) {
    const at = lane ? half : 0;
    const i = first + lane;
    if (p.MASK | p.CAUSAL) {
      hide(s + at, limit, i, end - 1, p.CAUSAL, p.offset, mask, p.maskRow);
    }
    if (p.DROPOUT) {
      draw4(m, p.rng, p.op, p.keep, (pair * p.queries + i) * p.keys, p.keys, limit);
      drop4(dw + at, m, p.rescale, limit);
    }
    slopes(p, s + at, dw + at, m, limit, pair, i, end - 1);
  }
  for (let j: u32 = 0; j < limit; j += BLOCK) {
    const n = min(BLOCK, limit - j);
    const rows = p.k + k + j * kRow;
    for (let lane: u32 = 0; lane < lanes; lane += 4) {
      const i = first + lane;
      const at = dw + (lane ? half : 0) + (<usize>j << 4);
      combine(p.dq + q + i * qRow, qRow, at, rows, kRow, n, min(4, end - i), d, j > 0);
    }
  }
}

@inline function statsOf(stats: usize, i: u32, last: u32, part: usize): v128 {
  const at = stats + part;
  let v = v128.load_splat<f32>(at + (<usize>min(i, last) << 3));
  v = v128.load_lane<f32>(at + (<usize>min(i + 1, last) << 3), v, 1);
  v = v128.load_lane<f32>(at + (<usize>min(i + 2, last) << 3), v, 2);
  return v128.load_lane<f32>(at + (<usize>min(i + 3, last) << 3), v, 3);
}

// Scores s[n, 4] become weights w, dw becomes ds; both go to `weights`, transposed. m: which stay.
function slopes(
  p: AttentionDq, s: usize, dw: usize, m: usize, n: u32, pair: u32, i: u32, last: u32,
): void {
  const stats = p.stats + (<usize>(pair * p.queries) << 3);
  const top = statsOf(stats, i, last, 0);
  const scale = f32x4.div(f32x4.splat(1), statsOf(stats, i, last, 4));
  const zero = f32x4.splat(0);
  const size = <usize>n << 4;
  let delta = zero;
  for (let at: usize = 0; at < size; at += 16) {
    const w = f32x4.mul(expLow(f32x4.sub(v128.load(s + at), top)), scale);
    v128.store(s + at, w);
    delta = madd(w, v128.load(dw + at), delta);
  }
  // a masked key has w = 0, but where all keys of a query are masked: their scores are constants
  const slope = v128.andnot(f32x4.splat(p.scale), f32x4.le(top, f32x4.splat(HIDDEN)));
  for (let at: usize = 0; at < size; at += 16) {
    const ds = f32x4.mul(f32x4.mul(v128.load(s + at), f32x4.sub(v128.load(dw + at), delta)), slope);
    v128.store(dw + at, ds);
  }
  if (p.DROPOUT) drop4(s, m, p.rescale, n);
  const all = p.keys + 3 & ~3;
  for (let at = size; at < (<usize>all << 4); at += 16) {
    v128.store(s + at, zero);
    v128.store(dw + at, zero);
  }
  const to = p.weights + (<usize>(pair * p.queries + i) * (2 * all) << 2);
  spill(to, <usize>all << 3, s, all, last + 1 - i);
  spill(to + (<usize>all << 2), <usize>all << 3, dw, all, last + 1 - i);
}

// to[lane, j] = s[j, lane] for the first `count` lanes.
function spill(to: usize, row: usize, s: usize, n: u32, count: u32): void {
  for (let j: u32 = 0; j < n; j += 4) {
    const x0 = v128.load(s);
    const x1 = v128.load(s, 16);
    const x2 = v128.load(s, 32);
    const x3 = v128.load(s, 48);
    const a = i32x4.shuffle(x0, x1, 0, 4, 1, 5);
    const b = i32x4.shuffle(x2, x3, 0, 4, 1, 5);
    v128.store(to, i32x4.shuffle(a, b, 0, 1, 4, 5));
    if (count > 1) v128.store(to + row, i32x4.shuffle(a, b, 2, 3, 6, 7));
    const e = i32x4.shuffle(x0, x1, 2, 6, 3, 7);
    const f = i32x4.shuffle(x2, x3, 2, 6, 3, 7);
    if (count > 2) v128.store(to + 2 * row, i32x4.shuffle(e, f, 0, 1, 4, 5));
    if (count > 3) v128.store(to + 3 * row, i32x4.shuffle(e, f, 2, 3, 6, 7));
    s += 64;
    to += 16;
  }
}

function one(p: AttentionDq, pair: u32, i: u32, scratch: usize): void {
  const b = pair / p.heads;
  const d = p.chunks << 2;
  const head = (pair % p.heads) * p.chunks;
  const q = <usize>(b * p.qBatch + i * p.qRow + head) << 4;
  const k = <usize>(b * p.kBatch + head) << 4;
  const kRow = <usize>p.kRow << 4;
  const mask = p.MASK ? p.mask + (<usize>(b * p.maskBatch + i * p.maskRow) << 2) : 0;
  const bound = <i32>i + p.offset;
  const n = keyLimit(p.CAUSAL, i, i + 1, p.offset, mask, p.keys);
  const stats = p.stats + (<usize>(pair * p.queries + i) << 3);
  const top = load<f32>(stats);
  const scale = f32x4.splat(1 / load<f32>(stats, 4));
  const size = <usize>(p.keys + 3 & ~3) << 2;
  const w = p.weights + <usize>(pair * p.queries + i) * (2 * size);
  const ds = w + size;
  const number = (pair * p.queries + i) * p.keys;
  const minus = i32x4.splat(0x80000000);
  let masks: usize = 0;
  let deltas = f32x4.splat(0);
  for (let j: u32 = 0; j < n; j += 4) {
    let s = f32x4.mul(dots(p.q + q, p.k + k, kRow, j, n, d), f32x4.splat(p.scale));
    s = hideKeys(s, j, n, p.CAUSAL, bound, mask);
    const e = f32x4.mul(expLow(f32x4.sub(s, f32x4.splat(top))), scale);
    let x = v128.and(e, inRange(j, n));
    let dw = dots(p.dout + q, p.v + k, kRow, j, n, d);
    if (p.DROPOUT) {
      const at = j % DRAWN;
      if (at == 0) masks = draw(scratch, p.rng, p.op, p.keep, number + j, min(DRAWN, n - j));
      const mask = v128.load(masks + (at << 2));
      dw = dropped(dw, mask, p.rescale);
      x = v128.or(x, v128.andnot(minus, mask)); // until the end a weight that falls out has a minus
    }
    v128.store(w + (<usize>j << 2), x);
    v128.store(ds + (<usize>j << 2), dw);
    deltas = madd(x, dw, deltas);
  }
  const delta = f32x4.splat(sum4(deltas));
  const slope = f32x4.splat(top <= HIDDEN ? 0 : p.scale);
  const used = <usize>(n + 3 & ~3) << 2;
  for (let at: usize = 0; at < used; at += 16) {
    let x = v128.load(w + at);
    if (p.DROPOUT) {
      const left = f32x4.mul(x, f32x4.splat(p.rescale));
      v128.store(w + at, v128.andnot(left, f32x4.lt(x, f32x4.splat(0))));
      x = f32x4.abs(x);
    }
    x = f32x4.mul(x, f32x4.sub(v128.load(ds + at), delta));
    v128.store(ds + at, f32x4.mul(x, slope));
  }
  for (let at = used; at < size; at += 16) {
    v128.store(w + at, f32x4.splat(0));
    v128.store(ds + at, f32x4.splat(0));
  }
  weigh(p.dq + q, ds, p.k + k, kRow, n, d, 1);
}
