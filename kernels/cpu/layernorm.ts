// s = x + residual, x after dropout where there is (DROPOUT); rstd = 1 / sqrt(mean((s - mean(s))^2) + eps); xhat = (s - mean(s)) * rstd;
// y = xhat * weight + bias
// A task does some rows, in three passes each.
// Numerics: the variance in a pass of its own over s - mean, which also gives what rounding took
// from the mean, so that a large mean costs no digits.
import { dropRow } from "./lib/dropout";
import { lastRow, rowsOfTask, tasksOfRows, wholeEnd } from "./lib/rows";
import { loadPart, madd, storePart, sum4 } from "./lib/simd";

@unmanaged export class Layernorm {
  rows: u32; cols: u32; eps: f32; firstRow: u32; op: u32; keep: f32; rescale: f32;
  HAS_RESIDUAL: u32; DROPOUT: u32;
  x: usize; residual: usize; weight: usize; bias: usize;
  y: usize; xhat: usize; rstd: usize;
  rng: usize;
}

export function layernorm_tasks(p: Layernorm): u32 {
  return tasksOfRows(p.rows, p.cols);
}

/** The sum of x. */
function sumRow(x: usize, cols: u32): f32 {
  const zero = f32x4.splat(0);
  const end = wholeEnd(x, cols);
  let a = zero;
  let b = zero;
  let c = zero;
  let d = zero;
  for (; x + 64 <= end; x += 64) {
    a = f32x4.add(a, v128.load(x));
    b = f32x4.add(b, v128.load(x, 16));
    c = f32x4.add(c, v128.load(x, 32));
    d = f32x4.add(d, v128.load(x, 48));
  }
  for (; x < end; x += 16) a = f32x4.add(a, v128.load(x));
  if (cols & 3) b = f32x4.add(b, loadPart(x, cols & 3, zero));
  return sum4(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

/** s = x + residual. */
function addRow(x: usize, residual: usize, s: usize, cols: u32): void {
  const end = wholeEnd(x, cols);
  for (; x < end; x += 16, residual += 16, s += 16) {
    v128.store(s, f32x4.add(v128.load(x), v128.load(residual)));
  }
  for (let j: u32 = 0; j < (cols & 3); j++) {
    store<f32>(s + (j << 2), load<f32>(x + (j << 2)) + load<f32>(residual + (j << 2)));
  }
}

export function layernorm(p: Layernorm, task: u32, scratch: usize): void {
  const cols = p.cols;
  const part = cols & 3;
  const zero = f32x4.splat(0);
  const last = lastRow(task, p.rows, cols);
  for (let row = task * rowsOfTask(cols); row < last; row++) {
    const at = (row * cols) << 2;
    let s = p.x + at;
    if (p.DROPOUT) {
      const to = p.xhat + at;
      const number = (p.firstRow + row) * cols;
      dropRow(to, s, p.rng, p.op, p.keep, p.rescale, number, cols, scratch);
      s = to;
    }
    if (p.HAS_RESIDUAL) {
      addRow(s, p.residual + at, p.xhat + at, cols);
      s = p.xhat + at;
    }
    const count = <f32>cols;
    const mean = sumRow(s, cols) / count;
    const middle = f32x4.splat(mean);

    const end = wholeEnd(s, cols);
    let rest = zero;
    let rest1 = zero;
    let squares = zero;
    let squares1 = zero;
    let from = s;
    for (; from + 32 <= end; from += 32) {
      const a = f32x4.sub(v128.load(from), middle);
      const b = f32x4.sub(v128.load(from, 16), middle);
      rest = f32x4.add(rest, a);
      rest1 = f32x4.add(rest1, b);
      squares = madd(a, a, squares);
      squares1 = madd(b, b, squares1);
    }
    if (from < end) {
      const a = f32x4.sub(v128.load(from), middle);
      rest = f32x4.add(rest, a);
      squares = madd(a, a, squares);
      from += 16;
    }
    if (part) {
      const a = f32x4.sub(loadPart(from, part, middle), middle); // beyond the row 0
      rest1 = f32x4.add(rest1, a);
      squares1 = madd(a, a, squares1);
    }
    const correction = sum4(f32x4.add(rest, rest1)) / count;
    const variance = sum4(f32x4.add(squares, squares1)) / count - correction * correction;
    const rstd: f32 = <f32>1 / sqrt<f32>(max<f32>(variance, 0) + p.eps);
    store<f32>(p.rstd + (row << 2), rstd);

    const shift = f32x4.splat(correction);
    const scale = f32x4.splat(rstd);
    let xhat = p.xhat + at;
    let y = p.y + at;
    let weight = p.weight;
    let bias = p.bias;
    for (; s < end; s += 16, xhat += 16, y += 16, weight += 16, bias += 16) {
      const h = f32x4.mul(f32x4.sub(f32x4.sub(v128.load(s), middle), shift), scale);
      v128.store(xhat, h);
      v128.store(y, madd(h, v128.load(weight), v128.load(bias)));
    }
    if (part) {
      const h = f32x4.mul(f32x4.sub(f32x4.sub(loadPart(s, part, zero), middle), shift), scale);
      storePart(xhat, h, part);
      storePart(y, madd(h, loadPart(weight, part, zero), loadPart(bias, part, zero)), part);
    }
  }
}
