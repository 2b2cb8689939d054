// y = c ? a : b, elementwise; all three are read by strides (0 on broadcast axes), or RANK 0: all
// alike.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: 32-bit words are chosen as they are; what is not chosen cannot leak (no product with
// 0).
override RANK: u32 = 0u;
// 1: the last axis is a multiple of 4, so that a thread takes neighbours and divides once for all four.
override QUAD: u32 = 0u;
// 1: the operand is the number in the parameters.
override A_NUMBER: u32 = 0u;
override B_NUMBER: u32 = 0u;

struct Params {
  n: u32, d1: u32, d2: u32, d3: u32, d4: u32,
  c0: u32, c1: u32, c2: u32, c3: u32, c4: u32,
  a0: u32, a1: u32, a2: u32, a3: u32, a4: u32,
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32,
  avalue: u32, bvalue: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> c: array<u32>;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

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
      var ic = i;
      var ia = i;
      var ib = i;
      if (RANK > 0u) {
        var at = first;
        if (QUAD == 1u) { at.rest.w += k; } else { at = unravel(i, vec4u(p.d1, p.d2, p.d3, p.d4), RANK); }
        ic = offset5(at, p.c0, vec4u(p.c1, p.c2, p.c3, p.c4));
        ia = offset5(at, p.a0, vec4u(p.a1, p.a2, p.a3, p.a4));
        ib = offset5(at, p.b0, vec4u(p.b1, p.b2, p.b3, p.b4));
      }
      var l = p.avalue;
      var r = p.bvalue;
      if (A_NUMBER == 0u) { l = a[ia]; }
      if (B_NUMBER == 0u) { r = b[ib]; }
      y[i] = select(r, l, c[ic] != 0u);
    }
  }
}
