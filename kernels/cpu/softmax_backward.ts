// dx[r, j] = y[r, j] * (dy[r, j] - sum_i y[r, i] * dy[r, i]), y = softmax(x)
// A task does some rows, in two passes each.
// Numerics: f32 sums in a fixed order.
import { lastRow, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";
import { loadPart, madd, storePart, sum4 } from "./lib/simd";

@unmanaged export class SoftmaxBackward {
  rows: u32; cols: u32;
  y: usize; dy: usize; dx: usize;
}

export function softmax_backward_tasks(p: SoftmaxBackward): u32 {
  return tasksOfRows(p.rows, p.cols);
}

function dotRow(y: usize, dy: usize, cols: u32): f32 {
  const zero = f32x4.splat(0);
  const end = wholeEnd(y, cols);
  let a = zero;
  let b = zero;
  let c = zero;
  let d = zero;
  for (; y + 64 <= end; y += 64, dy += 64) {
    a = madd(v128.load(y), v128.load(dy), a);
    b = madd(v128.load(y, 16), v128.load(dy, 16), b);
    c = madd(v128.load(y, 32), v128.load(dy, 32), c);
    d = madd(v128.load(y, 48), v128.load(dy, 48), d);
  }
  for (; y < end; y += 16, dy += 16) a = madd(v128.load(y), v128.load(dy), a);
  if (cols & 3) b = madd(loadPart(y, cols & 3, zero), loadPart(dy, cols & 3, zero), b);
  return sum4(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

// @ts-ignore: decorator
@inline
function slope(y: v128, dy: v128, dot: v128): v128 {
  return f32x4.mul(y, f32x4.sub(dy, dot));
}

export function softmax_backward(p: SoftmaxBackward, task: u32, scratch: usize): void {
  const cols = p.cols;
  const rest = cols & 3;
  const zero = f32x4.splat(0);
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const at = (row * cols) << 2;
    let y = p.y + at;
    let dy = p.dy + at;
    let dx = p.dx + at;
    const dot = f32x4.splat(dotRow(y, dy, cols));
    const end = wholeEnd(y, cols);
    for (; y < end; y += 16, dy += 16, dx += 16) {
      v128.store(dx, slope(v128.load(y), v128.load(dy), dot));
    }
    if (rest) storePart(dx, slope(loadPart(y, rest, zero), loadPart(dy, rest, zero), dot), rest);
  }
}
