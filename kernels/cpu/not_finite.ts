// The place of the first of n values at `at` that is NaN or infinite, whose exponent is all ones; -1 where all are finite. Values are
// of 4 bytes, or of 2 with the exponent `ones`, which is given for both.
export function not_finite(at: usize, n: u32, bytes: u32, ones: u32): i32 {
  const wide = bytes == 4;
  const mask = wide ? i32x4.splat(<i32>ones) : i16x8.splat(<i16>ones);
  const end = at + <usize>n * bytes;
  let p = at;
  for (; end - p >= 64; p += 64) {
    const a = v128.and(v128.load(p), mask);
    const b = v128.and(v128.load(p, 16), mask);
    const c = v128.and(v128.load(p, 32), mask);
    const d = v128.and(v128.load(p, 48), mask);
    const found = wide
      ? v128.or(v128.or(i32x4.eq(a, mask), i32x4.eq(b, mask)), v128.or(i32x4.eq(c, mask), i32x4.eq(d, mask)))
      : v128.or(v128.or(i16x8.eq(a, mask), i16x8.eq(b, mask)), v128.or(i16x8.eq(c, mask), i16x8.eq(d, mask)));
    if (v128.any_true(found)) break;
  }
  for (; p != end; p += bytes) {
    const value = wide ? load<u32>(p) : <u32>load<u16>(p);
    if ((value & ones) == ones) return <i32>((p - at) / bytes);
  }
  return -1;
}
