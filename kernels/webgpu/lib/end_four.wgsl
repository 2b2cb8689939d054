// What matmul_end.wgsl does to the elements of a product four at a time, behind lib/matmul_four.wgsl and lib/dropout.wgsl.
fn value_gelu(v: Value) -> Value { return vec4f(gelu(v.x), gelu(v.y), gelu(v.z), gelu(v.w)); }

fn slope(v: f32) -> f32 { return select(gelu_derivative(v), v, is_nan(v)); }

// GELU'(v); NaN for NaN
fn value_slope(v: Value) -> Value { return vec4f(slope(v.x), slope(v.y), slope(v.z), slope(v.w)); }

// v, rescaled, where it stays, else 0; n: the number of its first element, a multiple of four
fn dropped(v: Value, n: u32) -> Value {
  let uniforms = uniform01_four(dropout_block(n / 4u));
  return select(vec4f(), v * p.rescale, uniforms < vec4f(p.keep));
}
