// w[j] = exp(s[j] - max s) / sum; dw[j] = do[i] . v[j]; ds[j] = w[j] (dw[j] - sum_j w[j] dw[j]) * scale, 0 where j is masked;
// dq[i] = sum_j ds[j] k[j]. Both w and ds of a query are left in `weights` for the gradients of k and v.
// Dropout (DROPOUT): dw[j], and the w[j] that is left, are 0 or divided by 1 - p; until then w[j] has a minus where it falls out.
// Parameters, layouts and lanes as in attention.wgsl.
// Numerics: scores are computed again, with the forward pass's maximum and sum; f32 sums in order of j.
struct Params {
  queries: u32, keys: u32, heads: u32, pairs: u32, chunks: u32,
  qBatch: u32, qRow: u32, kBatch: u32, kRow: u32, maskBatch: u32, maskRow: u32, offset: i32,
  scale: f32, op: u32, keep: f32, rescale: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read> stats: array<vec2f>;
@group(0) @binding(6) var<storage, read> dout: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> weights: array<vec4f>;
@group(0) @binding(9) var<uniform> rng: vec4u;
override MASK: u32 = 0;
override CAUSAL: u32 = 0;
override DROPOUT: u32 = 0;
override LANES: u32 = 64;
override PAIRS: u32 = 1;

// Is key j visible to query i?
fn visible(b: u32, i: u32, j: u32) -> bool {
  if (CAUSAL == 1u && i32(j) > i32(i) + p.offset) { return false; }
  if (MASK == 1u) { return mask[b * p.maskBatch + i * p.maskRow + j] != 0u; }
  return true;
}

fn visible4(b: u32, i: u32, j: vec4u) -> vec4<bool> {
  if (CAUSAL == 0u && MASK == 0u) { return vec4<bool>(true); }
  return vec4<bool>(visible(b, i, j.x), visible(b, i, j.y), visible(b, i, j.z), visible(b, i, j.w));
}

@compute @workgroup_size(LANES, PAIRS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  var pair = wg.y; // b * heads + h; one pair a workgroup: the same for all lanes, and known to be
  if (PAIRS > 1u) { pair = wg.y * PAIRS + local.y; }
  let i = wg.x * LANES + local.x;
  if (i >= p.queries || pair >= p.pairs) { return; }
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
  let q0 = b * p.qBatch + i * p.qRow + head;
  let k0 = b * p.kBatch + head;
  let groups = (p.keys + 3u) / 4u;
  let w0 = (pair * p.queries + i) * 2u * groups; // w, then ds
  let last = p.keys - 1u;
  let top = stats[pair * p.queries + i].x;
  let scale = 1f / stats[pair * p.queries + i].y;

  let first = (pair * p.queries + i) * p.keys;
  var block = vec4u();
  if (DROPOUT == 1u) { block = dropout_block(first / 4u); }
  var deltas = vec4f();
  for (var g = 0u; g < groups; g++) {
    let j = min(vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(last));
    let at = k0 + j * p.kRow;
    var s = vec4f();
    var dw = vec4f();
    for (var c = 0u; c < p.chunks; c++) {
      let x = q[q0 + c];
      let y = dout[q0 + c];
      s += vec4f(dot(x, k[at.x + c]), dot(x, k[at.y + c]), dot(x, k[at.z + c]), dot(x, k[at.w + c]));
      dw += vec4f(dot(y, v[at.x + c]), dot(y, v[at.y + c]), dot(y, v[at.z + c]), dot(y, v[at.w + c]));
    }
    s = select(vec4f(-1e30f), s * p.scale, visible4(b, i, j));
    var w = exp(s - top) * scale;
    w = select(vec4f(), w, vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.keys));
    if (DROPOUT == 1u) {
      let stay = stay4(first, g, &block);
      dw = select(vec4f(), dw * p.rescale, stay);
      w = select(-w, w, stay);
    }
    deltas += w * dw;
    weights[w0 + g] = w;
    weights[w0 + groups + g] = dw;
  }
  let delta = deltas.x + deltas.y + deltas.z + deltas.w;
  // a masked key has w = 0, but where all keys of a query are masked: their scores are constants
  let slope = select(p.scale, 0f, top <= -1e30f);
  for (var g = 0u; g < groups; g++) {
    let at = w0 + groups + g;
    var w = weights[w0 + g];
    if (DROPOUT == 1u) {
      weights[w0 + g] = select(w * p.rescale, vec4f(), w < vec4f());
      w = abs(w);
    }
    weights[at] = w * (weights[at] - delta) * slope;
  }
  for (var c = 0u; c < p.chunks; c += 4u) {
    let c4 = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(p.chunks - 1u));
    var d0 = vec4f();
    var d1 = vec4f();
    var d2 = vec4f();
    var d3 = vec4f();
    for (var g = 0u; g < groups; g++) {
      let e = weights[w0 + groups + g];
      let at = k0 + min(vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * p.kRow;
      d0 += e.x * k[at.x + c4.x] + e.y * k[at.y + c4.x] + e.z * k[at.z + c4.x] + e.w * k[at.w + c4.x];
      d1 += e.x * k[at.x + c4.y] + e.y * k[at.y + c4.y] + e.z * k[at.z + c4.y] + e.w * k[at.w + c4.y];
      d2 += e.x * k[at.x + c4.z] + e.y * k[at.y + c4.z] + e.z * k[at.z + c4.z] + e.w * k[at.w + c4.z];
      d3 += e.x * k[at.x + c4.w] + e.y * k[at.y + c4.w] + e.z * k[at.z + c4.w] + e.w * k[at.w + c4.w];
    }
    dq[q0 + c] = d0;
    if (c + 1u < p.chunks) { dq[q0 + c + 1u] = d1; }
    if (c + 2u < p.chunks) { dq[q0 + c + 2u] = d2; }
    if (c + 3u < p.chunks) { dq[q0 + c + 3u] = d3; }
  }
}
