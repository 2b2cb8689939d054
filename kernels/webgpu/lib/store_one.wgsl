// Stores of matmul_tile.wgsl, element by element: the epilogue of a product.
fn store_one(base: u32, m: u32, n: u32, sum: f32) {
  if (m >= p.M || n >= p.N) { return; }
  let at = base + m * p.ldc + n;
  var y = p.alpha * sum;
  if (ACCUMULATE == 1u) { y += c[at]; }
  if (BIAS == 1u) { y += bias[n]; }
  if (ACTIVATION == 1u) {
    pre[at] = y;
    y = gelu(y);
  }
  if (RESIDUAL == 1u) { y += residual[at]; }
  c[at] = y;
}

// C[m][n .. n + 3] from its sums
fn store(base: u32, m: u32, n: u32, sum: vec4f) {
  store_one(base, m, n, sum.x);
  store_one(base, m, n + 1u, sum.y);
  store_one(base, m, n + 2u, sum.z);
  store_one(base, m, n + 3u, sum.w);
}
