// Loads of matmul_tile.wgsl and matmul_parts.wgsl, element by element: any size, any offset. What lies past
// the end is zero, and steps from `end` on.
alias Value = f32;
alias Word = u32;
const WIDTH: u32 = 1u;

// element j
fn value_of(v: vec4f, j: u32) -> Value { return v[j]; }

fn one_a(base: u32, m: u32, k: u32, end: u32) -> f32 {
  if (m >= p.M || k >= end) { return 0f; }
  return a_at(base + select(m * p.lda + k, k * p.lda + m, TRANS_A == 1u));
}

fn one_b(base: u32, k: u32, n: u32, end: u32) -> f32 {
  if (n >= p.N || k >= end) { return 0f; }
  let index = base + select(k * p.ldb + n, n * p.ldb + k, TRANS_B == 1u);
  return decode_one(b_at(decode_word(index, B_DTYPE)), index, B_DTYPE);
}

// A'[m][k .. k + 3], or A'[m .. m + 3][k] with TRANS_A
fn load_a(base: u32, m: u32, k: u32, end: u32) -> vec4f {
  let dm = TRANS_A;
  let dk = 1u - TRANS_A;
  return vec4f(
    one_a(base, m, k, end), one_a(base, m + dm, k + dk, end),
    one_a(base, m + 2u * dm, k + 2u * dk, end), one_a(base, m + 3u * dm, k + 3u * dk, end),
  );
}

// B'[k .. k + 3][n] with TRANS_B, else B'[k][n .. n + 3]
fn load_b(base: u32, k: u32, n: u32, end: u32) -> vec4f {
  let dk = TRANS_B;
  let dn = 1u - TRANS_B;
  return vec4f(
    one_b(base, k, n, end), one_b(base, k + dk, n + dn, end),
    one_b(base, k + 2u * dk, n + 2u * dn, end), one_b(base, k + 3u * dk, n + 3u * dn, end),
  );
}
