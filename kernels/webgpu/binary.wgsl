// y = a OP b, elementwise; a and b are read by strides (0 on broadcast axes), or RANK 0: all three
// alike.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: f32, i32 and u32 (integers wrap). A NaN operand makes max, min and arithmetic NaN,
// every comparison false and `not equal` true; NaN is found by its bits.
override OP: u32 = 0u;
override TYPE: u32 = 0u;
override RANK: u32 = 0u;
// 1: the last axis is a multiple of 4, so that a thread takes neighbours and divides once for all four.
override QUAD: u32 = 0u;
// Which operand is the number `value`; where a is, the array is still bound as a.
override NUMBER: u32 = 0u;

struct Params {
  n: u32, d1: u32, d2: u32, d3: u32, d4: u32,
  a0: u32, a1: u32, a2: u32, a3: u32, a4: u32,
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32,
  value: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u;
  var first = Index5(0u, vec4u(0u));
  if (QUAD == 1u) { first = unravel(base + lane * 4u, vec4u(p.d1, p.d2, p.d3, p.d4), RANK); }
  for (var k = 0u; k < 4u; k++) {
    let i = base + select(lane + k * 64u, lane * 4u + k, QUAD == 1u);
    if (i < p.n) {
      var ia = i;
      var ib = i;
      if (RANK > 0u) {
        var at = first;
        if (QUAD == 1u) { at.rest.w += k; } else { at = unravel(i, vec4u(p.d1, p.d2, p.d3, p.d4), RANK); }
        ia = offset5(at, p.a0, vec4u(p.a1, p.a2, p.a3, p.a4));
        ib = offset5(at, p.b0, vec4u(p.b1, p.b2, p.b3, p.b4));
      }
      if (NUMBER == NUMBER_NEITHER) { y[i] = apply(a[ia], b[ib]); }
      if (NUMBER == NUMBER_RIGHT) { y[i] = apply(a[ia], p.value); }
      if (NUMBER == NUMBER_LEFT) { y[i] = apply(p.value, a[ia]); }
    }
  }
}

fn apply(l: u32, r: u32) -> u32 {
  if (TYPE == TYPE_F32) {
    if (OP < BINARY_GREATER) { return bitcast<u32>(float_op(bitcast<f32>(l), bitcast<f32>(r))); }
    if (is_nan_bits(l) || is_nan_bits(r)) { return select(0u, 1u, OP == BINARY_NOT_EQUAL); }
    return float_test(bitcast<f32>(l), bitcast<f32>(r));
  }
  if (TYPE == TYPE_I32) { return int_op(bitcast<i32>(l), bitcast<i32>(r)); }
  return uint_op(l, r);
}

fn float_op(l: f32, r: f32) -> f32 {
  if (OP == BINARY_ADD) { return l + r; }
  if (OP == BINARY_SUB) { return l - r; }
  if (OP == BINARY_MUL) { return l * r; }
  if (OP == BINARY_DIV) { return l / r; }
  if (OP == BINARY_MAXIMUM) { return max_nan(l, r); }
  return min_nan(l, r);
}

fn float_test(l: f32, r: f32) -> u32 {
  if (OP == BINARY_GREATER) { return u32(l > r); }
  if (OP == BINARY_LESS) { return u32(l < r); }
  if (OP == BINARY_GREATER_EQUAL) { return u32(l >= r); }
  if (OP == BINARY_LESS_EQUAL) { return u32(l <= r); }
  if (OP == BINARY_EQUAL) { return u32(l == r); }
  return u32(l != r);
}

fn int_op(l: i32, r: i32) -> u32 {
  if (OP == BINARY_ADD) { return bitcast<u32>(l + r); }
  if (OP == BINARY_SUB) { return bitcast<u32>(l - r); }
  if (OP == BINARY_MUL) { return bitcast<u32>(l * r); }
  if (OP == BINARY_DIV) { return bitcast<u32>(l / r); }
  if (OP == BINARY_MAXIMUM) { return bitcast<u32>(max(l, r)); }
  if (OP == BINARY_MINIMUM) { return bitcast<u32>(min(l, r)); }
  if (OP == BINARY_GREATER) { return u32(l > r); }
  if (OP == BINARY_LESS) { return u32(l < r); }
  if (OP == BINARY_GREATER_EQUAL) { return u32(l >= r); }
  if (OP == BINARY_LESS_EQUAL) { return u32(l <= r); }
  if (OP == BINARY_EQUAL) { return u32(l == r); }
  return u32(l != r);
}

fn uint_op(l: u32, r: u32) -> u32 {
  if (OP == BINARY_ADD) { return l + r; }
  if (OP == BINARY_SUB) { return l - r; }
  if (OP == BINARY_MUL) { return l * r; }
  if (OP == BINARY_DIV) { return l / r; }
  if (OP == BINARY_MAXIMUM) { return max(l, r); }
  if (OP == BINARY_MINIMUM) { return min(l, r); }
  if (OP == BINARY_GREATER) { return u32(l > r); }
  if (OP == BINARY_LESS) { return u32(l < r); }
  if (OP == BINARY_GREATER_EQUAL) { return u32(l >= r); }
  if (OP == BINARY_LESS_EQUAL) { return u32(l <= r); }
  if (OP == BINARY_EQUAL) { return u32(l == r); }
  if (OP == BINARY_NOT_EQUAL) { return u32(l != r); }
  if (OP == BINARY_LOGICAL_AND) { return u32(l != 0u && r != 0u); }
  return u32(l != 0u || r != 0u);
}
