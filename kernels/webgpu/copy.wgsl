// y[yfrom + sum_k at_k t_k] = x[xfrom + sum_k at_k s_k] for each index `at` of a shape of up to
// five axes: permute, expand, slices, and the pieces of a concat. RANK 0 copies n words in a row.
// A workgroup of 64 threads copies 256 elements, four a thread.
// Numerics: 32-bit words are copied as they are, so any dtype of four bytes will do.
override RANK: u32 = 0u;
// 1: the last axis is a multiple of 4, so that a thread takes neighbours and divides once for all four.
override QUAD: u32 = 0u;

struct Params {
  n: u32, d1: u32, d2: u32, d3: u32, d4: u32,
  xfrom: u32, s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
  yfrom: u32, t0: u32, t1: u32, t2: u32, t3: u32, t4: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u;
  var first = Index5(0u, vec4u(0u));
  if (QUAD == 1u) { first = unravel(base + lane * 4u, vec4u(p.d1, p.d2, p.d3, p.d4), RANK); }
  for (var k = 0u; k < 4u; k++) {
    let i = base + select(lane + k * 64u, lane * 4u + k, QUAD == 1u);
    if (i < p.n) {
      var source = i;
      var into = i;
      if (RANK > 0u) {
        var at = first;
        if (QUAD == 1u) { at.rest.w += k; } else { at = unravel(i, vec4u(p.d1, p.d2, p.d3, p.d4), RANK); }
        source = offset5(at, p.s0, vec4u(p.s1, p.s2, p.s3, p.s4));
        into = offset5(at, p.t0, vec4u(p.t1, p.t2, p.t3, p.t4));
      }
      y[p.yfrom + into] = x[p.xfrom + source];
    }
  }
}
