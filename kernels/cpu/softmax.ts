// y[r, j] = exp(x[r, j] - max_j x[r, j]) / sum_j exp(x[r, j] - max_j x[r, j])
// A task does some rows, one after the other: a row stays in the first cache over its three passes.
// Numerics: the maximum is subtracted first, so nothing overflows. The exponentials wait in y for
// their sum.
import { expRow, lastRow, rowMax, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";

@unmanaged export class Softmax {
  rows: u32; cols: u32;
  x: usize; y: usize;
}

export function softmax_tasks(p: Softmax): u32 {
  return tasksOfRows(p.rows, p.cols);
}

function scaleRow(y: usize, cols: u32, factor: f32): void {
  const scale = f32x4.splat(factor);
  const end = wholeEnd(y, cols);
  for (; y + 32 <= end; y += 32) {
    v128.store(y, f32x4.mul(v128.load(y), scale));
    v128.store(y, f32x4.mul(v128.load(y, 16), scale), 16);
  }
  if (y < end) {
    v128.store(y, f32x4.mul(v128.load(y), scale));
    y += 16;
  }
  for (let j: u32 = 0; j < (cols & 3); j++, y += 4) store<f32>(y, load<f32>(y) * factor);
}

export function softmax(p: Softmax, task: u32, scratch: usize): void {
  const cols = p.cols;
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const at = (row * cols) << 2;
    const sum = expRow(p.x + at, p.y + at, cols, rowMax(p.x + at, cols));
    scaleRow(p.y + at, cols, 1 / sum);
  }
}
