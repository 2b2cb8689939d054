// Four lanes of f32: what every kernel needs and no instruction gives.

/** Nothing is ever written at address 0; compilers do not know that. */
const ZERO: u32 = i32x4.extract_lane(v128.load_zero<u32>(0), 0);

/**
 * The value of a global that is to hold x in four lanes: `const PI = constant(3.14)`. Compilers do
 * not see that it is constant. V8 builds a constant that it sees out of immediates at every use,
 * three instructions for one load: an exponential then takes 2.5 times as long.
 */
export function constant(x: f32): v128 {
  return v128.xor(f32x4.splat(x), i32x4.splat(ZERO));
}

/** As `constant`, of a word. */
export function constantWord(x: u32): v128 {
  return v128.xor(i32x4.splat(x), i32x4.splat(ZERO));
}

/** a * b + c, rounded once where the build may fuse (relaxed SIMD), twice in the plain one. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a * b, rounded as in madd. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** (v0 + v1) + (v2 + v3) */
// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 1) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/** The larger of a and x, NaN if either is: in three instructions, f32x4.max takes eight on x86. */
// @ts-ignore: decorator
@inline
export function maxNaN(a: v128, x: v128): v128 {
  // pmax keeps the NaN of a, and all ones are a NaN
  return v128.or(f32x4.pmax(a, x), f32x4.ne(x, x));
}

/** The largest of four; NaN if one is. */
// @ts-ignore: decorator
@inline
export function max4(v: v128): f32 {
  const two = maxNaN(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(maxNaN(two, v128.shuffle<f32>(two, two, 1, 0, 3, 2)), 0);
}

/** The first n of four words, 0 < n < 4, and the lanes of `rest` behind; reads nothing else. */
// @ts-ignore: decorator
@inline
export function loadPart(from: usize, n: u32, rest: v128): v128 {
  let v = v128.load_lane<f32>(from, rest, 0, 0);
  if (n > 1) v = v128.load_lane<f32>(from, v, 1, 4);
  if (n > 2) v = v128.load_lane<f32>(from, v, 2, 8);
  return v;
}

/** Writes the first n of four lanes, 0 < n < 4, and nothing else. */
// @ts-ignore: decorator
@inline
export function storePart(to: usize, v: v128, n: u32): void {
  v128.store_lane<f32>(to, v, 0, 0);
  if (n > 1) v128.store_lane<f32>(to, v, 1, 4);
  if (n > 2) v128.store_lane<f32>(to, v, 2, 8);
}
