// adamw.wgsl of two parameters of n0 and n1 elements in one launch; the first workgroups have the first.
// Four elements a thread, 64 threads a workgroup.
// Numerics: as there.
// Needs: n0 % 4 == 0, n1 % 4 == 0.
struct Params {
  n0: u32, n1: u32, beta1: f32, beta2: f32, eps: f32, weightDecay0: f32, weightDecay1: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad0: array<Value>;
@group(0) @binding(2) var<storage, read> grad1: array<Value>;
@group(0) @binding(3) var<storage, read_write> param0: array<Value>;
@group(0) @binding(4) var<storage, read_write> m0: array<Value>;
@group(0) @binding(5) var<storage, read_write> v0: array<Value>;
@group(0) @binding(6) var<storage, read_write> param1: array<Value>;
@group(0) @binding(7) var<storage, read_write> m1: array<Value>;
@group(0) @binding(8) var<storage, read_write> v1: array<Value>;
@group(0) @binding(9) var<uniform> update: array<vec4f, 3>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = wg.x + wg.y * nwg.x;
  if (update[0].y == 0f) { return; }
  let first = (p.n0 / WIDTH + 63u) / 64u;
  if (group < first) {
    let i = group * 64u + lane;
    if (i >= p.n0 / WIDTH) { return; }
    let next = moved(Moved(param0[i], m0[i], v0[i]), grad0[i], rates(p.weightDecay0));
    m0[i] = next.m;
    v0[i] = next.v;
    param0[i] = next.param;
    return;
  }
  let i = (group - first) * 64u + lane;
  if (i >= p.n1 / WIDTH) { return; }
  let next = moved(Moved(param1[i], m1[i], v1[i]), grad1[i], rates(p.weightDecay1));
  m1[i] = next.m;
  v1[i] = next.v;
  param1[i] = next.param;
}

fn rates(decay: f32) -> Rates {
  return Rates(update[0].x, update[1].x, update[1].y, update[1].z, decay);
}
