enable subgroups;
// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for software adapters, sizes divisible by 4.
// A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts from what C holds.
//
// One workgroup is one subgroup and owns 4 * LANES columns and M / (workgroups in y) rows: 4 neighbouring columns a lane.
// For each PANEL of k it loads B' once into private memory, then walks its rows four at a time: one coalesced load of A
// serves LANES x 4 products' worth of k, handed round by subgroup shuffles. Partial sums between panels wait in C.
// A software adapter pays for every load lane by lane and for workgroup memory most of all; this form has the fewest loads.
//
// Numerics: f32 sums in order of k within a panel, panels in order: the same bits on every run. alpha scales B'.
// Needs: K % 4 == 0 where a row runs along k, M % 4 == 0 (TRANS_A), N % 4 == 0, leading dimensions, offsets and strides too.
const STEP: u32 = 4u * LANES; // k a coalesced load of a row of A serves
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
  let share = ((p.M + nwg.y - 1u) / nwg.y + 1u) & ~1u;
  let firstRow = wg.y * share;
  let lastRow = min(firstRow + share, p.M);
  let column = (wg.x * LANES + lane) * 4u;
  let col = min(column, p.N - 4u);

  for (var k0 = 0u; k0 < p.K; k0 += PANEL) {
    let steps = (min(p.K - k0, PANEL) + STEP - 1u) / STEP;
    var panel: array<vec4f, PANEL>; // B'[k0 + i][column .. column + 3]
    if (TRANS_B == 0u) {
      for (var i = 0u; i < steps * STEP; i++) {
        let k = min(k0 + i, p.K - 1u);
        panel[i] = select(vec4f(), p.alpha * load_b(b0 + k * p.ldb + col), k0 + i < p.K);
      }
    } else {
      for (var i = 0u; i < steps * STEP; i += 4u) {
        let at = b0 + col * p.ldb + min(k0 + i, p.K - 4u);
        let scale = select(0f, p.alpha, k0 + i < p.K);
        let r0 = scale * load_b(at);
        let r1 = scale * load_b(at + p.ldb);
        let r2 = scale * load_b(at + 2u * p.ldb);
        let r3 = scale * load_b(at + 3u * p.ldb);
        panel[i] = vec4f(r0.x, r1.x, r2.x, r3.x);
        panel[i + 1u] = vec4f(r0.y, r1.y, r2.y, r3.y);
        panel[i + 2u] = vec4f(r0.z, r1.z, r2.z, r3.z);
        panel[i + 3u] = vec4f(r0.w, r1.w, r2.w, r3.w);
      }
    }

    for (var row = firstRow; row < lastRow; row += 2u) {
      var sum: array<vec4f, 2>; // rows row, row + 1
      for (var r = 0u; r < 2u; r++) {
        sum[r] = vec4f();
        if (k0 > 0u || ACCUMULATE == 1u) {
          sum[r] = c[(c0 + min(row + r, p.M - 1u) * p.ldc + col) / 4u];
        }
      }
      for (var step = 0u; step < PANEL / STEP; step++) {
        if (step < steps) {
          let k = k0 + step * STEP;
          if (TRANS_A == 0u) {
            let at = a0 + min(k + lane * 4u, p.K - 4u);
            let v0 = a[(at + row * p.lda) / 4u]; // k + 4 lane .. k + 4 lane + 3
            let v1 = a[(at + min(row + 1u, p.M - 1u) * p.lda) / 4u];
            for (var s = 0u; s < LANES; s++) {
              for (var i = 0u; i < 4u; i++) {
                let w = panel[step * STEP + s * 4u + i];
                sum[0] = fma(vec4f(subgroupShuffle(v0[i], s)), w, sum[0]);
                sum[1] = fma(vec4f(subgroupShuffle(v1[i], s)), w, sum[1]);
              }
            }
          } else {
            for (var i = 0u; i < 4u; i++) {
              let at = a0 + min(k + i * LANES + lane, p.K - 1u) * p.lda + row;
              let four = a[at / 4u];
              let v = select(four.xy, four.zw, (row & 2u) == 2u); // rows row, row + 1
              for (var s = 0u; s < LANES; s++) {
                let w = panel[step * STEP + i * LANES + s];
                sum[0] = fma(vec4f(subgroupShuffle(v.x, s)), w, sum[0]);
                sum[1] = fma(vec4f(subgroupShuffle(v.y, s)), w, sum[1]);
              }
            }
          }
        }
      }
      for (var r = 0u; r < 2u; r++) {
        if (row + r < p.M && column < p.N) {
          let at = (c0 + (row + r) * p.ldc + col) / 4u;
          var y = sum[r];
          if (k0 + PANEL >= p.K) {
            if (BIAS == 1u) { y += bias[col / 4u]; }
            if (ACTIVATION == 1u) {
              pre[at] = y;
              y = vec4f(gelu(y.x), gelu(y.y), gelu(y.z), gelu(y.w));
            }
            if (RESIDUAL == 1u) { y += residual[at]; }
          }
          c[at] = y;
        }
      }
    }
  }
}
