// Strided indices of up to five axes. Sizes and strides are right-aligned: the last axis is number
// 4.
struct Index5 { first: u32, rest: vec4u }

// The coordinates of element i of a row-major array whose last four sizes are d; the first `5 -
// rank` axes have size 1.
fn unravel(i: u32, d: vec4u, rank: u32) -> Index5 {
  var at = Index5(0u, vec4u(0u));
  var r = i;
  if (rank == 1u) {
    at.rest.w = r;
    return at;
  }
  var q = r / d.w;
  at.rest.w = r - q * d.w;
  r = q;
  if (rank == 2u) {
    at.rest.z = r;
    return at;
  }
  q = r / d.z;
  at.rest.z = r - q * d.z;
  r = q;
  if (rank == 3u) {
    at.rest.y = r;
    return at;
  }
  q = r / d.y;
  at.rest.y = r - q * d.y;
  r = q;
  if (rank == 4u) {
    at.rest.x = r;
    return at;
  }
  q = r / d.x;
  at.rest.x = r - q * d.x;
  at.first = q;
  return at;
}

fn offset5(at: Index5, s0: u32, s: vec4u) -> u32 {
  return at.first * s0 + at.rest.x * s.x + at.rest.y * s.y + at.rest.z * s.z + at.rest.w * s.w;
}
