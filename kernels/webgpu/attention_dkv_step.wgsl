// The gradients of k and v as in attention_dkv.wgsl (formula, parameters, layouts) for one query: a decoding step.
// One thread owns four components of all keys of one (batch, head) pair, so that it loads its part of q and do once; 64 threads a
// workgroup, neighbours on neighbouring components.
// Numerics: one product a component, added to what is there.
struct Params {
  queries: u32, keys: u32, heads: u32, pairs: u32, chunks: u32,
  qBatch: u32, qRow: u32, kBatch: u32, kRow: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> dout: array<vec4f>;
@group(0) @binding(3) var<storage, read> weights: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dv: array<vec4f>;
override ACCUMULATE_K: u32 = 0;
override ACCUMULATE_V: u32 = 0;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let item = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (item >= p.pairs * p.chunks) { return; }
  let pair = item / p.chunks;
  let b = pair / p.heads;
  let c = (pair % p.heads) * p.chunks + item % p.chunks;
  let x = q[b * p.qBatch + c];
  let y = dout[b * p.qBatch + c];
  let groups = (p.keys + 3u) / 4u;
  for (var g = 0u; g < groups; g++) {
    let w = weights[pair * 2u * groups + g];
    let ds = weights[pair * 2u * groups + groups + g];
    for (var n = 0u; n < 4u; n++) {
      let j = g * 4u + n;
      if (j < p.keys) {
        let at = b * p.kBatch + j * p.kRow + c;
        if (ACCUMULATE_K == 1u) { dk[at] += ds[n] * x; } else { dk[at] = ds[n] * x; }
        if (ACCUMULATE_V == 1u) { dv[at] += w[n] * y; } else { dv[at] = w[n] * y; }
      }
    }
  }
}
