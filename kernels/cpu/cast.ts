// y = x as another dtype.
// A task makes GRAIN elements.
// Numerics: floats become integers by dropping the fraction, saturate at the ends of the range, and
// NaN becomes 0; integers become the nearest f32; i32 and u32 keep their bits. Decoding f16 and
// bf16 is exact.
import {
  DTYPE_BF16, DTYPE_F16, TYPE_BF16, TYPE_F16, TYPE_F32, TYPE_I32, TYPE_U32,
} from "./lib/codes";
import { decodeHalves } from "./lib/decode";
import { copyWords } from "./lib/index";
import { loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 16384;

@unmanaged export class Cast {
  n: u32;
  FROM: u32; TO: u32;
  x: usize;
  y: usize;
}

export function cast_tasks(p: Cast): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function cast(p: Cast, task: u32, scratch: usize): void {
  const first = task * GRAIN;
  const n = min(GRAIN, p.n - first);
  const y = p.y + (first << 2);
  if (p.FROM == TYPE_F16) return decodeHalves(y, p.x + (first << 1), DTYPE_F16, n);
  if (p.FROM == TYPE_BF16) return decodeHalves(y, p.x + (first << 1), DTYPE_BF16, n);
  const x = p.x + (first << 2);
  if (p.FROM == TYPE_F32 && p.TO == TYPE_U32) return run<ToUnsigned>(x, y, n);
  if (p.FROM == TYPE_F32 && p.TO == TYPE_I32) return run<ToSigned>(x, y, n);
  if (p.FROM == TYPE_I32 && p.TO == TYPE_F32) return run<FromSigned>(x, y, n);
  if (p.FROM == TYPE_U32 && p.TO == TYPE_F32) return run<FromUnsigned>(x, y, n);
  copyWords(y, x, n);
}

@unmanaged class ToSigned {
  @inline f(v: v128): v128 { return i32x4.trunc_sat_f32x4_s(v); }
}
@unmanaged class ToUnsigned {
  @inline f(v: v128): v128 { return i32x4.trunc_sat_f32x4_u(v); }
}
@unmanaged class FromSigned {
  @inline f(v: v128): v128 { return f32x4.convert_i32x4_s(v); }
}
@unmanaged class FromUnsigned {
  @inline f(v: v128): v128 { return f32x4.convert_i32x4_u(v); }
}

// F is one of the classes above: a loop of its own for each, without a choice inside.
function run<F>(x: usize, y: usize, n: u32): void {
  const to = changetype<F>(<usize>0);
  for (; n >= 8; n -= 8) {
    const a = to.f(v128.load(x));
    const b = to.f(v128.load(x, 16));
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, to.f(v128.load(x)));
    x += 16;
    y += 16;
    n -= 4;
  }
  if (n > 0) storePart(y, to.f(loadPart(x, n, i32x4.splat(0))), n);
}
