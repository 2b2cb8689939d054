// AdamW with decoupled decay, in place:
//   g = grad * clip; m += (1 - beta1)(g - m); v += (1 - beta2)(g^2 - v)
//   param -= lr * decay * param; param -= lr * (m * c1) / (sqrt(v * c2) + eps)
// scalars = [lr, c1 = 1 / (1 - beta1^t), c2 = 1 / (1 - beta2^t), ...], control = [clip, ok, ...]: ok == 0 writes nothing.
// One Value a thread, 64 a workgroup.
// Numerics: f32 throughout; eps is added outside the root, after the bias correction.
struct Params { n: u32, beta1: f32, beta2: f32, eps: f32, weightDecay: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<Value>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> param: array<Value>;
@group(0) @binding(5) var<storage, read_write> m: array<Value>;
@group(0) @binding(6) var<storage, read_write> v: array<Value>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i >= p.n / WIDTH || control[1] == 0f) { return; }
  param[i] = updated(i, grad[i]);
}
