// For each row of x [rows, cols]: the k largest values in falling order with their columns; the
// lowest column first on ties.
// A task does some rows. The columns found so far stand in order in `indices`; 16 elements at a
// time are compared with the least of them, and what is larger is inserted.
// Numerics: values are copied as they are; NaN counts as less than everything, so it is found last.
import { lastRow, rowsOfTask, tasksOfRows } from "./lib/rows";

@unmanaged export class Topk {
  rows: u32; cols: u32; k: u32; HAS_VALUES: u32;
  x: usize; indices: usize; values: usize;
}

export function topk_tasks(p: Topk): u32 {
  return tasksOfRows(p.rows, p.cols);
}

// @ts-ignore: decorator
@inline
function isNaN32(v: f32): bool {
  return v != v;
}

/** Whether a comes before b wherever they stand. */
// @ts-ignore: decorator
@inline
function before(a: f32, b: f32): bool {
  return a > b || (isNaN32(b) && !isNaN32(a));
}

// @ts-ignore: decorator
@inline
function valueAt(x: usize, found: usize, i: u32): f32 {
  return load<f32>(x + (load<u32>(found + (i << 2)) << 2));
}

/** Inserts column j behind all of `count` columns that are not less; the one beyond k falls out. */
function insert(x: usize, found: usize, count: u32, k: u32, j: u32): void {
  const v = load<f32>(x + (j << 2));
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(v, valueAt(x, found, middle))) high = middle;
    else low = middle + 1;
  }
  const at = found + (low << 2);
  const moved = min<u32>(count, k - 1) - low;
  if (moved) memory.copy(at + 4, at, moved << 2);
  store<u32>(at, j);
}

function findRow(x: usize, found: usize, cols: u32, k: u32): void {
  let j: u32 = 0;
  for (; j < k; j++) insert(x, found, j, k, j);
  let least = valueAt(x, found, k - 1);
  while (j < cols) {
    const end = min<u32>(j + 16, cols);
    if (end - j == 16 && !isNaN32(least)) {
      const limit = f32x4.splat(least);
      const at = x + (j << 2);
      const a = v128.or(f32x4.gt(v128.load(at), limit), f32x4.gt(v128.load(at, 16), limit));
      const b = v128.or(f32x4.gt(v128.load(at, 32), limit), f32x4.gt(v128.load(at, 48), limit));
      if (!v128.any_true(v128.or(a, b))) {
        j = end;
        continue;
      }
    }
    for (; j < end; j++) {
      if (!before(load<f32>(x + (j << 2)), least)) continue;
      insert(x, found, k, k, j);
      least = valueAt(x, found, k - 1);
    }
  }
}

export function topk(p: Topk, task: u32, scratch: usize): void {
  const cols = p.cols;
  const k = p.k;
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const x = p.x + ((row * cols) << 2);
    const found = p.indices + ((row * k) << 2);
    findRow(x, found, cols, k);
    if (!p.HAS_VALUES) continue;
    const values = p.values + ((row * k) << 2);
    for (let i: u32 = 0; i < k; i++) {
      store<u32>(values + (i << 2), load<u32>(x + (load<u32>(found + (i << 2)) << 2)));
    }
  }
}
