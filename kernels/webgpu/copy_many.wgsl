// Up to seven tensors one behind the other: y[yfrom + i] = x<q>[i - start of x<q>] for i < n, x0 up to end0, x1 up to end1, and so on.
// 32-bit words. A workgroup of 64 threads copies 256 words, four a thread.
// Numerics: bits are kept.
struct Params {
  n: u32, yfrom: u32,
  end0: u32, end1: u32, end2: u32, end3: u32, end4: u32, end5: u32, end6: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<u32>;
@group(0) @binding(2) var<storage, read> x1: array<u32>;
@group(0) @binding(3) var<storage, read> x2: array<u32>;
@group(0) @binding(4) var<storage, read> x3: array<u32>;
@group(0) @binding(5) var<storage, read> x4: array<u32>;
@group(0) @binding(6) var<storage, read> x5: array<u32>;
@group(0) @binding(7) var<storage, read> x6: array<u32>;
@group(0) @binding(8) var<storage, read_write> y: array<u32>;

fn word(i: u32) -> u32 {
  if (i < p.end0) { return x0[i]; }
  if (i < p.end1) { return x1[i - p.end0]; }
  if (i < p.end2) { return x2[i - p.end1]; }
  if (i < p.end3) { return x3[i - p.end2]; }
  if (i < p.end4) { return x4[i - p.end3]; }
  if (i < p.end5) { return x5[i - p.end4]; }
  return x6[i - p.end5];
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = base + k * 64u;
    if (i < p.n) { y[p.yfrom + i] = word(i); }
  }
}
