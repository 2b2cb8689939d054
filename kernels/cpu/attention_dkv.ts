// dk[j] = sum_i ds[i, j] q[i], dv[j] = sum_i w[i, j] do[i]; `weights` holds w and ds of each query, from attention_dq.ts.
// ACCUMULATE_K, ACCUMULATE_V: added to what dk, dv hold.
// A task owns several (batch, head) pairs, or some keys of one.
// Numerics: f32 sums in order of i, in blocks of 64 that are added up in order.
import { BLOCK, ceilDiv, combine, pairsPerTask, rowsPerTask } from "./lib/attention";
import { spread } from "./lib/attention_step";

@unmanaged export class AttentionDkv {
  queries: u32; keys: u32; heads: u32; pairs: u32; chunks: u32;
  qBatch: u32; qRow: u32; kBatch: u32; kRow: u32;
  ACCUMULATE_K: u32; ACCUMULATE_V: u32;
  q: usize; dout: usize; weights: usize;
  dk: usize; dv: usize;
}

@inline function keyCost(p: AttentionDkv): u64 {
  return <u64>p.queries * p.chunks * 4;
}

export function attention_dkv_tasks(p: AttentionDkv): u32 {
  const tiled = p.queries > 1;
  const rows = rowsPerTask(p.keys, keyCost(p), tiled);
  if (rows < p.keys) return p.pairs * ceilDiv(p.keys, rows);
  return ceilDiv(p.pairs, pairsPerTask(keyCost(p) * p.keys, tiled));
}

export function attention_dkv(p: AttentionDkv, task: u32, scratch: usize): void {
  const tiled = p.queries > 1;
  const rows = rowsPerTask(p.keys, keyCost(p), tiled);
  if (rows < p.keys) {
    const blocks = ceilDiv(p.keys, rows);
    const first = (task % blocks) * rows;
    some(p, task / blocks, first, min(first + rows, p.keys), scratch);
  } else {
    const pairs = pairsPerTask(keyCost(p) * p.keys, tiled);
    const end = min((task + 1) * pairs, p.pairs);
    for (let pair = task * pairs; pair < end; pair++) some(p, pair, 0, p.keys, scratch);
  }
}

// Keys first to end - 1; first is a multiple of 4.
function some(p: AttentionDkv, pair: u32, first: u32, end: u32, scratch: usize): void {
  const b = pair / p.heads;
  const d = p.chunks << 2;
  const head = (pair % p.heads) * p.chunks;
  const q = <usize>(b * p.qBatch + head) << 4;
  const k = <usize>(b * p.kBatch + first * p.kRow + head) << 4;
  const qRow = <usize>p.qRow << 4;
  const kRow = <usize>p.kRow << 4;
  const size = <usize>(p.keys + 3 & ~3) << 2; // of a query's w, and of its ds behind it
  const weights = p.weights + <usize>(pair * p.queries) * (2 * size) + (<usize>first << 2);
  if (p.queries == 1) {
    spread(p.dk + k, kRow, weights + size, p.q + q, end - first, d, p.ACCUMULATE_K);
    spread(p.dv + k, kRow, weights, p.dout + q, end - first, d, p.ACCUMULATE_V);
    return;
  }
  const ds = scratch + BLOCK * 16;
  for (let i: u32 = 0; i < p.queries; i += BLOCK) {
    const n = min(BLOCK, p.queries - i);
    const addK = i > 0 || p.ACCUMULATE_K != 0;
    const addV = i > 0 || p.ACCUMULATE_V != 0;
    let at = weights + i * (2 * size);
    let to = k;
    for (let j = first; j < end; j += 4) {
      for (let t: usize = 0, from = at; t < n; t++) {
        v128.store(scratch + (t << 4), v128.load(from));
        v128.store(ds + (t << 4), v128.load(from + size));
        from += 2 * size;
      }
      const count = min(4, end - j);
      combine(p.dk + to, kRow, ds, p.q + q + i * qRow, qRow, n, count, d, addK);
      combine(p.dv + to, kRow, scratch, p.dout + q + i * qRow, qRow, n, count, d, addV);
      at += 16;
      to += 4 * kRow;
    }
  }
}
