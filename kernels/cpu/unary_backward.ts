// dx = dy * f'(x), elementwise. r is what f' is cheapest in: y for exp, sqrt, rsqrt, reciprocal,
// tanh, sigmoid and relu, else x.
// A task makes GRAIN elements.
// Numerics: a NaN in r gives NaN; abs'(0) = 0 and relu'(0) = 0; log'(x) = 0 below 1.2e-38, as log is constant there.
import {
  UNARY_ABS, UNARY_COS, UNARY_EXP, UNARY_GELU_TANH, UNARY_LOG, UNARY_RECIPROCAL, UNARY_RELU, UNARY_RSQRT,
  UNARY_SIGMOID, UNARY_SILU, UNARY_SIN, UNARY_SQRT, UNARY_SQUARE, UNARY_TANH,
} from "./lib/codes";
import { cos, geluGrad, geluTanhGrad, siluGrad, sin } from "./lib/math";
import { constant, constantWord, loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 8192;
const ONE = constant(1);
const HALF = constant(0.5);
const MINUS_HALF = constant(-0.5);
const TINY = constant(1.17549435e-38);
const SIGN = constantWord(0x80000000);

@unmanaged export class UnaryBackward {
  n: u32;
  OP: u32;
  dy: usize;
  r: usize;
  dx: usize;
}

export function unary_backward_tasks(p: UnaryBackward): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function unary_backward(p: UnaryBackward, task: u32, scratch: usize): void {
  const first = task * GRAIN;
  const n = min(GRAIN, p.n - first);
  const dy = p.dy + (first << 2);
  const r = p.r + (first << 2);
  const dx = p.dx + (first << 2);
  switch (p.OP) {
    case UNARY_EXP: return run<Exp>(dy, r, dx, n);
    case UNARY_LOG: return run<Log>(dy, r, dx, n);
    case UNARY_SQRT: return run<Sqrt>(dy, r, dx, n);
    case UNARY_RSQRT: return run<Rsqrt>(dy, r, dx, n);
    case UNARY_RECIPROCAL: return run<Reciprocal>(dy, r, dx, n);
    case UNARY_TANH: return run<Tanh>(dy, r, dx, n);
    case UNARY_SQUARE: return run<Square>(dy, r, dx, n);
    case UNARY_ABS: return run<Abs>(dy, r, dx, n);
    case UNARY_SIGMOID: return run<Sigmoid>(dy, r, dx, n);
    case UNARY_RELU: return run<Relu>(dy, r, dx, n);
    case UNARY_GELU_TANH: return run<GeluTanh>(dy, r, dx, n);
    case UNARY_SILU: return run<Silu>(dy, r, dx, n);
    case UNARY_SIN: return run<Sin>(dy, r, dx, n);
    case UNARY_COS: return run<Cos>(dy, r, dx, n);
    default: return run<Gelu>(dy, r, dx, n);
  }
}

// F is one of the classes below: a loop of its own for each, without a choice inside.
function run<F>(dy: usize, r: usize, dx: usize, n: u32): void {
  const op = changetype<F>(<usize>0);
  for (; n >= 8; n -= 8) {
    const a = f32x4.mul(v128.load(dy), op.slope(v128.load(r)));
    const b = f32x4.mul(v128.load(dy, 16), op.slope(v128.load(r, 16)));
    v128.store(dx, a);
    v128.store(dx, b, 16);
    dy += 32;
    r += 32;
    dx += 32;
  }
  if (n >= 4) {
    v128.store(dx, f32x4.mul(v128.load(dy), op.slope(v128.load(r))));
    dy += 16;
    r += 16;
    dx += 16;
    n -= 4;
  }
  if (n > 0) {
    const d = loadPart(dy, n, ONE);
    storePart(dx, f32x4.mul(d, op.slope(loadPart(r, n, ONE))), n);
  }
}

@unmanaged class Exp { @inline slope(v: v128): v128 { return v; } }
@unmanaged class Log {
  @inline slope(v: v128): v128 {
    return v128.andnot(f32x4.div(ONE, v), f32x4.lt(v, TINY));
  }
}
@unmanaged class Sqrt { @inline slope(v: v128): v128 { return f32x4.div(HALF, v); } }
@unmanaged class Rsqrt {
  @inline slope(v: v128): v128 {
    return f32x4.mul(f32x4.mul(f32x4.mul(MINUS_HALF, v), v), v);
  }
}
@unmanaged class Reciprocal { @inline slope(v: v128): v128 { return f32x4.neg(f32x4.mul(v, v)); } }
@unmanaged class Tanh { @inline slope(v: v128): v128 { return f32x4.sub(ONE, f32x4.mul(v, v)); } }
@unmanaged class Square { @inline slope(v: v128): v128 { return f32x4.add(v, v); } }
@unmanaged class Abs {
  @inline slope(v: v128): v128 {
    const isSigned = f32x4.gt(f32x4.abs(v), f32x4.splat(0)); // not 0 nor NaN, which stay
    return v128.bitselect(v128.or(v128.and(v, SIGN), ONE), v, isSigned);
  }
}
@unmanaged class Sigmoid {
  @inline slope(v: v128): v128 {
    return f32x4.mul(v, f32x4.sub(ONE, v));
  }
}
@unmanaged class Gelu { @inline slope(v: v128): v128 { return geluGrad(v); } }
@unmanaged class Relu {
  @inline slope(v: v128): v128 {
    return v128.bitselect(ONE, v, f32x4.gt(v, f32x4.splat(0))); // 0 and NaN stay
  }
}
@unmanaged class GeluTanh { @inline slope(v: v128): v128 { return geluTanhGrad(v); } }
@unmanaged class Silu { @inline slope(v: v128): v128 { return siluGrad(v); } }
@unmanaged class Sin { @inline slope(v: v128): v128 { return cos(v); } }
@unmanaged class Cos { @inline slope(v: v128): v128 { return f32x4.neg(sin(v)); } }
