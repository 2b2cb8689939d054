// adamw.wgsl for a matrix that products read in f16: param's copy in `half` too. Where nothing is written, neither is that.
// Four elements a thread, 64 threads a workgroup.
// Numerics: f32 as there; the copy is rounded to the nearest.
// Needs: n % 8 == 0.
struct Params { n: u32, beta1: f32, beta2: f32, eps: f32, weightDecay: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<Value>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> param: array<Value>;
@group(0) @binding(5) var<storage, read_write> m: array<Value>;
@group(0) @binding(6) var<storage, read_write> v: array<Value>;
@group(0) @binding(7) var<storage, read_write> half: array<vec2u>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i >= p.n / WIDTH || control[1] == 0f) { return; }
  let next = updated(i, grad[i]);
  param[i] = next;
  half[i] = packed(next);
}
