// y = f(x), elementwise, f chosen by OP.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: NaN passes through every f (found by its bits). log(x) = log(max(x, 1.2e-38)); gelu uses
// erf, geluTanh is its tanh approximation; sigmoid's exponent is clamped where the result is 0.
override OP: u32 = 0u;

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = base + k * 64u;
    if (i < p.n) {
      let v = x[i];
      y[i] = select(f(v), v, is_nan(v));
    }
  }
}

fn f(v: f32) -> f32 {
  if (OP == UNARY_NEG) { return -v; }
  if (OP == UNARY_EXP) { return exp(v); }
  if (OP == UNARY_LOG) { return log(max(v, 1.17549435e-38)); }
  if (OP == UNARY_SQRT) { return sqrt(v); }
  if (OP == UNARY_RSQRT) { return inverseSqrt(v); }
  if (OP == UNARY_RECIPROCAL) { return 1.0 / v; }
  if (OP == UNARY_TANH) { return tanh_exact(v); }
  if (OP == UNARY_SQUARE) { return v * v; }
  if (OP == UNARY_ABS) { return abs(v); }
  if (OP == UNARY_SIGMOID) { return 1.0 / (1.0 + exp(min(-v, 88.0))); }
  if (OP == UNARY_RELU) { return max(v, 0.0); }
  if (OP == UNARY_GELU_TANH) { return gelu_tanh(v); }
  if (OP == UNARY_SILU) { return silu(v); }
  if (OP == UNARY_SIN) { return wave(v, 0u); }
  if (OP == UNARY_COS) { return wave(v, 1u); }
  return gelu(v);
}
