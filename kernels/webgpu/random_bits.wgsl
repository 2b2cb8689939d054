// y[r] = Philox4x32-10 of counter[r] and key[r]: four words for each of n rows.
// One thread a row, 64 a workgroup.
// Numerics: integers only.
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> counter: array<u32>;
@group(0) @binding(2) var<storage, read> key: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (r >= p.n) { return; }
  let c = vec4u(counter[4u * r], counter[4u * r + 1u], counter[4u * r + 2u], counter[4u * r + 3u]);
  let bits = philox(c, vec2u(key[2u * r], key[2u * r + 1u]));
  for (var k = 0u; k < 4u; k++) {
    y[4u * r + k] = bits[k];
  }
}
