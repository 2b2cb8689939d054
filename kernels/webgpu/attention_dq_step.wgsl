// The gradient of q as in attention_dq.wgsl (formula, dropout, parameters, layouts) where each (batch, head) pair has one query, as in
// decoding, for hardware.
// One workgroup owns a pair: its LANES threads take a key each for w and ds, which stand in `weights`, and then four components of the
// head each for the result.
// Numerics: as in attention_dq.wgsl, in the same order: each thread adds up the products w dw for itself.
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
@group(0) @binding(8) var<storage, read_write> weights: array<f32>;
@group(0) @binding(9) var<uniform> rng: vec4u;
override MASK: u32 = 0;
override CAUSAL: u32 = 0;
override DROPOUT: u32 = 0;
override LANES: u32 = 64;

fn visible(b: u32, j: u32) -> bool {
  if (CAUSAL == 1u && i32(j) > p.offset) { return false; }
  if (MASK == 1u) { return mask[b * p.maskBatch + j] != 0u; }
  return true;
}

fn four(at: u32) -> vec4f {
  return vec4f(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let wanted = wg.x + wg.y * nwg.x;
  let groups = select(0u, (p.keys + 3u) / 4u, wanted < p.pairs); // all lanes must reach the barriers
  let pair = min(wanted, p.pairs - 1u);
  let b = pair / p.heads;
  let head = (pair % p.heads) * p.chunks;
  let q0 = b * p.qBatch + head;
  let k0 = b * p.kBatch + head;
  let stride = (p.keys + 3u) / 4u * 4u;
  let w0 = pair * 2u * stride; // w, then ds
  let top = stats[pair].x;
  let scale = 1f / stats[pair].y;

  for (var j = lane; j < 4u * groups; j += LANES) {
    var w = 0f;
    var dw = 0f;
    if (j < p.keys) {
      let at = k0 + j * p.kRow;
      var s = 0f;
      for (var c = 0u; c < p.chunks; c++) {
        s += dot(q[q0 + c], k[at + c]);
        dw += dot(dout[q0 + c], v[at + c]);
      }
      w = exp(select(-1e30f, s * p.scale, visible(b, j)) - top) * scale;
      if (DROPOUT == 1u) {
        let stay = stays(pair * p.keys + j);
        dw = select(0f, dw * p.rescale, stay);
        w = select(-w, w, stay);
      }
    }
    weights[w0 + j] = w;
    weights[w0 + stride + j] = dw;
  }
  storageBarrier(); // the lanes read each other's w and dw
  var deltas = vec4f();
  for (var g = 0u; g < groups; g++) {
    deltas += four(w0 + 4u * g) * four(w0 + stride + 4u * g);
  }
  let delta = deltas.x + deltas.y + deltas.z + deltas.w;
  storageBarrier(); // ds goes where dw was
  // a masked key has w = 0, but where all keys of a query are masked: their scores are constants
  let slope = select(p.scale, 0f, top <= -1e30f);
  for (var j = lane; j < 4u * groups; j += LANES) {
    var w = weights[w0 + j];
    if (DROPOUT == 1u) {
      weights[w0 + j] = select(w * p.rescale, 0f, w < 0f);
      w = abs(w);
    }
    let at = w0 + stride + j;
    weights[at] = w * (weights[at] - delta) * slope;
  }
  storageBarrier(); // and each other's ds
  let size = select(0u, p.chunks, wanted < p.pairs);
  let last = p.keys - 1u;
  for (var c = lane; c < size; c += LANES) {
    var d = vec4f();
    for (var g = 0u; g < groups; g++) {
      let e = four(w0 + stride + 4u * g);
      let at = k0 + c + min(vec4u(g * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * p.kRow;
      d += e.x * k[at.x] + e.y * k[at.y] + e.z * k[at.z] + e.w * k[at.w];
    }
    dq[q0 + c] = d;
  }
}
