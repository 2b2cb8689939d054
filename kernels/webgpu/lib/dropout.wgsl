// Dropout inside other kernels, DROPOUT == 1: of what falls out, number n stays where uniform < keep. Its word is word n % 4 of Philox
// with key (seed low, op index) and counter (n / 4, step, micro-step, seed high), as in dropout.wgsl.

// The words of numbers 4t .. 4t + 3.
fn dropout_block(t: u32) -> vec4u {
  return philox(vec4u(t, rng.z, rng.w, rng.y), vec2u(rng.x, p.op));
}

// Does number n stay?
fn stays(n: u32) -> bool {
  let block = dropout_block(n / 4u);
  let two = select(block.xy, block.zw, (n & 2u) != 0u);
  return uniform01(select(two.x, two.y, (n & 1u) != 0u)) < p.keep;
}

// Which of numbers first + 4g .. first + 4g + 3 stay? A row's groups come in order: `block` is block first / 4 + g, and becomes the next
// one, into which a group reaches where `first` is no multiple of four.
fn stay4(first: u32, g: u32, block: ptr<function, vec4u>) -> vec4<bool> {
  let low = *block;
  let high = dropout_block(first / 4u + g + 1u);
  *block = high;
  let far = (first & 2u) != 0u;
  let even = select(low, vec4u(low.zw, high.xy), far);
  let fifth = select(high.x, high.z, far);
  let bits = select(even, vec4u(even.yzw, fifth), (first & 1u) != 0u);
  return uniform01_four(bits) < vec4f(p.keep);
}
