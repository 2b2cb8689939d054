// Dropout inside other kernels: of what falls out, number n stays where uniform < keep. Its word
// is word n % 4 of Philox with key (seed low, op index) and counter (n / 4, step, micro-step, seed
// high), as in dropout.ts.
import { philox4, uniform01 } from "./philox";
import { loadPart, storePart } from "./simd";

// Numbers that are drawn at a time, and bytes of room for a draw.
export const DRAWN: u32 = 256;
const ROOM: usize = (DRAWN + 32) << 2;

// Masks of the numbers first .. first + n - 1, n <= DRAWN: all ones where a number stays. Returns
// where they begin; writes ROOM bytes at most.
export function draw(to: usize, rng: usize, op: u32, keep: f32, first: u32, n: u32): usize {
  const step = v128.load32_splat(rng, 8);
  const micro = v128.load32_splat(rng, 12);
  const high = v128.load32_splat(rng, 4);
  const low = v128.load32_splat(rng);
  const index = i32x4.splat(op);
  const bound = f32x4.splat(keep);
  const skipped = <usize>(first & 3) << 2;
  let t = i32x4.add(i32x4.splat(first >> 2), i32x4(0, 1, 2, 3));
  for (let at = to, end = to + skipped + (<usize>n << 2); at < end; at += 64) {
    philox4(at, t, step, micro, high, low, index);
    for (let b: usize = 0; b < 64; b += 16) {
      v128.store(at + b, f32x4.lt(uniform01(v128.load(at + b)), bound));
    }
    t = i32x4.add(t, i32x4.splat(4));
  }
  return to + skipped;
}

// m[j, lane] = the mask of number first + lane * row + j for n keys. Room for four draws behind m.
export function draw4(
  m: usize, rng: usize, op: u32, keep: f32, first: u32, row: u32, n: u32,
): void {
  const room = m + (<usize>n << 4);
  for (let j: u32 = 0; j < n; j += DRAWN) {
    const count = min(DRAWN, n - j);
    const r0 = draw(room, rng, op, keep, first + j, count);
    const r1 = draw(room + ROOM, rng, op, keep, first + row + j, count);
    const r2 = draw(room + 2 * ROOM, rng, op, keep, first + 2 * row + j, count);
    const r3 = draw(room + 3 * ROOM, rng, op, keep, first + 3 * row + j, count);
    for (let at: usize = 0, end = <usize>count << 2; at < end; at += 4) {
      let v = v128.load32_zero(r0 + at);
      v = v128.load_lane<u32>(r1 + at, v, 1);
      v = v128.load_lane<u32>(r2 + at, v, 2);
      v128.store(m, v128.load_lane<u32>(r3 + at, v, 3));
      m += 16;
    }
  }
}

// x, rescaled, where it stays, else 0.
@inline export function dropped(x: v128, mask: v128, rescale: f32): v128 {
  return v128.and(f32x4.mul(x, f32x4.splat(rescale)), mask);
}

// The same for s[n, 4].
export function drop4(s: usize, m: usize, rescale: f32, n: u32): void {
  for (let at: usize = 0, size = <usize>n << 4; at < size; at += 16) {
    v128.store(s + at, dropped(v128.load(s + at), v128.load(m + at), rescale));
  }
}

// y = dropped(x) for the numbers first .. first + n - 1; draws into `room`.
export function dropRow(
  y: usize, x: usize, rng: usize, op: u32, keep: f32, rescale: f32, first: u32, n: u32, room: usize,
): void {
  for (let j: u32 = 0; j < n; j += DRAWN) {
    const count = min(DRAWN, n - j);
    let m = draw(room, rng, op, keep, first + j, count);
    for (const end = m + ((count & ~3) << 2); m < end; m += 16) {
      v128.store(y, dropped(v128.load(x), v128.load(m), rescale));
      x += 16;
      y += 16;
    }
    const part = count & 3;
    if (part) {
      const v = loadPart(x, part, f32x4.splat(0));
      storePart(y, dropped(v, v128.load(m), rescale), part);
    }
  }
}
