// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for hardware. A' = A or A^T,
// B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts from what C holds.
//
// One workgroup owns a TILE_M x TILE_N tile of C. It stages TILE_K steps of A' and B' in workgroup
// memory, k-major for either transpose, while each thread keeps RM x 4 sums in registers; the next
// steps' operands are on their way from memory meanwhile. A thread stages 4 x 4 blocks: four loads
// of four neighbours, turned in registers where k is what is contiguous. The sizes come from a
// lib/tile_<M>x<N> file, loads and stores from lib/matmul_four or lib/matmul_one.
//
// Along z run the products of a batch or, with SPLIT, `batch` chunks of K: chunk z of one product
// is C[z], for matmul_join.wgsl to add up.
//
// Why every sum has a name: NVIDIA's compiler keeps an array that a loop's variable indexes in
// memory (15 times slower).
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
override SPLIT: u32 = 0u;
const SUMS: u32 = 0u;

struct Params {
  M: u32, N: u32, K: u32,
  lda: u32, ldb: u32, ldc: u32,
  aOffset: u32, bOffset: u32, cOffset: u32,
  batch: u32, aBatchStride: u32, bBatchStride: u32, cBatchStride: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> bias: array<Value>;
@group(0) @binding(4) var<storage, read> residual: array<Value>;
@group(0) @binding(5) var<storage, read_write> c: array<Value>;
@group(0) @binding(6) var<storage, read_write> pre: array<Value>;

fn a_at(i: u32) -> Value { return a[i]; }
fn b_at(i: u32) -> Word { return b[i]; }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let product = select(wg.z, 0u, SPLIT == 1u);
  let a0 = p.aOffset + product * p.aBatchStride;
  let b0 = p.bOffset + product * p.bBatchStride;
  var c0 = p.cOffset + product * p.cBatchStride;
  var first = 0u;
  var last = p.K;
  if (SPLIT == 1u) {
    let tiles = (p.K + TILE_K - 1u) / TILE_K;
    let chunk = (tiles + p.batch - 1u) / p.batch * TILE_K;
    c0 = p.cOffset + wg.z * p.cBatchStride;
    first = min(wg.z * chunk, p.K);
    last = min(first + chunk, p.K);
  }
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let sums = sums_of(a0, b0, first, last, m0, n0, thread, false);

  let n = n0 + thread % COLUMNS * 4u;
  let m = m0 + thread / COLUMNS * 4u;
  store(c0, m, n, sums.s0);
  store(c0, m + 1u, n, sums.s1);
  store(c0, m + 2u, n, sums.s2);
  store(c0, m + 3u, n, sums.s3);
  if (RM == 8u) {
    let low = m + TILE_M / 2u;
    store(c0, low, n, sums.s4);
    store(c0, low + 1u, n, sums.s5);
    store(c0, low + 2u, n, sums.s6);
    store(c0, low + 3u, n, sums.s7);
  }
}
