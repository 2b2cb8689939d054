// y = x as another dtype.
// A task makes GRAIN elements.
// Numerics: floats become integers by dropping the fraction, saturate at the ends of the range, and
// NaN becomes 0; integers become the nearest f32; i32 and u32 keep their bits. Decoding f16 and
// bf16 is exact.
import { BF16, decode4, decodePartial, F16 } from "./lib/decode";
import { copyWords } from "./lib/index";
import { loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 16384;

@unmanaged export class Cast {
  n: u32;
  FROM: u32; TO: u32; // 0: f32, 1: i32, 2: u32, 3: f16, 4: bf16
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
  if (p.FROM == 3) return decode(F16, p.x + (first << 1), y, n);
  if (p.FROM == 4) return decode(BF16, p.x + (first << 1), y, n);
  const x = p.x + (first << 2);
  if (p.FROM == 0 && p.TO == 2) return run(1, x, y, n);
  if (p.FROM == 0 && p.TO == 1) return run(0, x, y, n);
  if (p.FROM == 1 && p.TO == 0) return run(2, x, y, n);
  if (p.FROM == 2 && p.TO == 0) return run(3, x, y, n);
  copyWords(y, x, n);
}

@inline function convert(kind: u32, v: v128): v128 {
  if (kind == 0) return i32x4.trunc_sat_f32x4_s(v);
  if (kind == 1) return i32x4.trunc_sat_f32x4_u(v);
  if (kind == 2) return f32x4.convert_i32x4_s(v);
  return f32x4.convert_i32x4_u(v);
}

@inline function run(kind: u32, x: usize, y: usize, n: u32): void {
  for (; n >= 8; n -= 8) {
    const a = convert(kind, v128.load(x));
    const b = convert(kind, v128.load(x, 16));
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, convert(kind, v128.load(x)));
    x += 16;
    y += 16;
    n -= 4;
  }
  if (n > 0) storePart(y, convert(kind, loadPart(x, n, i32x4.splat(0))), n);
}

@inline function decode(format: u32, x: usize, y: usize, n: u32): void {
  for (; n >= 8; n -= 8) {
    const a = decode4(x, format);
    const b = decode4(x + 8, format);
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 16;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, decode4(x, format));
    x += 8;
    y += 16;
    n -= 4;
  }
  if (n > 0) storePart(y, decodePartial(x, format, n), n);
}
