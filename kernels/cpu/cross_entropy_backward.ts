// dx[r, j] = (exp(x[r, j] - max) / sum - (j == target[r])) * dloss[r], stats[r] = (max, sum)
// A target of `cols` or more gives a row of NaN.
// A task does some rows.
// Numerics: the same exponentials as the forward pass.
import { expLow } from "./lib/math";
import { lastRow, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";
import { loadPart, storePart } from "./lib/simd";

@unmanaged export class CrossEntropyBackward {
  rows: u32; cols: u32;
  x: usize; targets: usize; stats: usize; dloss: usize; dx: usize;
}

export function cross_entropy_backward_tasks(p: CrossEntropyBackward): u32 {
  return tasksOfRows(p.rows, p.cols);
}

export function cross_entropy_backward(p: CrossEntropyBackward, task: u32, scratch: usize): void {
  const cols = p.cols;
  const part = cols & 3;
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    let x = p.x + ((row * cols) << 2);
    let dx = p.dx + ((row * cols) << 2);
    const target = load<u32>(p.targets + (row << 2));
    const hit = dx + (min<u32>(target, cols - 1) << 2);
    const g = load<f32>(p.dloss + (row << 2));
    const top = f32x4.splat(load<f32>(p.stats + (row << 3)));
    const sum: f32 = target < cols ? load<f32>(p.stats + (row << 3), 4) : f32.NaN;
    const scale = f32x4.splat(g / sum);
    const end = wholeEnd(x, cols);
    for (; x < end; x += 16, dx += 16) {
      v128.store(dx, f32x4.mul(expLow(f32x4.sub(v128.load(x), top)), scale));
    }
    if (part) {
      const e = expLow(f32x4.sub(loadPart(x, part, top), top));
      storePart(dx, f32x4.mul(e, scale), part);
    }
    store<f32>(hit, load<f32>(hit) - g);
  }
}
