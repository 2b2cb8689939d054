// attention.wgsl where each (batch, head) pair has one query, as in decoding, for hardware:
// o = sum_j e[j] v[j] / sum_j e[j], e[j] = exp(s[j] - max s), s[j] = scale * q . k[j], or -1e30
// where j is masked; stats = (max s, sum e). Parameters, operands and dropout are those of attention.wgsl.
// One workgroup owns a pair: its LANES threads take a key each for the scores, which wait in
// `weights`, and then a component of the head each for the result.
// Numerics: a fully masked row is uniform; maximum and sum are trees over the lanes, the result is
// summed in order of j, all in f32.
struct Params {
  queries: u32, keys: u32, heads: u32, pairs: u32, chunks: u32,
  qBatch: u32, qRow: u32, kBatch: u32, kRow: u32, maskBatch: u32, maskRow: u32, offset: i32,
  scale: f32, op: u32, keep: f32, rescale: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> o: array<f32>;
@group(0) @binding(6) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;
@group(0) @binding(8) var<uniform> rng: vec4u;
override MASK: u32 = 0;
override CAUSAL: u32 = 0;
override DROPOUT: u32 = 0;
override LANES: u32 = 64;
override ROWS: u32 = 1;

fn visible(b: u32, j: u32) -> bool {
  if (CAUSAL == 1u && i32(j) > p.offset) { return false; }
  if (MASK == 1u) { return mask[b * p.maskBatch + j] != 0u; }
  return true;
}

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let wanted = wg.x + wg.y * nwg.x;
  let keys = select(0u, p.keys, wanted < p.pairs); // all lanes must reach the barriers
  let pair = min(wanted, p.pairs - 1u);
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
  let q0 = b * p.qBatch + head;
  let k0 = b * p.kBatch + head;
  let w0 = pair * ((p.keys + 3u) / 4u * 4u);

  var largest = -3.4e38f;
  for (var j = lane; j < keys; j += LANES) {
    var s = 0f;
    for (var c = 0u; c < p.chunks; c++) { s += dot(q[q0 + c], k[k0 + j * p.kRow + c]); }
    s = select(-1e30f, s * p.scale, visible(b, j));
    weights[w0 + j] = s;
    largest = max(largest, s);
  }
  let top = row_max(largest, lane, 0u);
  var part = 0f;
  for (var j = lane; j < keys; j += LANES) {
    var e = exp(weights[w0 + j] - top);
    part += e;
    if (DROPOUT == 1u) { e = select(0f, e * p.rescale, stays(pair * p.keys + j)); }
    weights[w0 + j] = e;
  }
  let sum = row_sum(part, lane, 0u);
  storageBarrier(); // the lanes read each other's weights

  let size = select(0u, 4u * p.chunks, wanted < p.pairs);
  for (var c = lane; c < size; c += LANES) {
    var y = 0f;
    for (var j = 0u; j < keys; j++) {
      y = fma(weights[w0 + j], v[4u * (k0 + j * p.kRow) + c], y);
    }
    o[4u * q0 + c] = y / sum;
  }
  if (lane == 0u && wanted < p.pairs) { stats[pair] = vec2f(top, sum); }
}
