// half = x in f16, two to a word.
// Four elements a thread, 64 threads a workgroup.
// Numerics: rounded to the nearest; 65520 and more become infinity.
// Needs: n % 8 == 0.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> half: array<vec2u>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i < p.n / 4u) { half[i] = packed(x[i]); }
}
