// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), any size, for hardware.
// A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts
// from what C holds.
//
// One workgroup owns a TILE_M x TILE_N tile of C: it stages TILE_K steps of A' and B' in workgroup
// memory, k-major, and each thread keeps an RM x 4 block of sums in registers. Neighbouring threads
// read neighbouring addresses for either transpose. The batch runs along z. The sizes come from a
// lib/tile_<M>x<N> file.
//
// Numerics: f32 sums strictly in order of k: the same bits on every run. alpha scales the finished
// sum.
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

const COLUMNS: u32 = TILE_N / 4u; // threads along N
const THREADS: u32 = COLUMNS * (TILE_M / RM);
// one vec4 of padding keeps the k-major writes of neighbouring threads off one bank
const A_ROW: u32 = TILE_M / 4u + 1u;
const B_ROW: u32 = TILE_N / 4u + 1u;
var<workgroup> tileA: array<vec4f, TILE_K * A_ROW>; // [k][m / 4]
var<workgroup> tileB: array<vec4f, TILE_K * B_ROW>; // [k][n / 4]

fn load_a(base: u32, m: u32, k: u32) -> f32 {
  if (m >= p.M || k >= p.K) { return 0f; }
  return a[base + select(m * p.lda + k, k * p.lda + m, TRANS_A == 1u)];
}

fn load_b(base: u32, k: u32, n: u32) -> f32 {
  if (n >= p.N || k >= p.K) { return 0f; }
  let index = base + select(k * p.ldb + n, n * p.ldb + k, TRANS_B == 1u);
  return decode_one(b[decode_word(index, B_DTYPE)], index, B_DTYPE);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let outer = wg.z / p.batch2;
  let inner = wg.z % p.batch2;
  let a0 = p.aOffset + outer * p.aBatchStride + inner * p.aBatchStride2;
  let b0 = p.bOffset + outer * p.bBatchStride + inner * p.bBatchStride2;
  let c0 = p.cOffset + outer * p.cBatchStride + inner * p.cBatchStride2;
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let tx = thread % COLUMNS;
  let ty = thread / COLUMNS;

  var sum: array<vec4f, RM>; // [row][column]
  for (var r = 0u; r < RM; r++) { sum[r] = vec4f(); }

  for (var k0 = 0u; k0 < p.K; k0 += TILE_K) {
    for (var i = thread; i < TILE_K * TILE_M / 4u; i += THREADS) {
      // k runs fastest where it is contiguous, m otherwise
      let k = select(i % TILE_K, i / (TILE_M / 4u), TRANS_A == 1u);
      let q = select(i / TILE_K, i % (TILE_M / 4u), TRANS_A == 1u);
      let m = m0 + q * 4u;
      tileA[k * A_ROW + q] = vec4f(
        load_a(a0, m, k0 + k), load_a(a0, m + 1u, k0 + k),
        load_a(a0, m + 2u, k0 + k), load_a(a0, m + 3u, k0 + k),
      );
    }
    for (var i = thread; i < TILE_K * TILE_N / 4u; i += THREADS) {
      let k = select(i / (TILE_N / 4u), i % TILE_K, TRANS_B == 1u);
      let q = select(i % (TILE_N / 4u), i / TILE_K, TRANS_B == 1u);
      let n = n0 + q * 4u;
      tileB[k * B_ROW + q] = vec4f(
        load_b(b0, k0 + k, n), load_b(b0, k0 + k, n + 1u),
        load_b(b0, k0 + k, n + 2u), load_b(b0, k0 + k, n + 3u),
      );
    }
    workgroupBarrier();
    for (var k = 0u; k < TILE_K; k++) {
      let w = tileB[k * B_ROW + tx];
      for (var r = 0u; r < RM; r += 4u) {
        let v = tileA[k * A_ROW + (ty * RM + r) / 4u];
        sum[r] = fma(vec4f(v.x), w, sum[r]);
        sum[r + 1u] = fma(vec4f(v.y), w, sum[r + 1u]);
        sum[r + 2u] = fma(vec4f(v.z), w, sum[r + 2u]);
        sum[r + 3u] = fma(vec4f(v.w), w, sum[r + 3u]);
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < RM; r++) {
    let m = m0 + ty * RM + r;
    let total = p.alpha * sum[r];
    for (var j = 0u; j < 4u; j++) {
      let n = n0 + tx * 4u + j;
      if (m < p.M && n < p.N) {
        let at = c0 + m * p.ldc + n;
        var y = total[j];
        if (ACCUMULATE == 1u) { y += c[at]; }
        if (BIAS == 1u) { y += bias[n]; }
        if (ACTIVATION == 1u) {
          pre[at] = y;
          y = gelu(y);
        }
        if (RESIDUAL == 1u) { y += residual[at]; }
        c[at] = y;
      }
    }
  }
}
