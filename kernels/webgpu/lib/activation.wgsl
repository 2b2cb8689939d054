// tanh, SiLU and the tanh approximation of GELU, with their derivatives.
//
// tanh: an odd polynomial (relative error 7e-9) below 0.625, where the built-in of some adapters loses the digits of small x;
// from there on 1 - 2 / (exp(2 |x|) + 1), clamped where that is 1.
// silu(x) = x sigmoid(x); gelu_tanh(x) = x (1 + tanh z) / 2 = x sigmoid(2 z), which does not cancel for negative x. Arguments of
// exp are clamped where the result is 0 or x, so that nothing overflows.
fn tanh_exact(x: f32) -> f32 {
  let u = min(abs(x), 15f);
  let s = u * u;
  let high = fma(s, fma(s, -0.005515161f, 0.020469418f), -0.053688023f);
  let near = fma(x * s, fma(s, fma(s, high, 0.13330831f), -0.3333326f), x);
  let far = 1f - 2f / (exp(2f * u) + 1f);
  return select(select(far, -far, x < 0f), near, u < 0.625f);
}

fn silu(x: f32) -> f32 { return select(x / (1f + exp(min(-x, 88f))), 0f, x < -100f); }

// s (1 + c (1 - s)) with s = sigmoid(z); neither s nor 1 - s cancels
fn gated_slope(z: f32, c: f32) -> f32 {
  let e = exp(-abs(z));
  let large = 1f / (1f + e);
  let small = e * large;
  return select(large, small, z < 0f) * fma(c, select(small, large, z < 0f), 1f);
}

fn silu_derivative(x: f32) -> f32 {
  let c = clamp(x, -100f, 100f);
  return gated_slope(c, c);
}

// 2 sqrt(2 / pi), 0.044715 times that, 3 times that
const GELU_Z1: f32 = 1.5957691f;
const GELU_Z3: f32 = 0.07135482f;
const GELU_DZ2: f32 = 0.21406445f;

// From -10 on the tanh is -1 but for less than 1e-37, and 1 beyond 10.
fn gelu_tanh(x: f32) -> f32 {
  let u = clamp(x, -10f, 10f);
  let z = u * fma(u * u, GELU_Z3, GELU_Z1);
  return select(x / (1f + exp(-z)), 0f, x < -10f);
}

fn gelu_tanh_derivative(x: f32) -> f32 {
  let u = clamp(x, -10f, 10f);
  let s = u * u;
  return gated_slope(u * fma(s, GELU_Z3, GELU_Z1), u * fma(s, GELU_DZ2, GELU_Z1));
}
