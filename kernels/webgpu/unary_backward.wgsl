// dx = dy * f'(x), elementwise. r is what f' is cheapest in: y for exp, sqrt, rsqrt, reciprocal,
// tanh, sigmoid and relu, else x.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: abs'(0) = 0 and relu'(0) = 0; log'(x) = 0 below 1.2e-38, as log is constant there.
override OP: u32 = 0u;

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> r: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

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
      let v = r[i];
      dx[i] = dy[i] * select(slope(v), v, is_nan(v));
    }
  }
}

fn slope(v: f32) -> f32 {
  if (OP == UNARY_EXP) { return v; }
  if (OP == UNARY_LOG) { return select(0.0, 1.0 / v, v >= 1.17549435e-38); }
  if (OP == UNARY_SQRT) { return 0.5 / v; }
  if (OP == UNARY_RSQRT) { return -0.5 * v * v * v; }
  if (OP == UNARY_RECIPROCAL) { return -v * v; }
  if (OP == UNARY_TANH) { return 1.0 - v * v; }
  if (OP == UNARY_SQUARE) { return 2.0 * v; }
  if (OP == UNARY_ABS) { return sign(v); }
  if (OP == UNARY_SIGMOID) { return v * (1.0 - v); }
  if (OP == UNARY_RELU) { return select(0.0, 1.0, v > 0.0); }
  if (OP == UNARY_GELU_TANH) { return gelu_tanh_derivative(v); }
  if (OP == UNARY_SILU) { return silu_derivative(v); }
  if (OP == UNARY_SIN) { return wave(v, 1u); }
  if (OP == UNARY_COS) { return -wave(v, 0u); }
  return gelu_derivative(v);
}
