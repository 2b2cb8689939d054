// Matrix units, for lib/matmul_units.wgsl: 32 threads together multiply 16 x 16 operands of f16 and add in f32. Needs subgroups of
// 32 and a device that lists this form; the only file that names the built-ins.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // which 32 threads are together follows from their numbers
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;

// four values rounded to f16, the first in the low half of the first word
fn halves(v: vec4f) -> vec2u { return bitcast<vec2u>(vec4<f16>(v)); }

// The operand that begins at a word of the tile; its lines, of k with TRANS_A and of m without, are `line` words apart
fn left_at(at: u32, line: u32) -> Left {
  if (TRANS_A == 1u) { return subgroupMatrixLoad<Left, col_major>(&tile, at, line); }
  return subgroupMatrixLoad<Left, row_major>(&tile, at, line);
}

// The same of B': lines of n with TRANS_B, of k without
fn right_at(at: u32, line: u32) -> Right {
  if (TRANS_B == 1u) { return subgroupMatrixLoad<Right, col_major>(&tile, at, line); }
  return subgroupMatrixLoad<Right, row_major>(&tile, at, line);
}

fn multiplied(a: Left, b: Right, c: Result, lane: u32) -> Result { return subgroupMatrixMultiplyAccumulate(a, b, c); }

// Writes 16 lines of 16 sums, from a word of the tile on
fn keep(c: Result, at: u32, line: u32, lane: u32) { subgroupMatrixStore<row_major>(&tile, at, c, line); }
