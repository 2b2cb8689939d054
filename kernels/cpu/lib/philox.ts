// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011):
// 128 random bits from a 128-bit counter and a 64-bit key, by ten rounds of two 32 x 32 -> 64 bit
// products. Four generators run side by side, one a lane.
// Numerics: integers only.
import { constant, constantWord } from "./simd";

const M0 = constantWord(0xd2511f53);
const M1 = constantWord(0xcd9e8d57);
const W0 = constantWord(0x9e3779b9);
const W1 = constantWord(0xbb67ae85);
const STEP = constant(5.9604644775390625e-8); // 2^-24

// to[4 l .. 4 l + 3] = the four words of generator l, whose counter is lane l of c0..c3 and whose key
// is lane l of k0, k1. Writes 64 bytes.
@inline export function philox4(
  to: usize, c0: v128, c1: v128, c2: v128, c3: v128, k0: v128, k1: v128,
): void {
  for (let round = 0; round < 10; round++) {
    // lane products, in pairs (low word, high word)
    const u01 = i64x2.extmul_low_i32x4_u(c0, M0);
    const u23 = i64x2.extmul_high_i32x4_u(c0, M0);
    const v01 = i64x2.extmul_low_i32x4_u(c2, M1);
    const v23 = i64x2.extmul_high_i32x4_u(c2, M1);
    c0 = v128.xor(v128.xor(highWords(v01, v23), c1), k0);
    c2 = v128.xor(v128.xor(highWords(u01, u23), c3), k1);
    c1 = lowWords(v01, v23);
    c3 = lowWords(u01, u23);
    k0 = i32x4.add(k0, W0);
    k1 = i32x4.add(k1, W1);
  }
  const a = i32x4.shuffle(c0, c1, 0, 4, 1, 5); // words 0 and 1 of generators 0 and 1
  const b = i32x4.shuffle(c2, c3, 0, 4, 1, 5);
  const c = i32x4.shuffle(c0, c1, 2, 6, 3, 7);
  const d = i32x4.shuffle(c2, c3, 2, 6, 3, 7);
  v128.store(to, i64x2.shuffle(a, b, 0, 2));
  v128.store(to, i64x2.shuffle(a, b, 1, 3), 16);
  v128.store(to, i64x2.shuffle(c, d, 0, 2), 32);
  v128.store(to, i64x2.shuffle(c, d, 1, 3), 48);
}

@inline function lowWords(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 0, 2, 4, 6);
}

@inline function highWords(a: v128, b: v128): v128 {
  return i32x4.shuffle(a, b, 1, 3, 5, 7);
}

// Uniform in [0, 1), multiples of 2^-24.
@inline export function uniform01(bits: v128): v128 {
  const top = f32x4.convert_i32x4_s(i32x4.shr_u(bits, 8));
  return f32x4.mul(top, STEP);
}
