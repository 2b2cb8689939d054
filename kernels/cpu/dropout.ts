// y = x / (1 - p) where uniform < 1 - p, else 0. The uniforms of elements 4t .. 4t + 3 are the four
// words of Philox with key (seed low, op index) and counter (t, step, micro-step, seed high), so
// backward draws the same ones: it is this kernel on dy.
// A task makes GRAIN elements, 16 at a time.
// Numerics: uniforms are multiples of 2^-24.
import { philox4, uniform01 } from "./lib/philox";
import { loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 8192;

@unmanaged export class Dropout {
  n: u32; op: u32; keep: f32; scale: f32;
  x: usize;
  y: usize;
  rng: usize; // u32: seed low, seed high, step, micro-step
}

export function dropout_tasks(p: Dropout): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function dropout(p: Dropout, task: u32, scratch: usize): void {
  const step = v128.load32_splat(p.rng, 8);
  const micro = v128.load32_splat(p.rng, 12);
  const high = v128.load32_splat(p.rng, 4);
  const low = v128.load32_splat(p.rng);
  const op = i32x4.splat(p.op);
  const keep = f32x4.splat(p.keep);
  const scale = f32x4.splat(p.scale);
  let first = task * GRAIN;
  const end = min(first + GRAIN, p.n);
  let x = p.x + (first << 2);
  let y = p.y + (first << 2);
  let t = i32x4.add(i32x4.splat(first >> 2), i32x4(0, 1, 2, 3));
  for (; first < end; first += 16) {
    philox4(scratch, t, step, micro, high, low, op);
    t = i32x4.add(t, i32x4.splat(4));
    if (first + 16 <= end) {
      for (let b: usize = 0; b < 64; b += 16) {
        v128.store(y + b, drop(v128.load(x + b), v128.load(scratch + b), keep, scale));
      }
    } else {
      for (let i = first; i < end; i += 4) {
        const b = (i - first) << 2;
        const bits = v128.load(scratch + b);
        const count = end - i;
        if (count >= 4) v128.store(y + b, drop(v128.load(x + b), bits, keep, scale));
        else {
          const v = loadPart(x + b, count, i32x4.splat(0));
          storePart(y + b, drop(v, bits, keep, scale), count);
        }
      }
    }
    x += 64;
    y += 64;
  }
}

@inline function drop(x: v128, bits: v128, keep: v128, scale: v128): v128 {
  return v128.and(f32x4.mul(x, scale), f32x4.lt(uniform01(bits), keep));
}
