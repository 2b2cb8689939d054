// y = f(x), elementwise, f chosen by OP.
// A task makes GRAIN elements.
// Numerics: NaN passes through every f. log(x) = log(max(x, 1.2e-38)); gelu uses erf, not its tanh
// approximation; lib/math has the errors.
import { exp, gelu, log, sigmoid, tanh } from "./lib/math";
import { constant, loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 8192;
const ONE = constant(1);

@unmanaged export class Unary {
  n: u32;
  OP: u32;
  x: usize;
  y: usize;
}

export function unary_tasks(p: Unary): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function unary(p: Unary, task: u32, scratch: usize): void {
  const first = task * GRAIN;
  const n = min(GRAIN, p.n - first);
  const x = p.x + (first << 2);
  const y = p.y + (first << 2);
  switch (p.OP) {
    case 0: return run(0, x, y, n);
    case 1: return run(1, x, y, n);
    case 2: return run(2, x, y, n);
    case 3: return run(3, x, y, n);
    case 4: return run(4, x, y, n);
    case 5: return run(5, x, y, n);
    case 6: return run(6, x, y, n);
    case 7: return run(7, x, y, n);
    case 8: return run(8, x, y, n);
    case 9: return run(9, x, y, n);
    default: return run(10, x, y, n);
  }
}

@inline function run(op: u32, x: usize, y: usize, n: u32): void {
  for (; n >= 8; n -= 8) {
    const a = f(op, v128.load(x));
    const b = f(op, v128.load(x, 16));
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, f(op, v128.load(x)));
    x += 16;
    y += 16;
    n -= 4;
  }
  if (n > 0) storePart(y, f(op, loadPart(x, n, ONE)), n);
}

@inline function f(op: u32, v: v128): v128 {
  if (op == 0) return f32x4.neg(v);
  if (op == 1) return exp(v);
  if (op == 2) return log(v);
  if (op == 3) return f32x4.sqrt(v);
  if (op == 4) return f32x4.div(ONE, f32x4.sqrt(v));
  if (op == 5) return f32x4.div(ONE, v);
  if (op == 6) return tanh(v);
  if (op == 7) return f32x4.mul(v, v);
  if (op == 8) return f32x4.abs(v);
  if (op == 9) return sigmoid(v);
  return gelu(v);
}
