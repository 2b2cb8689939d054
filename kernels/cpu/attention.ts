// o[i] = sum_j e[j] v[j] / sum_j e[j], e[j] = exp(s[j] - max s),
// s[j] = scale * q[i] . k[j], or -1e30 where j is masked; stats[i] = (max s, sum e).
// Dropout (DROPOUT): in the first sum e[j] is 0 or e[j] / (1 - p).
// Layouts are strides: q and o by (qBatch, qRow), k and v by (kBatch, kRow), counted in groups of
// four floats, as is `chunks`, the size of a head. Key j is causally visible to query i iff
// j <= i + offset.
// A task owns several (batch, head) pairs, or some queries of one; tiles: see lib/attention.ts.
// `weights` is the room of queries that go one by one; nobody reads it.
// Numerics: a fully masked row is uniform; f32 sums in order of j. Keys behind the last visible one
// are left out: their weights are zeros.
import {
  BLOCK, HIDDEN, combine, hide, keyLimit, packQueries, rowsPerTask, scores, taskCount, useTiles,
} from "./lib/attention";
import { DRAWN, draw, draw4, drop4, dropped } from "./lib/dropout";
import { dots, hideKeys, inRange, weigh } from "./lib/attention_step";
import { expLow } from "./lib/math";
import { max4, sum4 } from "./lib/simd";

@unmanaged export class Attention {
  queries: u32; keys: u32; heads: u32; pairs: u32; chunks: u32;
  qBatch: u32; qRow: u32; kBatch: u32; kRow: u32; maskBatch: u32; maskRow: u32; offset: i32;
  scale: f32; op: u32; keep: f32; rescale: f32;
  MASK: u32; CAUSAL: u32; DROPOUT: u32;
  q: usize; k: usize; v: usize; mask: usize;
  o: usize; stats: usize; weights: usize;
  rng: usize;
}

export function attention_tasks(p: Attention): u32 {
  const tiled = useTiles(p.queries, p.keys);
  return taskCount(p.pairs, p.queries, <u64>p.keys * p.chunks * 8, tiled, 8);
}

export function attention(p: Attention, task: u32, scratch: usize): void {
  const count = attention_tasks(p);
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

function some(p: Attention, pair: u32, first: u32, end: u32, scratch: usize): void {
  if (useTiles(p.queries, p.keys)) {
    for (let i = first; i < end; i += 8) tile(p, pair, i, min(i + 8, end), scratch);
  } else {
    for (let i = first; i < end; i++) one(p, pair, i, scratch);
  }
}

// Queries first to end - 1, at most 8.
function tile(p: Attention, pair: u32, first: u32, end: u32, scratch: usize): void {
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
  packQueries(scratch, p.q + q, qRow, first, end - 1, d, lanes, p.scale);

  const shared = p.maskRow == 0 ? mask : 0;
  let limit = keyLimit(p.CAUSAL, first, end, p.offset, shared, p.keys);
  for (;;) {
    scores(s, half, p.k + k, kRow, limit, d, scratch, lanes);
    let blind = false;
    for (let lane: u32 = 0; lane < lanes; lane += 4) {
      const at = s + (lane ? half : 0);
      const i = first + lane;
      if (p.MASK | p.CAUSAL) {
        hide(at, limit, i, end - 1, p.CAUSAL, p.offset, mask, p.maskRow);
      }
      const top = normalize(at, limit, p.stats + (<usize>(pair * p.queries + i) << 3), end - i);
      if (v128.any_true(f32x4.le(top, f32x4.splat(HIDDEN)))) blind = true;
    }
    if (!blind || limit == p.keys) break;
    limit = p.keys;
  }
  if (p.DROPOUT) {
    const m = s + 2 * half;
    for (let lane: u32 = 0; lane < lanes; lane += 4) {
      const number = (pair * p.queries + first + lane) * p.keys;
      draw4(m, p.rng, p.op, p.keep, number, p.keys, limit);
      drop4(s + (lane ? half : 0), m, p.rescale, limit);
    }
  }
  for (let j: u32 = 0; j < limit; j += BLOCK) {
    const n = min(BLOCK, limit - j);
    const v = p.v + k + j * kRow;
    for (let lane: u32 = 0; lane < lanes; lane += 4) {
      const i = first + lane;
      const at = s + (lane ? half : 0) + (<usize>j << 4);
      combine(p.o + q + i * qRow, qRow, at, v, kRow, n, min(4, end - i), d, j > 0);
    }
  }
}

// s[n, 4] becomes its softmax down the lanes; stats of the first `count` lanes are written. Returns
// the maxima.
function normalize(s: usize, n: u32, stats: usize, count: u32): v128 {
  const end = s + (<usize>n << 4);
  let top = f32x4.splat(-3.4e38);
  for (let at = s; at < end; at += 16) top = f32x4.pmax(top, v128.load(at));
  let sum = f32x4.splat(0);
  for (let at = s; at < end; at += 16) {
    const e = expLow(f32x4.sub(v128.load(at), top));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  const scale = f32x4.div(f32x4.splat(1), sum);
  for (let at = s; at < end; at += 16) v128.store(at, f32x4.mul(v128.load(at), scale));
  v128.store64_lane(stats, i32x4.shuffle(top, sum, 0, 4, 1, 5), 0);
  if (count > 1) v128.store64_lane(stats + 8, i32x4.shuffle(top, sum, 0, 4, 1, 5), 1);
  if (count > 2) v128.store64_lane(stats + 16, i32x4.shuffle(top, sum, 2, 6, 3, 7), 0);
  if (count > 3) v128.store64_lane(stats + 24, i32x4.shuffle(top, sum, 2, 6, 3, 7), 1);
  return top;
}

function one(p: Attention, pair: u32, i: u32, scratch: usize): void {
  const b = pair / p.heads;
  const d = p.chunks << 2;
  const head = (pair % p.heads) * p.chunks;
  const q = <usize>(b * p.qBatch + i * p.qRow + head) << 4;
  const k = <usize>(b * p.kBatch + head) << 4;
  const kRow = <usize>p.kRow << 4;
  const mask = p.MASK ? p.mask + (<usize>(b * p.maskBatch + i * p.maskRow) << 2) : 0;
  const scale = f32x4.splat(p.scale);
  const bound = <i32>i + p.offset;
  const n = keyLimit(p.CAUSAL, i, i + 1, p.offset, mask, p.keys);
  const w = p.weights + (<usize>(pair * p.queries + i) * (p.keys + 3 & ~3) << 2);
  let largest = f32x4.splat(-3.4e38);
  for (let j: u32 = 0; j < n; j += 4) {
    let s = f32x4.mul(dots(p.q + q, p.k + k, kRow, j, n, d), scale);
    s = hideKeys(s, j, n, p.CAUSAL, bound, mask);
    s = v128.bitselect(s, f32x4.splat(-3.4e38), inRange(j, n));
    v128.store(w + (<usize>j << 2), s);
    largest = f32x4.pmax(largest, s);
  }
  const top = max4(largest);
  const number = (pair * p.queries + i) * p.keys;
  let masks: usize = 0;
  let sums = f32x4.splat(0);
  for (let j: u32 = 0; j < n; j += 4) {
    let e = expLow(f32x4.sub(v128.load(w + (<usize>j << 2)), f32x4.splat(top)));
    sums = f32x4.add(sums, e);
    if (p.DROPOUT) {
      const at = j % DRAWN;
      if (at == 0) masks = draw(scratch, p.rng, p.op, p.keep, number + j, min(DRAWN, n - j));
      e = dropped(e, v128.load(masks + (at << 2)), p.rescale);
    }
    v128.store(w + (<usize>j << 2), e);
  }
  const sum = sum4(sums);
  const stats = p.stats + (<usize>(pair * p.queries + i) << 3);
  store<f32>(stats, top);
  store<f32>(stats, sum, 4);
  weigh(p.o + q, w, p.v + k, kRow, n, d, 1 / sum);
}
