// y[i] = the 32-bit word `bits`.
// A workgroup of 64 threads fills 256 words, four a thread.
// Numerics: bits are kept, so any dtype may be filled.
struct Params { n: u32, bits: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = base + k * 64u;
    if (i < p.n) { y[i] = p.bits; }
  }
}
