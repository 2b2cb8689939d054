// Exact GELU: gelu(x) = x * Phi(x) with Phi(x) = (1 + erf(x / sqrt 2)) / 2, and its derivative Phi(x) + x * phi(x).
//
// erf by Abramowitz and Stegun 7.1.26, a polynomial of degree 5 in t = 1 / (1 + 0.3275911 |x|): absolute error <= 1.5e-7.
const SQRT_HALF: f32 = 0.70710678118654752;
const INV_SQRT_2PI: f32 = 0.39894228040143268;

fn erf(x: f32) -> f32 {
  let t = 1f / fma(0.3275911f, abs(x), 1f);
  let poly = t * fma(t, fma(t, fma(t, fma(t, 1.061405429f, -1.453152027f), 1.421413741f), -0.284496736f), 0.254829592f);
  let y = 1f - poly * exp(-min(x * x, 80f));
  return select(y, -y, x < 0f);
}

fn gelu(x: f32) -> f32 { return 0.5f * x * (1f + erf(x * SQRT_HALF)); }

fn gelu_derivative(x: f32) -> f32 {
  return 0.5f * (1f + erf(x * SQRT_HALF)) + x * INV_SQRT_2PI * exp(-0.5f * min(x * x, 160f));
}
