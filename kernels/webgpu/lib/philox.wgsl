// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011):
// 128 random bits from a 128-bit counter and a 64-bit key, by ten rounds of two 32 x 32 -> 64 bit
// products.
fn mul_wide(a: u32, b: u32) -> vec2u { // (high, low) word of a * b, from 16-bit halves
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let low = al * bl;
  let left = ah * bl;
  let right = al * bh;
  let middle = (low >> 16u) + (left & 0xffffu) + (right & 0xffffu);
  return vec2u(ah * bh + (left >> 16u) + (right >> 16u) + (middle >> 16u), a * b);
}

fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let u = mul_wide(0xD2511F53u, c.x);
    let v = mul_wide(0xCD9E8D57u, c.z);
    c = vec4u(v.x ^ c.y ^ k.x, v.y, u.x ^ c.w ^ k.y, u.y);
    k += vec2u(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

// Uniform in [0, 1), a multiple of 2^-24.
fn uniform01(bits: u32) -> f32 {
  return f32(bits >> 8u) * 5.9604644775390625e-8;
}

fn uniform01_four(bits: vec4u) -> vec4f {
  return vec4f(bits >> vec4u(8u)) * 5.9604644775390625e-8;
}
