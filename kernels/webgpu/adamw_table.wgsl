// adamw.wgsl for a table of `n` elements, rows of `dim`, whose gradient is zero but for the rows that `grad` has: places[row] is one more
// than the number of that of a row, 0 where it has none. HALF: the table's copy in f16 too, as adamw_half.wgsl writes it.
// One Value a thread, 64 a workgroup.
// Numerics: as in those two.
// Needs: with HALF, dim % 4 == 0 and n % 8 == 0.
override HALF: u32 = 0u;

struct Params { n: u32, dim: u32, beta1: f32, beta2: f32, eps: f32, weightDecay: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<Value>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read> update: array<f32>;
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
  if (i >= p.n / WIDTH || update[1] == 0f) { return; }
  let columns = p.dim / WIDTH;
  let row = i / columns;
  let place = places[row];
  var g = Value();
  if (place > 0u) { g = grad[(place - 1u) * columns + i - row * columns]; }
  let rates = Rates(update[0], update[4], update[5], update[6], p.weightDecay);
  let next = moved(Moved(param[i], m[i], v[i]), g, rates);
  m[i] = next.m;
  v[i] = next.v;
  param[i] = next.param;
  if (HALF == 1u) { half[i] = packed(vec4f(next.param)); }
}
