// loss[r] = log sum_j exp(x[r, j]) - x[r, target[r]];
// stats[r] = (max_j x[r, j], sum_j exp(x[r, j] - max))
// A target of `cols` or more gives NaN, and so does a row with a NaN or +infinity in it, or of
// -infinity alone.
// A task does some rows, in two passes each.
// Numerics: (max - x[target]) + log(sum) keeps the digits that log sum exp of large logits would
// lose; the backward pass gets the maximum and the sum for the same reason.
import { log } from "./lib/math";
import { expSum, lastRow, rowMax, rowsOfTask, tasksOfRows } from "./lib/rows";

@unmanaged export class CrossEntropy {
  rows: u32; cols: u32;
  x: usize; targets: usize; loss: usize; stats: usize;
}

export function cross_entropy_tasks(p: CrossEntropy): u32 {
  return tasksOfRows(p.rows, p.cols);
}

export function cross_entropy(p: CrossEntropy, task: u32, scratch: usize): void {
  const cols = p.cols;
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const x = p.x + ((row * cols) << 2);
    const top = rowMax(x, cols);
    let sum = expSum(x, cols, top);
    if (!(sum > 0)) sum = f32.NaN; // a NaN, +infinity, or -infinity alone
    const hit = load<u32>(p.targets + (row << 2));
    const picked: f32 = hit < cols ? load<f32>(x + (hit << 2)) : f32.NaN;
    const height = f32x4.extract_lane(log(f32x4.splat(max<f32>(sum, 1e-37))), 0);
    store<f32>(p.loss + (row << 2), sum > 0 ? top - picked + height : f32.NaN);
    store<f32>(p.stats + (row << 3), top);
    store<f32>(p.stats + (row << 3), sum, 4);
  }
}
