// C = A^T B (M x N), the gradient of a matrix over K rows, for hardware; with PAIR C = A^T B + A1^T B1, those of K1 rows. And what else is
// wanted of what a workgroup has at hand:
// SQUARES: partials[at + w] = (sum of C[m, n]^2, how many C[m, n] are not finite) over the tile of workgroup w, as grad_norm.wgsl reads
// them; of the `rows` places those without a workgroup are zero. SUMS: sums[m] = sum_k A[k, m], the gradient of a bias, without PAIR.
//
// One workgroup owns a tile of C, as in matmul_tile.wgsl; the first of each row of tiles has the sums of its rows too.
//
// Numerics: f32 sums in order of k; what is not finite is found by its bits and left out of the squares, whose sum is a fixed tree
// over a workgroup: the same bits on every run.
override SQUARES: u32 = 0u;
override SUMS: u32 = 0u;
override PAIR: u32 = 0u;
const TRANS_A: u32 = 1u;
const TRANS_B: u32 = 0u;
const B_DTYPE: u32 = DTYPE_F32;
const LANES: u32 = THREADS; // for lib/reduce.wgsl
const ROWS: u32 = 1u;

struct Params { M: u32, N: u32, K: u32, K1: u32, lda: u32, ldb: u32, rows: u32, at: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> a1: array<Value>;
@group(0) @binding(4) var<storage, read> b1: array<Word>;
@group(0) @binding(5) var<storage, read_write> c: array<Value>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;

var<private> second: bool; // of the pair

fn a_at(i: u32) -> Value {
  if (PAIR == 1u && second) { return a1[i]; }
  return a[i];
}

fn b_at(i: u32) -> Word {
  if (PAIR == 1u && second) { return b1[i]; }
  return b[i];
}

// Writes C[m][n .. n + 3]; (the sum of their squares, how many are not finite)
fn store(m: u32, n: u32, v: vec4f) -> vec2f {
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) { c[(m * p.N + n + j) / WIDTH] = value_of(v, j); }
  }
  if (SQUARES == 0u) { return vec2f(); }
  let inside = vec4<bool>(m < p.M) & (vec4u(n, n + 1u, n + 2u, n + 3u) < vec4u(p.N));
  let bad = (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) >= vec4u(0x7f800000u);
  let good = select(vec4f(), v, inside & !bad);
  let count = select(vec4f(), vec4f(1f), inside & bad);
  return vec2f(dot(good, good), dot(count, vec4f(1f)));
}

fn store_sums(m: u32, v: vec4f) {
  if (m < p.M) { sums[m] = v.x; }
  if (m + 1u < p.M) { sums[m + 1u] = v.y; }
  if (m + 2u < p.M) { sums[m + 2u] = v.z; }
  if (m + 3u < p.M) { sums[m + 3u] = v.w; }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  var made = sums_of(0u, 0u, 0u, p.K, m0, n0, thread, wg.x == 0u);
  if (PAIR == 1u) {
    second = true;
    made = sums_onto(made, 0u, 0u, 0u, p.K1, m0, n0, thread, false);
  }

  let n = n0 + thread % COLUMNS * 4u;
  let m = m0 + thread / COLUMNS * 4u;
  let low = m + TILE_M / 2u;
  var found = store(m, n, made.s0);
  found += store(m + 1u, n, made.s1);
  found += store(m + 2u, n, made.s2);
  found += store(m + 3u, n, made.s3);
  if (RM == 8u) {
    found += store(low, n, made.s4);
    found += store(low + 1u, n, made.s5);
    found += store(low + 2u, n, made.s6);
    found += store(low + 3u, n, made.s7);
  }
  if (SUMS == 1u && n == 0u) {
    store_sums(m, made.upper);
    if (RM == 8u) { store_sums(low, made.lower); }
  }
  if (SQUARES == 0u) { return; }
  let sum = row_sum(found.x, thread, 0u);
  let bad = row_sum(found.y, thread, 0u);
  let own = wg.y * nwg.x + wg.x;
  let all = nwg.x * nwg.y;
  if (thread == 0u) { partials[p.at + own] = vec2f(sum, bad); }
  for (var i = all + own * THREADS + thread; i < p.rows; i += all * THREADS) {
    partials[p.at + i] = vec2f();
  }
}
