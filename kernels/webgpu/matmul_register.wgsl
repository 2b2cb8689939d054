enable subgroups;
// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for software adapters, any size.
// A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts
// from what C holds.
//
// The scalar twin of matmul_register4.wgsl, which has the reasons: the same register panels and the
// same order of sums, but four loads where that file has one and no need of alignment. One
// workgroup is one subgroup and owns 4 * LANES columns, 4 neighbours a lane, and M / (workgroups in
// y) rows.
//
// Numerics: f32 sums strictly in order of k: the same bits on every run. alpha scales B'.
const STEP: u32 = 4u * LANES; // k between two checks for the end of K
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
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> pre: array<f32>;

// B'[k - k0][column .. column + 3], from a register panel that only constants index
fn panel_row(panel: ptr<function, array<f32, 4u * PANEL>>, k: u32) -> vec4f {
  return vec4f(panel[4u * k], panel[4u * k + 1u], panel[4u * k + 2u], panel[4u * k + 3u]);
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
  let aRow = select(p.lda, 1u, TRANS_A == 1u); // A'[m][k] = a[a0 + m * aRow + k * aStep]
  let aStep = select(1u, p.lda, TRANS_A == 1u);
  let bCol = select(1u, p.ldb, TRANS_B == 1u); // B'[k][n] = b[b0 + k * bStep + n * bCol]
  let bStep = select(p.ldb, 1u, TRANS_B == 1u);
  let share = (p.M + nwg.y - 1u) / nwg.y;
  let firstRow = wg.y * share;
  let lastRow = min(firstRow + share, p.M);
  let column = (wg.x * LANES + lane) * 4u;

  for (var k0 = 0u; k0 < p.K; k0 += PANEL) {
    let steps = (min(p.K - k0, PANEL) + STEP - 1u) / STEP;
    var panel: array<f32, 4u * PANEL>; // [k - k0][column .. column + 3], 0 past K
    for (var i = 0u; i < 4u * steps * STEP; i++) {
      let k = k0 + i / 4u;
      let n = column + (i & 3u);
      let index = b0 + min(k, p.K - 1u) * bStep + min(n, p.N - 1u) * bCol;
      let scale = select(0f, p.alpha, k < p.K);
      let w = decode_one(b[decode_word(index, B_DTYPE)], index, B_DTYPE);
      panel[i] = scale * operand(vec4f(w)).x;
    }

    for (var row = firstRow; row < lastRow; row++) {
      let at = c0 + row * p.ldc;
      var sum = vec4f();
      if (k0 > 0u || ACCUMULATE == 1u) {
        for (var j = 0u; j < 4u; j++) { sum[j] = c[at + min(column + j, p.N - 1u)]; }
      }
      for (var step = 0u; step < PANEL / STEP; step++) {
        if (step < steps) {
          for (var i = 0u; i < 4u; i++) {
            let k = step * STEP + i * LANES;
            let w = a[a0 + row * aRow + min(k0 + k + lane, p.K - 1u) * aStep];
            let x = operand(vec4f(w)).x;
            for (var s = 0u; s < LANES; s++) {
              sum = fma(vec4f(subgroupShuffle(x, s)), panel_row(&panel, k + s), sum);
            }
          }
        }
      }
      for (var j = 0u; j < 4u; j++) {
        let n = column + j;
        if (n < p.N) {
          var y = sum[j];
          if (k0 + PANEL >= p.K) {
            if (BIAS == 1u) { y += bias[n]; }
            if (ACTIVATION == 1u) {
              pre[at + n] = y;
              y = gelu(y);
            }
            if (RESIDUAL == 1u) { y += residual[at + n]; }
          }
          c[at + n] = y;
        }
      }
    }
  }
}
