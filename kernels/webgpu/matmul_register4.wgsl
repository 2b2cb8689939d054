enable subgroups;
// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for software adapters, sizes
// divisible by 4. A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual;
// ACCUMULATE starts from what C holds.
//
// One workgroup is one subgroup. It owns 4 * LANES columns, 4 neighbours a lane, and a share of the
// rows: M / (workgroups in y). For each PANEL of k it copies B' once into private memory and walks
// its rows: one coalesced load of A brings 4 * LANES values of k (TRANS_A: LANES values of k for
// four rows), which subgroup shuffles hand round. Sums wait in C between panels.
//
// Why: a software adapter executes each load lane by lane and workgroup memory slowest of all,
// while shuffles and private memory at constant indices are plain vector code. So the loops over a
// panel have constant bounds (the driver unrolls them) and the copying loops have not (they stay
// short to compile, one load each).
//
// Numerics: f32 sums strictly in order of k: the same bits on every run. alpha scales B'.
// Needs: N, all leading dimensions, offsets and strides % 4 == 0; M % 4 == 0 (TRANS_A), else
// K % 4 == 0; K % 4 == 0 (TRANS_B).
const STEP: u32 = 4u * LANES; // k that one load of a row of A brings
override TRANS_A: u32 = 0u;
override TRANS_B: u32 = 0u;
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;
override RESIDUAL: u32 = 0u;
override ACCUMULATE: u32 = 0u;
override B_DTYPE: u32 = 0u;

struct Params {
  M: u32, N: u32, K: u32,
  lda: u32, ldb: u32, ldc: u32,
  aOffset: u32, bOffset: u32, cOffset: u32,
  batch: u32, aBatchStride: u32, bBatchStride: u32, cBatchStride: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4u>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> residual: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> pre: array<vec4f>;

// elements index .. index + 3 of B, index % 4 == 0
fn load_b(index: u32) -> vec4f {
  if (B_DTYPE == DTYPE_F32) { return bitcast<vec4f>(b[index / 4u]); }
  let words = b[index / 8u];
  let pair = select(words.xy, words.zw, (index & 4u) != 0u);
  return vec4f(decode_pair(pair.x, B_DTYPE), decode_pair(pair.y, B_DTYPE));
}

// B'[k - k0][column .. column + 3], from a register panel that only constants index
fn panel_row(panel: ptr<function, array<f32, 4u * PANEL>>, k: u32) -> vec4f {
  return vec4f(panel[4u * k], panel[4u * k + 1u], panel[4u * k + 2u], panel[4u * k + 3u]);
}

fn component(v: vec4f, i: u32) -> f32 {
  let pair = select(v.xy, v.zw, i >= 2u);
  return select(pair.x, pair.y, (i & 1u) == 1u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let a0 = p.aOffset + wg.z * p.aBatchStride;
  let b0 = p.bOffset + wg.z * p.bBatchStride;
  let c0 = p.cOffset + wg.z * p.cBatchStride;
  let share = ((p.M + nwg.y - 1u) / nwg.y + 3u) & ~3u; // a group of four rows is not split
  let firstRow = wg.y * share;
  let lastRow = min(firstRow + share, p.M);
  let column = (wg.x * LANES + lane) * 4u;
  let col = min(column, p.N - 4u);

  for (var k0 = 0u; k0 < p.K; k0 += PANEL) {
    let steps = (min(p.K - k0, PANEL) + STEP - 1u) / STEP;
    var panel: array<f32, 4u * PANEL>; // [k - k0][column .. column + 3], 0 past K
    for (var i = 0u; i < steps * STEP; i++) {
      // TRANS_B: four k of one column, else four columns of one k
      let k = select(i, i & ~3u, TRANS_B == 1u);
      let kIn = min(k0 + k, select(p.K - 1u, p.K - 4u, TRANS_B == 1u));
      let n = select(col, col + (i & 3u), TRANS_B == 1u);
      let w = operand(load_b(b0 + select(kIn * p.ldb + n, n * p.ldb + kIn, TRANS_B == 1u)));
      let scale = select(0f, p.alpha, k0 + k < p.K);
      for (var j = 0u; j < 4u; j++) {
        panel[select(4u * k + j, 4u * (k + j) + (i & 3u), TRANS_B == 1u)] = scale * w[j];
      }
    }

    var v: array<vec4f, PANEL / LANES>; // TRANS_A: four rows at k0 + q * LANES + lane
    for (var row = firstRow; row < lastRow; row++) {
      let at = (c0 + row * p.ldc + col) / 4u;
      var sum = vec4f();
      if (k0 > 0u || ACCUMULATE == 1u) { sum = c[at]; }
      if (TRANS_A == 1u && (row & 3u) == 0u) {
        for (var q = 0u; q < 4u * steps; q++) {
          v[q] = operand(a[(a0 + min(k0 + q * LANES + lane, p.K - 1u) * p.lda + row) / 4u]);
        }
      }
      for (var step = 0u; step < PANEL / STEP; step++) {
        if (step < steps) {
          if (TRANS_A == 0u) {
            let k = min(k0 + step * STEP + lane * 4u, p.K - 4u);
            let x = operand(a[(a0 + row * p.lda + k) / 4u]);
            for (var s = 0u; s < LANES; s++) {
              for (var i = 0u; i < 4u; i++) {
                let w = panel_row(&panel, step * STEP + s * 4u + i);
                sum = fma(vec4f(subgroupShuffle(x[i], s)), w, sum);
              }
            }
          } else {
            for (var i = 0u; i < 4u; i++) {
              let x = component(v[step * 4u + i], row & 3u);
              for (var s = 0u; s < LANES; s++) {
                let w = panel_row(&panel, step * STEP + i * LANES + s);
                sum = fma(vec4f(subgroupShuffle(x, s)), w, sum);
              }
            }
          }
        }
      }
      if (k0 + PANEL >= p.K) {
        if (BIAS == 1u) { sum += bias[col / 4u]; }
        if (ACTIVATION == 1u) {
          if (column < p.N) { pre[at] = sum; }
          sum = vec4f(gelu(sum.x), gelu(sum.y), gelu(sum.z), gelu(sum.w));
        }
        if (RESIDUAL == 1u) { sum += residual[at]; }
      }
      if (column < p.N) { c[at] = sum; }
    }
  }
}
