// C = epilogue(alpha * A B'), B' = B or B^T: one product with the ends of matmul_join.wgsl, where K is not split, so that nothing but C goes
// to memory. The epilogue, in this order: BIAS; ACTIVATION: GELU, its input kept in `pre`; DROPOUT; SLOPE: times GELU'(r); RESIDUAL.
//
// One workgroup owns a tile of C, as in matmul_tile.wgsl.
//
// Numerics: f32 sums strictly in order of k: the same bits on every run; a NaN in r gives NaN. Dropout draws what dropout.wgsl draws.
override TRANS_B: u32 = 0u;
override B_DTYPE: u32 = 0u;
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;
override DROPOUT: u32 = 0u;
override SLOPE: u32 = 0u;
override RESIDUAL: u32 = 0u;
const TRANS_A: u32 = 0u;
const SUMS: u32 = 0u;

struct Params {
  M: u32, N: u32, K: u32, lda: u32, ldb: u32, ldc: u32, cOffset: u32, alpha: f32, op: u32, keep: f32, rescale: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> bias: array<Value>;
@group(0) @binding(4) var<storage, read> residual: array<Value>;
@group(0) @binding(5) var<storage, read> r: array<Value>;
@group(0) @binding(6) var<storage, read_write> c: array<Value>;
@group(0) @binding(7) var<storage, read_write> pre: array<Value>;
@group(0) @binding(8) var<uniform> rng: vec4u;

fn a_at(i: u32) -> Value { return a[i]; }
fn b_at(i: u32) -> Word { return b[i]; }

// C[m][n .. n + 3] from its sums
fn store(m: u32, n: u32, sum: vec4f) {
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) {
      let at = (p.cOffset + m * p.ldc + n + j) / WIDTH;
      var y = p.alpha * value_of(sum, j);
      if (BIAS == 1u) { y += bias[(n + j) / WIDTH]; }
      if (ACTIVATION == 1u) {
        pre[at] = y;
        y = value_gelu(y);
      }
      if (DROPOUT == 1u) { y = dropped(y, m * p.N + n + j); }
      if (SLOPE == 1u) { y *= value_slope(r[at]); }
      if (RESIDUAL == 1u) { y += residual[at]; }
      c[at] = y;
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let sums = sums_of(0u, 0u, 0u, p.K, m0, n0, thread, false);
  let n = n0 + thread % COLUMNS * 4u;
  let m = m0 + thread / COLUMNS * 4u;
  store(m, n, sums.s0);
  store(m + 1u, n, sums.s1);
  store(m + 2u, n, sums.s2);
  store(m + 3u, n, sums.s3);
  if (RM == 8u) {
    let low = m + TILE_M / 2u;
    store(low, n, sums.s4);
    store(low + 1u, n, sums.s5);
    store(low + 2u, n, sums.s6);
    store(low + 3u, n, sums.s7);
  }
}
