// o[i] = sum_j e[j] v[j] / sum_j e[j], e[j] = exp(s[j] - max s), s[j] = scale * q[i] . k[j], or -1e30 where j is masked;
// stats[i] = (max s, sum e). Dropout (DROPOUT): in the first sum e[j] is 0 or e[j] / (1 - p). Layouts are strides: q and o by (qBatch, qRow), k and v by (kBatch, kRow), in units of four floats,
// as is `chunks`, the size of a head. Key j is causally visible to query i iff j <= i + offset.
// One thread owns a query of one (batch, head) pair; LANES queries of PAIRS pairs a workgroup. No workgroup memory: where a
// workgroup has one pair, its lanes read the same k and v. Scores wait in `weights`, four keys a word.
// Numerics: a fully masked row is uniform; f32 sums in order of j.
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
  let w0 = (pair * p.queries + i) * groups;
  let last = p.keys - 1u;

  var largest = vec4f(-3.4e38f);
  for (var g = 0u; g < groups; g++) {
    let j = min(vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(last));
    let at = k0 + j * p.kRow;
    var s = vec4f();
    for (var c = 0u; c < p.chunks; c++) {
      let x = q[q0 + c];
      s += vec4f(dot(x, k[at.x + c]), dot(x, k[at.y + c]), dot(x, k[at.z + c]), dot(x, k[at.w + c]));
    }
    s = select(vec4f(-1e30f), s * p.scale, visible4(b, i, j));
    s = select(vec4f(-3.4e38f), s, vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.keys));
    weights[w0 + g] = s;
    largest = max(largest, s);
  }
  let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sums = vec4f();
  let first = (pair * p.queries + i) * p.keys;
  var block = vec4u();
  if (DROPOUT == 1u) { block = dropout_block(first / 4u); }
  for (var g = 0u; g < groups; g++) {
    var e = exp(weights[w0 + g] - top);
    sums += e;
    if (DROPOUT == 1u) { e = select(vec4f(), e * p.rescale, stay4(first, g, &block)); }
    weights[w0 + g] = e;
  }
  let sum = sums.x + sums.y + sums.z + sums.w;
  stats[pair * p.queries + i] = vec2f(top, sum);

  for (var c = 0u; c < p.chunks; c += 4u) {
    let c4 = min(vec4u(c) + vec4u(0u, 1u, 2u, 3u), vec4u(p.chunks - 1u));
    var o0 = vec4f();
    var o1 = vec4f();
    var o2 = vec4f();
    var o3 = vec4f();
    for (var g = 0u; g < groups; g++) {
      let e = weights[w0 + g];
      let at = k0 + min(vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * p.kRow;
      o0 += e.x * v[at.x + c4.x] + e.y * v[at.y + c4.x] + e.z * v[at.z + c4.x] + e.w * v[at.w + c4.x];
      o1 += e.x * v[at.x + c4.y] + e.y * v[at.y + c4.y] + e.z * v[at.z + c4.y] + e.w * v[at.w + c4.y];
      o2 += e.x * v[at.x + c4.z] + e.y * v[at.y + c4.z] + e.z * v[at.z + c4.z] + e.w * v[at.w + c4.z];
      o3 += e.x * v[at.x + c4.w] + e.y * v[at.y + c4.w] + e.z * v[at.z + c4.w] + e.w * v[at.w + c4.w];
    }
    o[q0 + c] = o0 / sum;
    if (c + 1u < p.chunks) { o[q0 + c + 1u] = o1 / sum; }
    if (c + 2u < p.chunks) { o[q0 + c + 2u] = o2 / sum; }
    if (c + 3u < p.chunks) { o[q0 + c + 3u] = o3 / sum; }
  }
}
