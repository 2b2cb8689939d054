// Stores of matmul_tile.wgsl, four elements at once: the epilogue of a product. Needs what lib/matmul_four.wgsl needs.
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
