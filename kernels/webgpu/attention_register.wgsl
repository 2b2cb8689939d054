enable subgroups;
// Attention as in attention.wgsl (formula, parameters, layouts), for software adapters and several queries.
// One workgroup is one subgroup and owns LANES queries of one (batch, head) pair, a query a lane. Each lane loads one of LANES keys
// and the subgroup hands them round: a load serves LANES times as much arithmetic, and loads are what such an adapter is slow at.
// Numerics: as in attention.wgsl, f32 sums in order of j.
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
@group(0) @binding(5) var<storage, read_write> o: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> weights: array<vec4f>;
@group(0) @binding(8) var<uniform> rng: vec4u;
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
  let w0 = (pair * p.queries + i) * groups;

  var largest = -3.4e38f;
  for (var j0 = 0u; j0 < p.keys; j0 += LANES) {
    let key = min(j0 + lane, p.keys - 1u);
    let at = k0 + key * p.kRow;
    var s: array<f32, LANES>;
    for (var t = 0u; t < LANES; t++) { s[t] = 0f; }
    for (var c = 0u; c < p.chunks; c++) {
      let x = q[q0 + c];
      let y = k[at + c];
      for (var t = 0u; t < LANES; t++) { s[t] += dot(x, subgroupShuffle(y, t)); }
    }
    var word = 0u;
    if (MASK == 1u && p.maskRow == 0u) { word = mask[b * p.maskBatch + key]; }
    for (var t = 0u; t < LANES; t++) {
      let seen = visible(b, i, j0 + t, subgroupShuffle(word, t));
      s[t] = select(-3.4e38f, select(-1e30f, s[t] * p.scale, seen), j0 + t < p.keys);
      largest = max(largest, s[t]);
    }
    for (var t = 0u; t < LANES; t += 4u) {
      if (j0 + t < p.keys && query < p.queries) {
        weights[w0 + (j0 + t) / 4u] = vec4f(s[t], s[t + 1u], s[t + 2u], s[t + 3u]);
      }
    }
  }
  var sums = vec4f();
  let first = (pair * p.queries + i) * p.keys;
  var block = vec4u();
  if (DROPOUT == 1u) { block = dropout_block(first / 4u); }
  for (var g = 0u; g < groups; g++) {
    var e = exp(weights[w0 + g] - largest);
    sums += e;
    if (DROPOUT == 1u) { e = select(vec4f(), e * p.rescale, stay4(first, g, &block)); }
    if (query < p.queries) { weights[w0 + g] = e; }
  }
  let sum = sums.x + sums.y + sums.z + sums.w;
  if (query < p.queries) { stats[pair * p.queries + i] = vec2f(largest, sum); }

  for (var c = 0u; c < p.chunks; c += 4u) {
    let c4 = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(p.chunks - 1u));
    var o0 = vec4f();
    var o1 = vec4f();
    var o2 = vec4f();
    var o3 = vec4f();
    for (var j0 = 0u; j0 < p.keys; j0 += LANES) {
      let at = k0 + min(j0 + lane, p.keys - 1u) * p.kRow;
      let v0 = v[at + c4.x];
      let v1 = v[at + c4.y];
      let v2 = v[at + c4.z];
      let v3 = v[at + c4.w];
      for (var t = 0u; t < LANES; t += 4u) {
        let e = select(vec4f(), weights[w0 + min((j0 + t) / 4u, groups - 1u)], j0 + t < p.keys);
        for (var n = 0u; n < 4u; n++) {
          o0 += e[n] * subgroupShuffle(v0, t + n);
          o1 += e[n] * subgroupShuffle(v1, t + n);
          o2 += e[n] * subgroupShuffle(v2, t + n);
          o3 += e[n] * subgroupShuffle(v3, t + n);
        }
      }
    }
    if (query < p.queries) {
      o[q0 + c] = o0 / sum;
      if (c + 1u < p.chunks) { o[q0 + c + 1u] = o1 / sum; }
      if (c + 2u < p.chunks) { o[q0 + c + 2u] = o2 / sum; }
      if (c + 3u < p.chunks) { o[q0 + c + 3u] = o3 / sum; }
    }
  }
}
