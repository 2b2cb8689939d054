// partials[at + c] = (sum of x[i]^2, how many x[i] are not finite) over the elements i of chunk c,
// CHUNK elements each
// A task does CHUNKS chunks. SQUARES == 0 counts only.
// Numerics: what is not finite is left out of the sum.
import { constant, loadPart, madd, sum4 } from "./lib/simd";

@unmanaged export class SquareSums {
  n: u32; rows: u32; at: u32; SQUARES: u32;
  x: usize; partials: usize;
}

const CHUNK: u32 = 2048;
const CHUNKS: u32 = 16;
const INFINITE = constant(Infinity);

export function square_sums_tasks(p: SquareSums): u32 {
  return (p.rows + CHUNKS - 1) / CHUNKS;
}

/** All ones where v is finite. */
// @ts-ignore: decorator
@inline
function finite(v: v128): v128 {
  return f32x4.lt(f32x4.abs(v), INFINITE);
}

export function square_sums(p: SquareSums, task: u32, scratch: usize): void {
  const zero = f32x4.splat(0);
  const last = min<u32>((task + 1) * CHUNKS, p.rows);
  for (let chunk = task * CHUNKS; chunk < last; chunk++) {
    let x = p.x + ((chunk * CHUNK) << 2);
    const count = min<u32>(CHUNK, p.n - chunk * CHUNK);
    let left = count;
    let a = zero;
    let b = zero;
    let good = zero; // minus the number of finite elements, in integers
    for (; left >= 8; left -= 8, x += 32) {
      const v = v128.load(x);
      const w = v128.load(x, 16);
      const u = v128.and(v, finite(v));
      const t = v128.and(w, finite(w));
      good = i32x4.add(good, i32x4.add(finite(v), finite(w)));
      a = madd(u, u, a);
      b = madd(t, t, b);
    }
    for (; left > 0; x += 16) {
      const v = left >= 4 ? v128.load(x) : loadPart(x, left, INFINITE);
      const u = v128.and(v, finite(v));
      good = i32x4.add(good, finite(v));
      a = madd(u, u, a);
      left -= min<u32>(left, 4);
    }
    const finites =
      i32x4.extract_lane(good, 0) +
      i32x4.extract_lane(good, 1) +
      i32x4.extract_lane(good, 2) +
      i32x4.extract_lane(good, 3);
    const to = p.partials + ((p.at + chunk) << 3);
    store<f32>(to, p.SQUARES ? sum4(f32x4.add(a, b)) : 0);
    store<f32>(to, <f32>(<i32>count + finites), 4);
  }
}
