// dk[j] = sum_i ds[i, j] q[i], dv[j] = sum_i w[i, j] do[i]; `weights` holds w and ds of each query,
// from attention_dq.ts. ACCUMULATE_K, ACCUMULATE_V: added to what dk, dv hold.
// A task owns several (batch, head) pairs, or some keys of one.
// Numerics: f32 sums in order of i, in blocks of 64 that are added up in order; zeros that lead a
// block (a causal mask's) are left out.
import { BLOCK, combine, rowsPerTask, taskCount } from "./lib/attention";
import { spread } from "./lib/attention_step";

@unmanaged export class AttentionDkv {
  queries: u32; keys: u32; heads: u32; pairs: u32; chunks: u32;
  qBatch: u32; qRow: u32; kBatch: u32; kRow: u32;
  ACCUMULATE_K: u32; ACCUMULATE_V: u32;
  q: usize; dout: usize; weights: usize;
  dk: usize; dv: usize;
}

const GROUP: u32 = 16; // keys whose weights are packed together: a cache line of each query
const PANEL: usize = <usize>BLOCK * 16; // bytes of a block's weights of four keys

export function attention_dkv_tasks(p: AttentionDkv): u32 {
  return taskCount(p.pairs, p.keys, <u64>p.queries * p.chunks * 8, p.queries > 1, GROUP);
}

export function attention_dkv(p: AttentionDkv, task: u32, scratch: usize): void {
  const count = attention_dkv_tasks(p);
  if (count > p.pairs) {
    const parts = count / p.pairs;
    const rows = rowsPerTask(p.keys, parts, GROUP);
    const first = (task % parts) * rows;
    some(p, task / parts, first, min(first + rows, p.keys), scratch);
  } else {
    const end = p.pairs * (task + 1) / count;
    for (let pair = p.pairs * task / count; pair < end; pair++) some(p, pair, 0, p.keys, scratch);
  }
}

// Keys first to end - 1; first is a multiple of GROUP.
function some(p: AttentionDkv, pair: u32, first: u32, end: u32, scratch: usize): void {
  const b = pair / p.heads;
  const d = p.chunks << 2;
  const head = (pair % p.heads) * p.chunks;
  const q = <usize>(b * p.qBatch + head) << 4;
  const k = <usize>(b * p.kBatch + head) << 4;
  const qRow = <usize>p.qRow << 4;
  const kRow = <usize>p.kRow << 4;
  const size = <usize>(p.keys + 3 & ~3) << 2; // bytes of a query's w, and of its ds behind it
  const weights = p.weights + <usize>(pair * p.queries) * (2 * size);
  if (p.queries == 1) {
    const at = k + first * kRow;
    const w = weights + (<usize>first << 2);
    spread(p.dk + at, kRow, w + size, p.q + q, end - first, d, p.ACCUMULATE_K != 0);
    spread(p.dv + at, kRow, w, p.dout + q, end - first, d, p.ACCUMULATE_V != 0);
    return;
  }
  const ds = scratch + (GROUP / 4) * PANEL;
  for (let i: u32 = 0; i < p.queries; i += BLOCK) {
    const n = min(BLOCK, p.queries - i);
    const addK = i > 0 || p.ACCUMULATE_K != 0;
    const addV = i > 0 || p.ACCUMULATE_V != 0;
    const from = weights + i * (2 * size);
    const rows = q + i * qRow;
    for (let g = first; g < end; g += GROUP) {
      const groupEnd = min(end, g + GROUP);
      const bytes = <usize>(groupEnd - g + 3 & ~3) << 2;
      pack(scratch, from + (<usize>g << 2), bytes, 2 * size, n);
      pack(ds, from + size + (<usize>g << 2), bytes, 2 * size, n);
      for (let j = g, panel: usize = 0; j < groupEnd; j += 4, panel += PANEL) {
        const at = k + j * kRow;
        const count = min(4, end - j);
        gather(p.dk + at, kRow, ds + panel, p.q + rows, qRow, n, count, d, addK);
        gather(p.dv + at, kRow, scratch + panel, p.dout + rows, qRow, n, count, d, addV);
      }
    }
  }
}

// [n, bytes / 4] at `from` to panels [n, 4], a panel for four keys.
function pack(to: usize, from: usize, bytes: usize, row: usize, n: u32): void {
  for (const end = to + (n << 4); to < end; to += 16) {
    for (let c: usize = 0, at = to; c < bytes; c += 16, at += PANEL) {
      v128.store(at, v128.load(from + c));
    }
    from += row;
  }
}

// combine() from the first row of weights on that is not all zeros.
function gather(
  to: usize, toRow: usize, w: usize, rows: usize, row: usize, n: u32, count: u32, d: u32, add: bool,
): void {
  let t: u32 = 0;
  const zero = f32x4.splat(0);
  while (t < n && !v128.any_true(f32x4.ne(v128.load(w + (<usize>t << 4)), zero))) t++;
  if (t < n || !add) {
    combine(to, toRow, w + (<usize>t << 4), rows + t * row, row, n - t, count, d, add);
  }
}
