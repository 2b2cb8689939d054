// Loads and stores of matmul_tile.wgsl, four elements at once. Needs: N, all leading dimensions,
// offsets and strides % 4 == 0; M % 4 == 0 (TRANS_A), else K % 4 == 0; K % 4 == 0 (TRANS_B); B's
// bytes % 16 == 0. Rows and columns past the end repeat the last ones, for nobody stores their
// sums; steps past the end of K are zero in both operands.
alias Value = vec4f;
alias Word = vec4u;

// A'[m][k .. k + 3], or A'[m .. m + 3][k] with TRANS_A
fn load_a(base: u32, m: u32, k: u32) -> vec4f {
  if (k >= p.K) { return vec4f(); }
  if (TRANS_A == 1u) { return a[(base + k * p.lda + min(m, p.M - 4u)) / 4u]; }
  return a[(base + min(m, p.M - 1u) * p.lda + k) / 4u];
}

// B'[k .. k + 3][n] with TRANS_B, else B'[k][n .. n + 3]
fn load_b(base: u32, k: u32, n: u32) -> vec4f {
  if (k >= p.K) { return vec4f(); }
  var index = base + k * p.ldb + min(n, p.N - 4u);
  if (TRANS_B == 1u) { index = base + min(n, p.N - 1u) * p.ldb + k; }
  if (B_DTYPE == DTYPE_F32) { return bitcast<vec4f>(b[index / 4u]); }
  let words = b[index / 8u];
  let pair = select(words.xy, words.zw, (index & 4u) != 0u);
  return vec4f(decode_pair(pair.x, B_DTYPE), decode_pair(pair.y, B_DTYPE));
}

// C[m][n .. n + 3] from its sums
fn store(base: u32, m: u32, n: u32, sum: vec4f) {
  if (m >= p.M || n >= p.N) { return; }
  let at = (base + m * p.ldc + n) / 4u;
  var y = p.alpha * sum;
  if (ACCUMULATE == 1u) { y += c[at]; }
  if (BIAS == 1u) { y += bias[n / 4u]; }
  if (ACTIVATION == 1u) {
    pre[at] = y;
    y = vec4f(gelu(y.x), gelu(y.y), gelu(y.z), gelu(y.w));
  }
  if (RESIDUAL == 1u) { y += residual[at]; }
  c[at] = y;
}
