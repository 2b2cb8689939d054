// c<q> [M, N] = A [M, K] * B'[q] [K, N], and with BIAS + bias<q>[n], of two or three products q of one x, such as query, key and value, whose K
// is not split. B' = B or B^T. A launch of two products has no c2. Three with biases bind ten storage buffers.
//
// One workgroup owns a tile of one c, as in matmul_tile.wgsl; products run along z.
//
// Numerics: f32 sums strictly in order of k: the same bits on every run.
override TRANS_B: u32 = 0u;
override B_DTYPE: u32 = 0u;
override BIAS: u32 = 0u;
const TRANS_A: u32 = 0u;
const SUMS: u32 = 0u;

struct Params { M: u32, N: u32, K: u32, lda: u32, ldb: u32, products: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b0: array<Word>;
@group(0) @binding(3) var<storage, read> b1: array<Word>;
@group(0) @binding(4) var<storage, read> b2: array<Word>;
@group(0) @binding(5) var<storage, read> bias0: array<Value>;
@group(0) @binding(6) var<storage, read> bias1: array<Value>;
@group(0) @binding(7) var<storage, read> bias2: array<Value>;
@group(0) @binding(8) var<storage, read_write> c0: array<Value>;
@group(0) @binding(9) var<storage, read_write> c1: array<Value>;
@group(0) @binding(10) var<storage, read_write> c2: array<Value>;

var<private> product: u32; // the same for all threads of a workgroup

fn a_at(i: u32) -> Value { return a[i]; }

fn b_at(i: u32) -> Word {
  if (product == 0u) { return b0[i]; }
  if (product == 1u) { return b1[i]; }
  return b2[i];
}

fn bias_at(i: u32) -> Value {
  if (product == 0u) { return bias0[i]; }
  if (product == 1u) { return bias1[i]; }
  return bias2[i];
}

// c<product>[m][n .. n + 3] from its sums
fn store(m: u32, n: u32, sum: vec4f) {
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) {
      let at = (m * p.N + n + j) / WIDTH;
      var y = value_of(sum, j);
      if (BIAS == 1u) { y += bias_at((n + j) / WIDTH); }
      if (product == 0u) {
        c0[at] = y;
      } else if (product == 1u) {
        c1[at] = y;
      } else {
        c2[at] = y;
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  product = wg.z;
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
