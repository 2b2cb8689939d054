enable subgroups;
// The gradients of k and v as in attention_dkv.wgsl (formula, parameters, layouts), for software adapters and several queries.
// One workgroup is one subgroup and owns 16 components of LANES keys of one (batch, head) pair, a key a lane; components run along z
// of the grid. Each lane loads one of LANES queries and the subgroup hands them round.
// Numerics: f32 sums in order of i.
struct Params {
  queries: u32, keys: u32, heads: u32, pairs: u32, chunks: u32,
  qBatch: u32, qRow: u32, kBatch: u32, kRow: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> dout: array<vec4f>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dv: array<vec4f>;
override ACCUMULATE_K: u32 = 0;
override ACCUMULATE_V: u32 = 0;

fn store(at: u32, gk: vec4f, gv: vec4f) {
  if (ACCUMULATE_K == 1u) { dk[at] += gk; } else { dk[at] = gk; }
  if (ACCUMULATE_V == 1u) { dv[at] += gv; } else { dv[at] = gv; }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pair = wg.y; // b * heads + h
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
  let j = wg.x * LANES + lane;
  let q0 = b * p.qBatch + head;
  let k0 = b * p.kBatch + j * p.kRow + head;
  let stride = (p.keys + 3u) / 4u * 4u;
  let c = wg.z * 4u;
  let c4 = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(p.chunks - 1u));
  var gk0 = vec4f();
  var gk1 = vec4f();
  var gk2 = vec4f();
  var gk3 = vec4f();
  var gv0 = vec4f();
  var gv1 = vec4f();
  var gv2 = vec4f();
  var gv3 = vec4f();
  for (var i0 = 0u; i0 < p.queries; i0 += LANES) {
    let qi = q0 + min(i0 + lane, p.queries - 1u) * p.qRow;
    let x0 = q[qi + c4.x];
    let x1 = q[qi + c4.y];
    let x2 = q[qi + c4.z];
    let x3 = q[qi + c4.w];
    let y0 = dout[qi + c4.x];
    let y1 = dout[qi + c4.y];
    let y2 = dout[qi + c4.z];
    let y3 = dout[qi + c4.w];
    for (var t = 0u; t < LANES; t++) {
      let i = min(i0 + t, p.queries - 1u);
      let at = (pair * p.queries + i) * 2u * stride + min(j, stride - 1u);
      let w = select(0f, weights[at], i0 + t < p.queries);
      let ds = select(0f, weights[at + stride], i0 + t < p.queries);
      gk0 += ds * subgroupShuffle(x0, t);
      gk1 += ds * subgroupShuffle(x1, t);
      gk2 += ds * subgroupShuffle(x2, t);
      gk3 += ds * subgroupShuffle(x3, t);
      gv0 += w * subgroupShuffle(y0, t);
      gv1 += w * subgroupShuffle(y1, t);
      gv2 += w * subgroupShuffle(y2, t);
      gv3 += w * subgroupShuffle(y3, t);
    }
  }
  if (j < p.keys) {
    store(k0 + c, gk0, gv0);
    if (c + 1u < p.chunks) { store(k0 + c + 1u, gk1, gv1); }
    if (c + 2u < p.chunks) { store(k0 + c + 2u, gk2, gv2); }
    if (c + 3u < p.chunks) { store(k0 + c + 3u, gk3, gv3); }
  }
}
