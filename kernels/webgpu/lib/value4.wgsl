// What kernels call a Value when rows are a multiple of four long: four neighbouring elements, loaded and stored at once. A software
// adapter pays for each load, however wide; on hardware it is one transaction.
alias Value = vec4f;
const WIDTH: u32 = 4u;

// over its elements
fn value_sum(v: Value) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn value_max(v: Value) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
// the larger elements; NaN where either is (the built-in may drop it)
fn value_max_nan(a: Value, b: Value) -> Value {
  let a_nan = (bitcast<vec4u>(a) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  let b_nan = (bitcast<vec4u>(b) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  return select(select(max(a, b), b, b_nan), a, a_nan);
}
// uniforms in [0, 1) from the words of a block of Philox, as uniform01 of lib/philox.wgsl; n: the number of the first element
fn value_uniform(words: vec4u, n: u32) -> Value { return vec4f(words >> vec4u(8u)) * 5.9604644775390625e-8; }
// element n
fn value_at(v: Value, n: u32) -> f32 { return v[n]; }
// `height` at element n, zero elsewhere (everywhere for n >= WIDTH)
fn value_spike(height: f32, n: u32) -> Value {
  return select(vec4f(), vec4f(height), vec4u(n) == vec4u(0u, 1u, 2u, 3u));
}
// 1 where an element is infinite or NaN, by its bits (compilers fold x != x away)
fn value_bad(v: Value) -> Value {
  return select(vec4f(), vec4f(1f), (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) >= vec4u(0x7f800000u));
}
// 1 where an element is NaN
fn value_nan(v: Value) -> Value {
  return select(vec4f(), vec4f(1f), (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u));
}
