// What the kernels over rows share: how rows are dealt out, and the first passes of a softmax.
import { expLow } from "./math";
import { loadPart, storePart, sum4 } from "./simd";

/** Elements that one task takes, in whole rows. */
const GRAIN: u32 = 8192;

// @ts-ignore: decorator
@inline
export function rowsOfTask(cols: u32): u32 {
  return max<u32>(1, GRAIN / cols);
}

// @ts-ignore: decorator
@inline
export function tasksOfRows(rows: u32, cols: u32): u32 {
  const each = rowsOfTask(cols);
  return rows / each + u32(rows % each > 0);
}

/** The row behind the last one of a task. */
// @ts-ignore: decorator
@inline
export function lastRow(task: u32, rows: u32, cols: u32): u32 {
  const each = rowsOfTask(cols);
  return task * each + min<u32>(each, rows - task * each);
}

/** Where the whole vectors of `cols` words end. */
// @ts-ignore: decorator
@inline
export function wholeEnd(from: usize, cols: u32): usize {
  return from + ((cols & ~3) << 2);
}

/** max_j x[j], -3.4e38 at least; NaN does not count. */
export function rowMax(x: usize, cols: u32): f32 {
  const lowest = f32x4.splat(-3.4e38);
  const end = wholeEnd(x, cols);
  let a = lowest;
  let b = lowest;
  let c = lowest;
  let d = lowest;
  for (; x + 64 <= end; x += 64) {
    a = f32x4.pmax(a, v128.load(x));
    b = f32x4.pmax(b, v128.load(x, 16));
    c = f32x4.pmax(c, v128.load(x, 32));
    d = f32x4.pmax(d, v128.load(x, 48));
  }
  for (; x < end; x += 16) a = f32x4.pmax(a, v128.load(x));
  if (cols & 3) b = f32x4.pmax(b, loadPart(x, cols & 3, lowest));
  a = f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
  a = f32x4.pmax(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(a, v128.shuffle<f32>(a, a, 1, 0, 3, 2)), 0);
}

/** exp(x[j] - top) of four elements, kept in y unless only their sum is wanted. */
// @ts-ignore: decorator
@inline
function exp4(keep: bool, x: usize, y: usize, top: v128): v128 {
  const e = expLow(f32x4.sub(v128.load(x), top));
  if (keep) v128.store(y, e);
  return e;
}

// @ts-ignore: decorator
@inline
function sumExp(keep: bool, x: usize, y: usize, cols: u32, top: f32): f32 {
  const shift = f32x4.splat(top);
  const end = wholeEnd(x, cols);
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (; x + 64 <= end; x += 64, y += 64) {
    a = f32x4.add(a, exp4(keep, x, y, shift));
    b = f32x4.add(b, exp4(keep, x + 16, y + 16, shift));
    c = f32x4.add(c, exp4(keep, x + 32, y + 32, shift));
    d = f32x4.add(d, exp4(keep, x + 48, y + 48, shift));
  }
  for (; x < end; x += 16, y += 16) a = f32x4.add(a, exp4(keep, x, y, shift));
  if (cols & 3) {
    const rest = loadPart(x, cols & 3, f32x4.splat(-Infinity)); // exp gives 0
    const e = expLow(f32x4.sub(rest, shift));
    if (keep) storePart(y, e, cols & 3);
    b = f32x4.add(b, e);
  }
  return sum4(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

/** sum_j exp(x[j] - top); NaN where an x[j] is. */
export function expSum(x: usize, cols: u32, top: f32): f32 {
  return sumExp(false, x, x, cols, top);
}

/** y[j] = exp(x[j] - top), and their sum */
export function expRow(x: usize, y: usize, cols: u32, top: f32): f32 {
  return sumExp(true, x, y, cols, top);
}
