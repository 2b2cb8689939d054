// parts[q * chunks + z] (M x N) = A[q] (M x K) * B'[q] (K x N) over chunk z of K, of up to three products q of one shape, for
// hardware. B' = B or B^T. Who reads the parts is a join: matmul_join.wgsl and others.
//
// One workgroup owns a tile of one part, as in matmul_tile.wgsl; parts run along z.
//
// Numerics: f32 sums strictly in order of k: the same bits on every run.
override TRANS_B: u32 = 0u;
override B_DTYPE: u32 = 0u;
const TRANS_A: u32 = 0u;
const SUMS: u32 = 0u;

struct Params { M: u32, N: u32, K: u32, lda: u32, ldb: u32, products: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a0: array<Value>;
@group(0) @binding(2) var<storage, read> b0: array<Word>;
@group(0) @binding(3) var<storage, read> a1: array<Value>;
@group(0) @binding(4) var<storage, read> b1: array<Word>;
@group(0) @binding(5) var<storage, read> a2: array<Value>;
@group(0) @binding(6) var<storage, read> b2: array<Word>;
@group(0) @binding(7) var<storage, read_write> parts: array<Value>;

var<private> product: u32; // the same for all threads of a workgroup

fn a_at(i: u32) -> Value {
  if (product == 0u) { return a0[i]; }
  if (product == 1u) { return a1[i]; }
  return a2[i];
}

fn b_at(i: u32) -> Word {
  if (product == 0u) { return b0[i]; }
  if (product == 1u) { return b1[i]; }
  return b2[i];
}

fn store(base: u32, m: u32, n: u32, sum: vec4f) {
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) { parts[(base + m * p.N + n + j) / WIDTH] = value_of(sum, j); }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  product = wg.z / p.chunks;
  let steps = ((p.K + TILE_K - 1u) / TILE_K + p.chunks - 1u) / p.chunks * TILE_K;
  let first = min(wg.z % p.chunks * steps, p.K);
  let last = min(first + steps, p.K);
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let sums = sums_of(0u, 0u, first, last, m0, n0, thread, false);

  let base = wg.z * (p.M * p.N);
  let n = n0 + thread % COLUMNS * 4u;
  let m = m0 + thread / COLUMNS * 4u;
  store(base, m, n, sums.s0);
  store(base, m + 1u, n, sums.s1);
  store(base, m + 2u, n, sums.s2);
  store(base, m + 3u, n, sums.s3);
  if (RM == 8u) {
    let low = m + TILE_M / 2u;
    store(base, low, n, sums.s4);
    store(base, low + 1u, n, sums.s5);
    store(base, low + 2u, n, sums.s6);
    store(base, low + 3u, n, sums.s7);
  }
}
