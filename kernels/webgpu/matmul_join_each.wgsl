// c<q> [M, N] = the sum of parts q * chunks .. (q + 1) * chunks - 1, and with BIAS bias<q>[n]: the ends of three products of one
// shape, such as query, key and value of one x. A launch of two products has no c2.
// One thread makes a Value of each, 64 threads a workgroup.
// Numerics: f32, see lib/parts.wgsl.
override BIAS: u32 = 0u;

struct Params { M: u32, N: u32, products: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<Value>;
@group(0) @binding(2) var<storage, read> bias0: array<Value>;
@group(0) @binding(3) var<storage, read> bias1: array<Value>;
@group(0) @binding(4) var<storage, read> bias2: array<Value>;
@group(0) @binding(5) var<storage, read_write> c0: array<Value>;
@group(0) @binding(6) var<storage, read_write> c1: array<Value>;
@group(0) @binding(7) var<storage, read_write> c2: array<Value>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  let columns = p.N / WIDTH;
  let size = p.M * columns;
  if (i >= size) { return; }
  let n = i % columns;
  var y0 = joined(0u, p.chunks, i, size);
  var y1 = joined(p.chunks, p.chunks, i, size);
  if (BIAS == 1u) {
    y0 += bias0[n];
    y1 += bias1[n];
  }
  c0[i] = y0;
  c1[i] = y1;
  if (p.products == 2u) { return; }
  var y2 = joined(2u * p.chunks, p.chunks, i, size);
  if (BIAS == 1u) { y2 += bias2[n]; }
  c2[i] = y2;
}
