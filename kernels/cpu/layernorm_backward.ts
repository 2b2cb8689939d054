// g = dy * weight; dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), means over a row
// Where there was dropout (DROPOUT), the same elements of dx fall out for `left`, the gradient of what
// it was applied to.
// A task does some rows, in two passes each.
// Numerics: f32 sums in a fixed order.
import { dropRow } from "./lib/dropout";
import { lastRow, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";
import { loadPart, madd, nmadd, storePart, sum4 } from "./lib/simd";

@unmanaged export class LayernormBackward {
  rows: u32; cols: u32; firstRow: u32; op: u32; keep: f32; rescale: f32;
  DROPOUT: u32;
  dy: usize; xhat: usize; rstd: usize; weight: usize; dx: usize; left: usize;
  rng: usize;
}

export function layernorm_backward_tasks(p: LayernormBackward): u32 {
  return tasksOfRows(p.rows, p.cols);
}

export function layernorm_backward(p: LayernormBackward, task: u32, scratch: usize): void {
  const cols = p.cols;
  const part = cols & 3;
  const zero = f32x4.splat(0);
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const at = (row * cols) << 2;
    let dy = p.dy + at;
    let xhat = p.xhat + at;
    let weight = p.weight;
    const end = wholeEnd(dy, cols);
    let sum = zero;
    let sum1 = zero;
    let dot = zero;
    let dot1 = zero;
    for (; dy + 32 <= end; dy += 32, xhat += 32, weight += 32) {
      const a = f32x4.mul(v128.load(dy), v128.load(weight));
      const b = f32x4.mul(v128.load(dy, 16), v128.load(weight, 16));
      sum = f32x4.add(sum, a);
      sum1 = f32x4.add(sum1, b);
      dot = madd(a, v128.load(xhat), dot);
      dot1 = madd(b, v128.load(xhat, 16), dot1);
    }
    if (dy < end) {
      const a = f32x4.mul(v128.load(dy), v128.load(weight));
      sum = f32x4.add(sum, a);
      dot = madd(a, v128.load(xhat), dot);
      dy += 16;
      xhat += 16;
      weight += 16;
    }
    if (part) {
      const a = f32x4.mul(loadPart(dy, part, zero), loadPart(weight, part, zero));
      sum1 = f32x4.add(sum1, a);
      dot1 = madd(a, loadPart(xhat, part, zero), dot1);
    }
    const mean = f32x4.splat(sum4(f32x4.add(sum, sum1)) / <f32>cols);
    const slope = f32x4.splat(sum4(f32x4.add(dot, dot1)) / <f32>cols);
    const scale = f32x4.splat(load<f32>(p.rstd + (row << 2)));

    dy = p.dy + at;
    xhat = p.xhat + at;
    weight = p.weight;
    let dx = p.dx + at;
    for (; dy < end; dy += 16, xhat += 16, weight += 16, dx += 16) {
      const g = f32x4.sub(f32x4.mul(v128.load(dy), v128.load(weight)), mean);
      v128.store(dx, f32x4.mul(scale, nmadd(v128.load(xhat), slope, g)));
    }
    if (part) {
      const g = f32x4.sub(f32x4.mul(loadPart(dy, part, zero), loadPart(weight, part, zero)), mean);
      storePart(dx, f32x4.mul(scale, nmadd(loadPart(xhat, part, zero), slope, g)), part);
    }
    if (p.DROPOUT) {
      const from = p.dx + at;
      const number = (p.firstRow + row) * cols;
      dropRow(p.left + at, from, p.rng, p.op, p.keep, p.rescale, number, cols, scratch);
    }
  }
}
