// y[o, s] = scale * OP over j in part s of x[o, j], x [outer, n]; OP: sum or maximum. ENTROPY: the sum of -x ln(x).
// Few rows with many columns are cut into `parts` pieces of `chunk`; a second launch joins them.
// rows = outer * parts; a task does some of them.
// Numerics: f32; 16 lanes take every 16th element each; a NaN makes the maximum NaN. ln(x) = ln(max(x, 1.2e-38)), so that 0 gives 0.
import { REDUCE_SUM } from "./lib/codes";
import { log } from "./lib/math";
import { lastRow, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";
import { loadPart, max4, maxNaN, sum4 } from "./lib/simd";

@unmanaged export class ReduceRows {
  rows: u32; n: u32; parts: u32; chunk: u32; scale: f32; OP: u32; ENTROPY: u32;
  x: usize; y: usize;
}

/** What a row counts for in dealing out: a fourth of the work of a softmax over it, or as much, for its logarithms. */
// @ts-ignore: decorator
@inline
function weight(p: ReduceRows): u32 {
  return max<u32>(1, p.ENTROPY ? p.chunk : p.chunk >>> 2);
}

export function reduce_rows_tasks(p: ReduceRows): u32 {
  return tasksOfRows(p.rows, weight(p));
}

// @ts-ignore: decorator
@inline
function join(op: u32, a: v128, b: v128): v128 {
  return op == REDUCE_SUM ? f32x4.add(a, b) : maxNaN(a, b);
}

// @ts-ignore: decorator
@inline
function entropy(v: v128): v128 {
  return f32x4.neg(f32x4.mul(v, log(v)));
}

function entropyRow(x: usize, cols: u32): f32 {
  const zero = f32x4.splat(0);
  const end = wholeEnd(x, cols);
  let a = zero;
  let b = zero;
  for (; x + 32 <= end; x += 32) {
    a = f32x4.add(a, entropy(v128.load(x)));
    b = f32x4.add(b, entropy(v128.load(x, 16)));
  }
  for (; x < end; x += 16) a = f32x4.add(a, entropy(v128.load(x)));
  if (cols & 3) b = f32x4.add(b, entropy(loadPart(x, cols & 3, zero)));
  return sum4(f32x4.add(a, b));
}

// @ts-ignore: decorator
@inline
function reduceRow(op: u32, x: usize, cols: u32): f32 {
  const start = op == REDUCE_SUM ? f32x4.splat(0) : v128.load32_splat(x);
  const end = wholeEnd(x, cols);
  let a = start;
  let b = start;
  let c = start;
  let d = start;
  for (; x + 64 <= end; x += 64) {
    a = join(op, a, v128.load(x));
    b = join(op, b, v128.load(x, 16));
    c = join(op, c, v128.load(x, 32));
    d = join(op, d, v128.load(x, 48));
  }
  for (; x < end; x += 16) a = join(op, a, v128.load(x));
  if (cols & 3) b = join(op, b, loadPart(x, cols & 3, start));
  const all = join(op, join(op, a, b), join(op, c, d));
  return op == REDUCE_SUM ? sum4(all) : max4(all);
}

export function reduce_rows(p: ReduceRows, task: u32, scratch: usize): void {
  const last = lastRow(task, p.rows, weight(p));
  for (let row = task * rowsOfTask(weight(p)); row < last; row++) {
    const o = row / p.parts;
    const first = (row - o * p.parts) * p.chunk;
    const x = p.x + ((o * p.n + first) << 2);
    const cols = min<u32>(p.chunk, p.n - first);
    let total: f32;
    if (p.ENTROPY) total = entropyRow(x, cols);
    else total = p.OP == REDUCE_SUM ? reduceRow(0, x, cols) : reduceRow(1, x, cols);
    store<f32>(p.y + (row << 2), total * p.scale);
  }
}
