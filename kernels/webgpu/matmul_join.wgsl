// C[m, n] = epilogue(alpha * sum over z of parts[z, m, n]): the end of a product whose K was split into `chunks` parts, or of a
// sum of products. The epilogue, in this order: ACCUMULATE adds what C holds, BIAS; ACTIVATION: GELU, its input kept in `pre`;
// DROPOUT; SLOPE: times GELU'(r); RESIDUAL.
// One thread owns an element of C, 64 a workgroup.
// Numerics: f32, see lib/parts.wgsl; a NaN in r gives NaN. Dropout draws what dropout.wgsl draws.
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;
override DROPOUT: u32 = 0u;
override SLOPE: u32 = 0u;
override RESIDUAL: u32 = 0u;
override ACCUMULATE: u32 = 0u;

struct Params {
  M: u32, N: u32, ldc: u32, cOffset: u32, chunks: u32, alpha: f32, op: u32, keep: f32, rescale: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<Value>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read> r: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> pre: array<f32>;
@group(0) @binding(7) var<uniform> rng: vec4u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i >= p.M * p.N) { return; }
  let m = i / p.N;
  let n = i - m * p.N;
  let at = p.cOffset + m * p.ldc + n;
  var y = p.alpha * joined(0u, p.chunks, i, p.M * p.N);
  if (ACCUMULATE == 1u) { y += c[at]; }
  if (BIAS == 1u) { y += bias[n]; }
  if (ACTIVATION == 1u) {
    pre[at] = y;
    y = gelu(y);
  }
  if (DROPOUT == 1u) { y = select(0f, y * p.rescale, stays(i)); }
  if (SLOPE == 1u) {
    let v = r[at];
    y *= select(gelu_derivative(v), v, is_nan(v));
  }
  if (RESIDUAL == 1u) { y += residual[at]; }
  c[at] = y;
}
