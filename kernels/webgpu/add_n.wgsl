// y = x0 + x1 + ... + x5, the first COUNT of them.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: summed from the first to the last.
override COUNT: u32 = 2u;

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> x2: array<f32>;
@group(0) @binding(4) var<storage, read> x3: array<f32>;
@group(0) @binding(5) var<storage, read> x4: array<f32>;
@group(0) @binding(6) var<storage, read> x5: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

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
      var s = x0[i] + x1[i];
      if (COUNT > 2u) { s += x2[i]; }
      if (COUNT > 3u) { s += x3[i]; }
      if (COUNT > 4u) { s += x4[i]; }
      if (COUNT > 5u) { s += x5[i]; }
      y[i] = s;
    }
  }
}
