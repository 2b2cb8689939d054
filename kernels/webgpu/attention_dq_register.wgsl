enable subgroups;
// The gradient of q as in attention_dq.wgsl (formula, parameters, layouts), for software adapters and several queries.
// Workgroups as in attention_register.wgsl.
// Numerics: as in attention_dq.wgsl, f32 sums in order of j.
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

// Is key j visible to query i? `mine` is the mask's word for key j, where all queries share it.
fn visible(b: u32, i: u32, j: u32, mine: u32) -> bool {
  if (CAUSAL == 1u && i32(j) > i32(i) + p.offset) { return false; }
  if (MASK == 0u) { return true; }
  if (p.maskRow == 0u) { return mine != 0u; }
  return mask[b * p.maskBatch + i * p.maskRow + min(j, p.keys - 1u)] != 0u;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let pair = wg.y; // b * heads + h
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
  let query = wg.x * LANES + lane;
  let i = min(query, p.queries - 1u); // lanes beyond the last query help to load
  let q0 = b * p.qBatch + i * p.qRow + head;
  let k0 = b * p.kBatch + head;
  let groups = (p.keys + 3u) / 4u;
  let w0 = (pair * p.queries + i) * 2u * groups; // w, then ds
  let top = stats[pair * p.queries + i].x;
  let scale = 1f / stats[pair * p.queries + i].y;

  let first = (pair * p.queries + i) * p.keys;
  var block = vec4u();
  if (DROPOUT == 1u) { block = dropout_block(first / 4u); }
  var delta = 0f;
  for (var j0 = 0u; j0 < p.keys; j0 += LANES) {
    let key = min(j0 + lane, p.keys - 1u);
    let at = k0 + key * p.kRow;
    var w: array<f32, LANES>;
    var dw: array<f32, LANES>;
    for (var t = 0u; t < LANES; t++) {
      w[t] = 0f;
      dw[t] = 0f;
    }
    for (var c = 0u; c < p.chunks; c++) {
      let x = q[q0 + c];
      let y = dout[q0 + c];
      let kc = k[at + c];
      let vc = v[at + c];
      for (var t = 0u; t < LANES; t++) {
        w[t] += dot(x, subgroupShuffle(kc, t));
        dw[t] += dot(y, subgroupShuffle(vc, t));
      }
    }
    var word = 0u;
    if (MASK == 1u && p.maskRow == 0u) { word = mask[b * p.maskBatch + key]; }
    for (var t = 0u; t < LANES; t++) {
      let seen = visible(b, i, j0 + t, subgroupShuffle(word, t));
      w[t] = select(0f, exp(select(-1e30f, w[t] * p.scale, seen) - top) * scale, j0 + t < p.keys);
      if (DROPOUT == 0u) { delta += w[t] * dw[t]; }
    }
    if (DROPOUT == 1u) {
      for (var t = 0u; t < LANES; t += 4u) {
        let stay = stay4(first, (j0 + t) / 4u, &block);
        for (var n = 0u; n < 4u; n++) {
          dw[t + n] = select(0f, dw[t + n] * p.rescale, stay[n]);
          w[t + n] = select(-w[t + n], w[t + n], stay[n]);
          delta += w[t + n] * dw[t + n];
        }
      }
    }
    for (var t = 0u; t < LANES; t += 4u) {
      if (j0 + t < p.keys && query < p.queries) {
        let g = w0 + (j0 + t) / 4u;
        weights[g] = vec4f(w[t], w[t + 1u], w[t + 2u], w[t + 3u]);
        weights[g + groups] = vec4f(dw[t], dw[t + 1u], dw[t + 2u], dw[t + 3u]);
      }
    }
  }
  // a masked key has w = 0, but where all keys of a query are masked: their scores are constants
  let slope = select(p.scale, 0f, top <= -1e30f);
  for (var g = 0u; g < groups; g++) {
    let at = w0 + groups + g;
    if (query < p.queries) {
      var w = weights[w0 + g];
      if (DROPOUT == 1u) {
        weights[w0 + g] = select(w * p.rescale, vec4f(), w < vec4f());
        w = abs(w);
      }
      weights[at] = w * (weights[at] - delta) * slope;
    }
  }
  for (var c = 0u; c < p.chunks; c += 4u) {
    let c4 = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(p.chunks - 1u));
    var d0 = vec4f();
    var d1 = vec4f();
    var d2 = vec4f();
    var d3 = vec4f();
    for (var j0 = 0u; j0 < p.keys; j0 += LANES) {
      let at = k0 + min(j0 + lane, p.keys - 1u) * p.kRow;
      let c0 = k[at + c4.x];
      let c1 = k[at + c4.y];
      let c2 = k[at + c4.z];
      let c3 = k[at + c4.w];
      for (var t = 0u; t < LANES; t += 4u) {
        let g = w0 + groups + min((j0 + t) / 4u, groups - 1u);
        let e = select(vec4f(), weights[g], j0 + t < p.keys);
        for (var n = 0u; n < 4u; n++) {
          d0 += e[n] * subgroupShuffle(c0, t + n);
          d1 += e[n] * subgroupShuffle(c1, t + n);
          d2 += e[n] * subgroupShuffle(c2, t + n);
          d3 += e[n] * subgroupShuffle(c3, t + n);
        }
      }
    }
    if (query < p.queries) {
      dq[q0 + c] = d0;
      if (c + 1u < p.chunks) { dq[q0 + c + 1u] = d1; }
      if (c + 2u < p.chunks) { dq[q0 + c + 2u] = d2; }
      if (c + 3u < p.chunks) { dq[q0 + c + 3u] = d3; }
    }
  }
}
