// dk[j] = sum_i ds[i, j] q[i], dv[j] = sum_i w[i, j] do[i]; `weights` holds w and ds of each query, from attention_dq.wgsl.
// ACCUMULATE_K, ACCUMULATE_V: added to what dk, dv hold.
// One thread owns 16 components of a key of one (batch, head) pair; LANES keys of PAIRS pairs a workgroup, components along z of
// the grid. Nobody else writes them.
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
override LANES: u32 = 64;
override PAIRS: u32 = 1;

fn store(at: u32, gk: vec4f, gv: vec4f) {
  if (ACCUMULATE_K == 1u) { dk[at] += gk; } else { dk[at] = gk; }
  if (ACCUMULATE_V == 1u) { dv[at] += gv; } else { dv[at] = gv; }
}

@compute @workgroup_size(LANES, PAIRS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  var pair = wg.y; // b * heads + h; one pair a workgroup: the same for all lanes, and known to be
  if (PAIRS > 1u) { pair = wg.y * PAIRS + local.y; }
  let j = wg.x * LANES + local.x;
  if (j >= p.keys || pair >= p.pairs) { return; }
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
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
  for (var i = 0u; i < p.queries; i++) {
    let at = (pair * p.queries + i) * 2u * stride + j;
    let w = weights[at];
    let ds = weights[at + stride];
    let qi = q0 + i * p.qRow;
    gk0 += ds * q[qi + c4.x];
    gk1 += ds * q[qi + c4.y];
    gk2 += ds * q[qi + c4.z];
    gk3 += ds * q[qi + c4.w];
    gv0 += w * dout[qi + c4.x];
    gv1 += w * dout[qi + c4.y];
    gv2 += w * dout[qi + c4.z];
    gv3 += w * dout[qi + c4.w];
  }
  store(k0 + c, gk0, gv0);
  if (c + 1u < p.chunks) { store(k0 + c + 1u, gk1, gv1); }
  if (c + 2u < p.chunks) { store(k0 + c + 2u, gk2, gv2); }
  if (c + 3u < p.chunks) { store(k0 + c + 3u, gk3, gv3); }
}
