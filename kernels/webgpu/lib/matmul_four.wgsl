// Loads of matmul_tile.wgsl and matmul_parts.wgsl, four elements at once. Needs: N, all leading dimensions,
// offsets and strides % 4 == 0; M % 4 == 0 (TRANS_A), else K % 4 == 0; K % 4 == 0 (TRANS_B); B's
// bytes % 16 == 0. Rows and columns past the end repeat the last ones, for nobody stores their
// sums; steps from `end` on are zero in both operands.
alias Value = vec4f;
alias Word = vec4u;
const WIDTH: u32 = 4u;

// elements j .. j + WIDTH - 1
fn value_of(v: vec4f, j: u32) -> Value { return v; }

// A'[m][k .. k + 3], or A'[m .. m + 3][k] with TRANS_A
fn load_a(base: u32, m: u32, k: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  if (TRANS_A == 1u) { return a_at((base + k * p.lda + min(m, p.M - 4u)) / 4u); }
  return a_at((base + min(m, p.M - 1u) * p.lda + k) / 4u);
}

// B'[k .. k + 3][n] with TRANS_B, else B'[k][n .. n + 3]
fn load_b(base: u32, k: u32, n: u32, end: u32) -> vec4f {
  if (k >= end) { return vec4f(); }
  var index = base + k * p.ldb + min(n, p.N - 4u);
  if (TRANS_B == 1u) { index = base + min(n, p.N - 1u) * p.ldb + k; }
  if (B_DTYPE == DTYPE_F32) { return bitcast<vec4f>(b_at(index / 4u)); }
  let words = b_at(index / 8u);
  let pair = select(words.xy, words.zw, (index & 4u) != 0u);
  return vec4f(decode_pair(pair.x, B_DTYPE), decode_pair(pair.y, B_DTYPE));
}
