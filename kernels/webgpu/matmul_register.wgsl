enable subgroups;
// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for software adapters, any size.
// The scalar twin of matmul_register4.wgsl: the same tiles and the same order of sums, no alignment needed, more loads.
// A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts from what C holds.
//
// One workgroup is one subgroup and owns 4 * LANES columns (4 neighbours a lane) and M / (workgroups in y) rows, in pairs. For each
// PANEL of k it loads B' once into private memory, then walks its rows: one load of A brings LANES values of k, handed round
// by subgroup shuffles. Partial sums between panels wait in C.
//
// Numerics: f32 sums in order of k within a panel, panels in order: the same bits on every run. alpha scales B'.
const STEP: u32 = LANES; // k that one load of a row of A serves
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
  batch2: u32, aBatchStride2: u32, bBatchStride2: u32, cBatchStride2: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> c: array<f32>;
@group(0) @binding(6) var<storage, read_write> pre: array<f32>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let outer = wg.z / p.batch2;
  let inner = wg.z % p.batch2;
  let a0 = p.aOffset + outer * p.aBatchStride + inner * p.aBatchStride2;
  let b0 = p.bOffset + outer * p.bBatchStride + inner * p.bBatchStride2;
  let c0 = p.cOffset + outer * p.cBatchStride + inner * p.cBatchStride2;
  let aRow = select(p.lda, 1u, TRANS_A == 1u); // A'[m][k] = a[a0 + m * aRow + k * aStep]
  let aStep = select(1u, p.lda, TRANS_A == 1u);
  let bCol = select(1u, p.ldb, TRANS_B == 1u); // B'[k][n] = b[b0 + k * bStep + n * bCol]
  let bStep = select(p.ldb, 1u, TRANS_B == 1u);
  let share = ((p.M + nwg.y - 1u) / nwg.y + 1u) & ~1u;
  let firstRow = wg.y * share;
  let lastRow = min(firstRow + share, p.M);
  let column = (wg.x * LANES + lane) * 4u;

  for (var k0 = 0u; k0 < p.K; k0 += PANEL) {
    let steps = (min(p.K - k0, PANEL) + STEP - 1u) / STEP;
    var panel: array<vec4f, PANEL>; // B'[k0 + i][column .. column + 3]
    for (var i = 0u; i < steps * STEP; i++) {
      let scale = select(0f, p.alpha, k0 + i < p.K);
      let at = b0 + min(k0 + i, p.K - 1u) * bStep;
      var w = vec4f();
      for (var j = 0u; j < 4u; j++) {
        let index = at + min(column + j, p.N - 1u) * bCol;
        w[j] = scale * decode_one(b[decode_word(index, B_DTYPE)], index, B_DTYPE);
      }
      panel[i] = w;
    }

    for (var row = firstRow; row < lastRow; row += 2u) {
      var sum: array<vec4f, 2>; // rows row, row + 1
      for (var r = 0u; r < 2u; r++) {
        sum[r] = vec4f();
        if (k0 > 0u || ACCUMULATE == 1u) {
          let at = c0 + min(row + r, p.M - 1u) * p.ldc;
          for (var j = 0u; j < 4u; j++) { sum[r][j] = c[at + min(column + j, p.N - 1u)]; }
        }
      }
      for (var step = 0u; step < PANEL / STEP; step++) {
        if (step < steps) {
          let at = a0 + min(k0 + step * STEP + lane, p.K - 1u) * aStep;
          let v0 = a[at + row * aRow];
          let v1 = a[at + min(row + 1u, p.M - 1u) * aRow];
          for (var s = 0u; s < LANES; s++) {
            let w = panel[step * STEP + s];
            sum[0] = fma(vec4f(subgroupShuffle(v0, s)), w, sum[0]);
            sum[1] = fma(vec4f(subgroupShuffle(v1, s)), w, sum[1]);
          }
        }
      }
      for (var r = 0u; r < 2u; r++) {
        for (var j = 0u; j < 4u; j++) {
          if (row + r < p.M && column + j < p.N) {
            let at = c0 + (row + r) * p.ldc + column + j;
            var y = sum[r][j];
            if (k0 + PANEL >= p.K) {
              if (BIAS == 1u) { y += bias[column + j]; }
              if (ACTIVATION == 1u) {
                pre[at] = y;
                y = gelu(y);
              }
              if (RESIDUAL == 1u) { y += residual[at]; }
            }
            c[at] = y;
          }
        }
      }
    }
  }
}
