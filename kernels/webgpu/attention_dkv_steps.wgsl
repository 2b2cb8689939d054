// The gradients of k and v as in attention_dkv.wgsl (formula, layouts) for several queries at once, those of decoding steps that
// see the same keys, or each so many more (`grow`) than the next: dk[j] = sum_s ds[s, j] q[s], dv[j] = sum_s w[s, j] do[s] for the
// `count` keys from `first` on, which all of them see. q and do are stacks of the steps' rows; `weights` is a stack of what
// attention_dq.wgsl writes for each, of as many keys as the step has: `keys` for the first.
// ACCUMULATE_K, ACCUMULATE_V: added to what dk, dv hold. These begin with the key `first`.
// One thread owns four components of a key of one (batch, head) pair; 64 threads a workgroup, neighbours on neighbouring components.
// Numerics: f32 sums in order of s, the same bits as one launch of attention_dkv_step.wgsl for each.
struct Params {
  steps: u32, keys: u32, grow: u32, first: u32, count: u32,
  heads: u32, pairs: u32, chunks: u32, kBatch: u32, kRow: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> dout: array<vec4f>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
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
  let row = p.pairs * p.chunks; // of one step, and of one key
  if (item >= p.count * row) { return; }
  let key = item / row;
  let at = item % row; // in a step: batch, head, component
  let pair = at / p.chunks;
  let b = pair / p.heads;
  let to = b * p.kBatch + key * p.kRow + at % (p.heads * p.chunks);
  var gk = vec4f();
  var gv = vec4f();
  if (ACCUMULATE_K == 1u) { gk = dk[to]; }
  if (ACCUMULATE_V == 1u) { gv = dv[to]; }
  var keys = p.keys;
  var base = p.first + key; // of the step's weights
  for (var s = 0u; s < p.steps; s++) {
    let stride = (keys + 3u) / 4u * 4u;
    let start = base + pair * 2u * stride;
    gk += weights[start + stride] * q[s * row + at];
    gv += weights[start] * dout[s * row + at];
    base += p.pairs * 2u * stride;
    keys -= p.grow;
  }
  dk[to] = gk;
  dv[to] = gv;
}
