// y = f(x), elementwise, f chosen by OP.
// A task makes GRAIN elements.
// Numerics: NaN passes through every f. log(x) = log(max(x, 1.2e-38)); gelu uses erf, geluTanh is its
// tanh approximation; lib/math has the errors.
import {
  UNARY_ABS, UNARY_COS, UNARY_EXP, UNARY_GELU_TANH, UNARY_LOG, UNARY_NEG, UNARY_RECIPROCAL, UNARY_RELU,
  UNARY_RSQRT, UNARY_SIGMOID, UNARY_SILU, UNARY_SIN, UNARY_SQRT, UNARY_SQUARE, UNARY_TANH,
} from "./lib/codes";
import { cos, exp, gelu, geluTanh, log, sigmoid, silu, sin, tanh } from "./lib/math";
import { constant, loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 8192;
const ONE = constant(1);
const ZERO = constant(0);

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
    case UNARY_NEG: return run<Neg>(x, y, n);
    case UNARY_EXP: return run<Exp>(x, y, n);
    case UNARY_LOG: return run<Log>(x, y, n);
    case UNARY_SQRT: return run<Sqrt>(x, y, n);
    case UNARY_RSQRT: return run<Rsqrt>(x, y, n);
    case UNARY_RECIPROCAL: return run<Reciprocal>(x, y, n);
    case UNARY_TANH: return run<Tanh>(x, y, n);
    case UNARY_SQUARE: return run<Square>(x, y, n);
    case UNARY_ABS: return run<Abs>(x, y, n);
    case UNARY_SIGMOID: return run<Sigmoid>(x, y, n);
    case UNARY_RELU: return run<Relu>(x, y, n);
    case UNARY_GELU_TANH: return run<GeluTanh>(x, y, n);
    case UNARY_SILU: return run<Silu>(x, y, n);
    case UNARY_SIN: return run<Sin>(x, y, n);
    case UNARY_COS: return run<Cos>(x, y, n);
    default: return run<Gelu>(x, y, n);
  }
}

// F is one of the classes below: a loop of its own for each, without a choice inside.
function run<F>(x: usize, y: usize, n: u32): void {
  const op = changetype<F>(<usize>0);
  for (; n >= 8; n -= 8) {
    const a = op.f(v128.load(x));
    const b = op.f(v128.load(x, 16));
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, op.f(v128.load(x)));
    x += 16;
    y += 16;
    n -= 4;
  }
  if (n > 0) storePart(y, op.f(loadPart(x, n, ONE)), n);
}

@unmanaged class Neg { @inline f(v: v128): v128 { return f32x4.neg(v); } }
@unmanaged class Exp { @inline f(v: v128): v128 { return exp(v); } }
@unmanaged class Log { @inline f(v: v128): v128 { return log(v); } }
@unmanaged class Sqrt { @inline f(v: v128): v128 { return f32x4.sqrt(v); } }
@unmanaged class Rsqrt { @inline f(v: v128): v128 { return f32x4.div(ONE, f32x4.sqrt(v)); } }
@unmanaged class Reciprocal { @inline f(v: v128): v128 { return f32x4.div(ONE, v); } }
@unmanaged class Tanh { @inline f(v: v128): v128 { return tanh(v); } }
@unmanaged class Square { @inline f(v: v128): v128 { return f32x4.mul(v, v); } }
@unmanaged class Abs { @inline f(v: v128): v128 { return f32x4.abs(v); } }
@unmanaged class Sigmoid { @inline f(v: v128): v128 { return sigmoid(v); } }
@unmanaged class Gelu { @inline f(v: v128): v128 { return gelu(v); } }
@unmanaged class Relu { @inline f(v: v128): v128 { return f32x4.pmax(v, ZERO); } } // NaN stays
@unmanaged class GeluTanh { @inline f(v: v128): v128 { return geluTanh(v); } }
@unmanaged class Silu { @inline f(v: v128): v128 { return silu(v); } }
@unmanaged class Sin { @inline f(v: v128): v128 { return sin(v); } }
@unmanaged class Cos { @inline f(v: v128): v128 { return cos(v); } }
