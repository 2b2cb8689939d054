// What kernels call a Value when rows have any length: one element. See lib/value4.wgsl.
alias Value = f32;
const WIDTH: u32 = 1u;

fn value_sum(v: Value) -> f32 { return v; }
fn value_max(v: Value) -> f32 { return v; }
fn value_max_nan(a: Value, b: Value) -> Value {
  if ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u) { return a; }
  if ((bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u) { return b; }
  return max(a, b);
}
fn value_uniform(words: vec4u, n: u32) -> Value {
  let two = select(words.xy, words.zw, (n & 2u) != 0u);
  return f32(select(two.x, two.y, (n & 1u) != 0u) >> 8u) * 5.9604644775390625e-8;
}
fn value_at(v: Value, n: u32) -> f32 { return v; }
fn value_spike(height: f32, n: u32) -> Value { return select(0f, height, n == 0u); }
fn value_bad(v: Value) -> Value {
  return select(0f, 1f, (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f800000u);
}
fn value_nan(v: Value) -> Value {
  return select(0f, 1f, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u);
}
