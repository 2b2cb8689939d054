// What products multiply at precision f16: operands rounded as they are loaded, so that it does not matter which of them is kept
// in f16. A product of two is exact in f32, and sums stay f32. Needs lib/half.
fn operand(v: vec4f) -> vec4f { return halved(v); }
