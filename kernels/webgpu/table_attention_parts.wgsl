// The first of two launches of attention whose keys and values are one table B (N x K), for hardware: scores (M x N) = A B^T + bias +
// residual, and of each tile t of 128 rows of B
//   parts[t] (M x K) = U B, the columns of U and the rows of B being those of the tile,
//   U = exp(scores - their row's maximum in the tile), or, with GRADIENT (scores are then a gradient of y), U = y * scores;
//   stats[t, m] = the sum of U's row; without GRADIENT stats[tiles + t, m] = that maximum.
// table_attention.wgsl and table_attention_backward.wgsl make of them what attention gives.
//
// One workgroup owns 32 rows and a tile. It reads the tile from B twice, the second time from the caches as far as they reach:
// therefore the columns that it read last come first.
//
// Numerics: f32 sums strictly in order of k and of B's rows, those of a row of U by a fixed tree: the same bits on every run. Nothing
// overflows but what overflows in the scores. NaN gives NaN.
override BIAS: u32 = 0u;
override RESIDUAL: u32 = 0u;
override GRADIENT: u32 = 0u;
const TRANS_A: u32 = 0u;
const TRANS_B: u32 = 1u;
const B_DTYPE: u32 = DTYPE_F32;
const SUMS: u32 = 0u;

struct Params { M: u32, N: u32, K: u32, lda: u32, ldb: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> bias: array<Value>;
@group(0) @binding(4) var<storage, read> residual: array<Value>;
@group(0) @binding(5) var<storage, read> y: array<Value>;
@group(0) @binding(6) var<storage, read_write> scores: array<Value>;
@group(0) @binding(7) var<storage, read_write> parts: array<Value>;
@group(0) @binding(8) var<storage, read_write> stats: array<f32>;

fn a_at(i: u32) -> Value { return a[i]; }
fn b_at(i: u32) -> Word { return b[i]; }

// `v` with Value j of it replaced
fn with_value(v: vec4f, j: u32, one: Value) -> vec4f {
  return select(v, vec4f(one), vec4u(0u, 1u, 2u, 3u) >= vec4u(j));
}

// scores[m][n .. n + 3] from their sums, written too
fn score(m: u32, n: u32, sum: vec4f) -> vec4f {
  var s = sum;
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) {
      let at = (m * p.N + n + j) / WIDTH;
      var one = value_of(sum, j);
      if (BIAS == 1u) { one += bias[(n + j) / WIDTH]; }
      if (RESIDUAL == 1u) { one += residual[at]; }
      scores[at] = one;
      s = with_value(s, j, one);
    }
  }
  return s;
}

// y[m][n .. n + 3]
fn weight(m: u32, n: u32) -> vec4f {
  var v = vec4f();
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && n + j < p.N) { v = with_value(v, j, y[(m * p.N + n + j) / WIDTH]); }
  }
  return v;
}

fn largest(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

// Four rows of U times a row of B, added to what they have.
fn added(to: Block, u: vec4f, row: vec4f) -> Block {
  return Block(
    fma(vec4f(u.x), row, to.x), fma(vec4f(u.y), row, to.y),
    fma(vec4f(u.z), row, to.z), fma(vec4f(u.w), row, to.w),
  );
}

fn keep_part(base: u32, m: u32, k: u32, v: vec4f) {
  for (var j = 0u; j < 4u; j += WIDTH) {
    if (m < p.M && k + j < p.K) { parts[(base + m * p.K + k + j) / WIDTH] = value_of(v, j); }
  }
}

fn keep_parts(base: u32, m: u32, k: u32, v: Block) {
  keep_part(base, m, k, v.x);
  keep_part(base, m + 1u, k, v.y);
  keep_part(base, m + 2u, k, v.z);
  keep_part(base, m + 3u, k, v.w);
}

fn keep_stats(line: u32, m: u32, v: vec4f) {
  if (m < p.M) { stats[line * p.M + m] = v.x; }
  if (m + 1u < p.M) { stats[line * p.M + m + 1u] = v.y; }
  if (m + 2u < p.M) { stats[line * p.M + m + 2u] = v.z; }
  if (m + 3u < p.M) { stats[line * p.M + m + 3u] = v.w; }
}

// Rows of U that a thread multiplies, in fours
const MINE: u32 = 4u;
// Threads along k
const ALONG: u32 = THREADS / (ROWS4 / MINE);

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let tx = thread % COLUMNS;
  let ty = thread / COLUMNS;
  let m = m0 + 4u * ty;
  let n = n0 + 4u * tx;
  let rows = min(TILE_N, p.N - n0); // of B; behind the last one U is 0
  let columns = (rows + 3u) / 4u; // of threads
  let sums = sums_of(0u, 0u, 0u, p.K, m0, n0, thread, false);
  let inside = vec4u(n, n + 1u, n + 2u, n + 3u) < vec4u(p.N);
  var u0 = score(m, n, sums.s0);
  var u1 = score(m + 1u, n, sums.s1);
  var u2 = score(m + 2u, n, sums.s2);
  var u3 = score(m + 3u, n, sums.s3);
  var highest = vec4f(-3.4e38f); // of four rows
  if (GRADIENT == 1u) {
    u0 *= weight(m, n);
    u1 *= weight(m + 1u, n);
    u2 *= weight(m + 2u, n);
    u3 *= weight(m + 3u, n);
  } else {
    let least = highest;
    tile[tx * ROWS4 + ty] = vec4f(
      largest(select(least, u0, inside)), largest(select(least, u1, inside)),
      largest(select(least, u2, inside)), largest(select(least, u3, inside)),
    );
    workgroupBarrier();
    for (var x = 0u; x < columns; x++) { highest = max(highest, tile[x * ROWS4 + ty]); }
    workgroupBarrier();
    u0 = exp(u0 - highest.x);
    u1 = exp(u1 - highest.y);
    u2 = exp(u2 - highest.z);
    u3 = exp(u3 - highest.w);
  }
  u0 = select(vec4f(), u0, inside);
  u1 = select(vec4f(), u1, inside);
  u2 = select(vec4f(), u2, inside);
  u3 = select(vec4f(), u3, inside);
  tile[tx * ROWS4 + ty] = vec4f(total(u0), total(u1), total(u2), total(u3));
  workgroupBarrier();
  if (tx == 0u) {
    var sum = vec4f();
    for (var x = 0u; x < columns; x++) { sum += tile[x * ROWS4 + ty]; }
    keep_stats(wg.x, m, sum);
    if (GRADIENT == 0u) { keep_stats(nwg.x + wg.x, m, highest); }
  }
  workgroupBarrier();
  let held = turned(Block(u0, u1, u2, u3));
  let at = 4u * tx * ROWS4 + ty;
  tile[at] = held.x;
  tile[at + ROWS4] = held.y;
  tile[at + 2u * ROWS4] = held.z;
  tile[at + 3u * ROWS4] = held.w;
  workgroupBarrier();

  let mine = MINE * (thread / ALONG);
  let row = m0 + 4u * mine;
  if (row >= p.M) { return; }
  let base = wg.x * p.M * p.K;
  for (var chunk = (p.K + 4u * ALONG - 1u) / (4u * ALONG); chunk > 0u; chunk--) {
    let k = 4u * ((chunk - 1u) * ALONG + thread % ALONG);
    var r0 = Block(vec4f(), vec4f(), vec4f(), vec4f());
    var r1 = Block(vec4f(), vec4f(), vec4f(), vec4f());
    var r2 = Block(vec4f(), vec4f(), vec4f(), vec4f());
    var r3 = Block(vec4f(), vec4f(), vec4f(), vec4f());
    var b0 = vec4f();
    var b1 = vec4f();
    for (var r = 0u; r < rows + 2u; r += 2u) {
      let next0 = load_b(0u, k, n0 + r, p.K); // on their way while the two before them are added
      let next1 = load_b(0u, k, n0 + r + 1u, p.K);
      if (r > 0u) {
        let at0 = (r - 2u) * ROWS4 + mine;
        let at1 = at0 + ROWS4;
        r0 = added(added(r0, tile[at0], b0), tile[at1], b1);
        r1 = added(added(r1, tile[at0 + 1u], b0), tile[at1 + 1u], b1);
        r2 = added(added(r2, tile[at0 + 2u], b0), tile[at1 + 2u], b1);
        r3 = added(added(r3, tile[at0 + 3u], b0), tile[at1 + 3u], b1);
      }
      b0 = next0;
      b1 = next1;
    }
    keep_parts(base, row, k, r0);
    keep_parts(base, row + 4u, k, r1);
    keep_parts(base, row + 8u, k, r2);
    keep_parts(base, row + 12u, k, r3);
  }
}
