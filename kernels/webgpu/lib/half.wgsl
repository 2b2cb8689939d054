// f32 values as f16 has them: rounded to the nearest, ties to even; 65520 and more become infinity, NaN stays. By bits: WGSL leaves
// to an adapter how its own conversions round, and what they give beyond the range.
fn halved(v: vec4f) -> vec4f {
  let bits = bitcast<vec4u>(v);
  let size = bits & vec4u(0x7fffffffu);
  let sign = bits ^ size;
  let nearest = (size + vec4u(0xfffu) + ((size >> vec4u(13u)) & vec4u(1u))) & vec4u(0xffffe000u);
  // below 2^-14 steps are 2^-24 wide
  let small = bitcast<vec4u>(round(abs(v) * 16777216f) * 5.9604644775390625e-8);
  let finite = select(nearest, small, size < vec4u(0x38800000u));
  let all = select(finite, vec4u(0x7f800000u), size >= vec4u(0x477ff000u));
  return bitcast<vec4f>(sign | select(all, size, size > vec4u(0x7f800000u)));
}

// four values, the first in the low half of the first word
fn packed(v: vec4f) -> vec2u {
  let h = halved(v);
  return vec2u(pack2x16float(h.xy), pack2x16float(h.zw));
}
