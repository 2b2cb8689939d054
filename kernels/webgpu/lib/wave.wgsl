// sin(x + quarter pi / 2): x = n pi / 2 + r with |r| <= pi / 4, pi / 2 in three parts, then the polynomial of sin or cos by the last
// bits of n. Absolutely within 2e-7 for |x| <= 8192 and 4e-6 up to 1e5; NaN beyond. The built-ins of adapters may err by 5e-4.
fn wave(x: f32, quarter: u32) -> f32 {
  let u = abs(x);
  let n = round(x * 0.63661975f);
  let r = fma(n, -7.5497901e-8f, fma(n, -4.8375130e-4f, fma(n, -1.5703125f, x)));
  let s = r * r;
  let sine = fma(r * s, fma(fma(-1.9515296e-4f, s, 8.3321609e-3f), s, -0.16666655f), r);
  let cosine = fma(s * s, fma(fma(2.4433157e-5f, s, -1.3887316e-3f), s, 4.1666646e-2f), fma(s, -0.5f, 1f));
  let turn = bitcast<u32>(i32(clamp(n, -1e6f, 1e6f))) + quarter;
  let y = select(sine, cosine, (turn & 1u) == 1u);
  let signed = select(y, -y, (turn & 2u) == 2u);
  let none = bitcast<f32>(0x7fc00000u | (bitcast<u32>(x) & 1u)); // written so that it is no constant
  return select(none, signed, u <= 1e5f);
}
