// dx[i] = dy[i] * gelu'(pre[i]), gelu'(x) = Phi(x) + x * phi(x)
// One thread an element, 64 a workgroup.
// Numerics: see lib/gelu.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pre: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i < p.n) { dx[i] = dy[i] * gelu_derivative(pre[i]); }
}
