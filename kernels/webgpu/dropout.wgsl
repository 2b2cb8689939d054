// y = x / (1 - p) where uniform < 1 - p, else 0. The uniforms of elements 4t .. 4t + 3 are the four
// words of Philox with key (seed low, op index) and counter (t, step, micro-step, seed high), so
// backward draws the same ones: it is this kernel on dy.
// One thread makes four elements, 64 threads a workgroup.
// Numerics: uniforms are multiples of 2^-24.
struct Params { n: u32, op: u32, keep: f32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> rng: vec4u;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let t = (wg.x + wg.y * nwg.x) * 64u + lane;
  let bits = philox(vec4u(t, rng.z, rng.w, rng.y), vec2u(rng.x, p.op));
  for (var k = 0u; k < 4u; k++) {
    let i = 4u * t + k;
    if (i < p.n) { y[i] = select(0.0, x[i] * p.scale, uniform01(bits[k]) < p.keep); }
  }
}
