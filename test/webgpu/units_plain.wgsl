// What lib/units.wgsl has, in plain WGSL: each of 32 threads has eight neighbours of the 16 x 16 sums, and reads the tile. Behind
// lib/half.wgsl. Sums are in order of k, so that their bits are those of lib/matmul_sums.wgsl.
struct Left { at: u32, line: u32 }
struct Right { at: u32, line: u32 }
struct Result { sums: array<f32, 8> }

fn halves(v: vec4f) -> vec2u { return packed(v); }

fn left_at(at: u32, line: u32) -> Left { return Left(at, line); }
fn right_at(at: u32, line: u32) -> Right { return Right(at, line); }

// half i of a line of the tile
fn half_at(line: u32, i: u32) -> f32 {
  let pair = unpack2x16float(tile[line + i / 8u][i / 2u % 4u]);
  return select(pair.x, pair.y, (i & 1u) == 1u);
}

fn left_half(a: Left, m: u32, k: u32) -> f32 {
  if (TRANS_A == 1u) { return half_at(a.at + k * a.line, m); }
  return half_at(a.at + m * a.line, k);
}

fn right_half(b: Right, k: u32, n: u32) -> f32 {
  if (TRANS_B == 1u) { return half_at(b.at + n * b.line, k); }
  return half_at(b.at + k * b.line, n);
}

fn multiplied(a: Left, b: Right, c: Result, lane: u32) -> Result {
  let n = lane % 2u * 8u;
  var sums = c.sums;
  for (var k = 0u; k < times(16u); k++) {
    let x = left_half(a, lane / 2u, k);
    for (var j = 0u; j < times(8u); j++) { sums[j] = fma(x, right_half(b, k, n + j), sums[j]); }
  }
  return Result(sums);
}

// of a loop, so that it is not unrolled: to compile that would take seconds
fn times(n: u32) -> u32 { return min(p.K + n, n); }

fn keep(c: Result, at: u32, line: u32, lane: u32) {
  let word = at + lane / 2u * line + lane % 2u * 2u;
  tile[word] = bitcast<vec4u>(vec4f(c.sums[0], c.sums[1], c.sums[2], c.sums[3]));
  tile[word + 1u] = bitcast<vec4u>(vec4f(c.sums[4], c.sums[5], c.sums[6], c.sums[7]));
}
