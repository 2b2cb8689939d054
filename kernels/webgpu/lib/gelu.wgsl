// Exact GELU: gelu(x) = x * Phi(x), and its derivative Phi(x) + x * phi(x).
// Phi(x) = (1 + erf(x / sqrt 2)) / 2, phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
//
// Two polynomials, fitted to the least largest error: erf(u) = u * P(u^2) for u < 1 (6e-10), and
// erfc(u) = t * Q(t) * exp(-u^2) with t = 1 / (1 + u / 2) from there on (7e-9). In f32, with an exp
// of relative error 1e-6, erf is within 2e-7, gelu within 4e-7 for |x| <= 8, its derivative 2e-7.
// The negative half of Phi is erfc / 2, without the cancellation of 1 - erf. NaN gives NaN where
// the adapter keeps it.
const SQRT_HALF: f32 = 0.70710678118654752;
const INV_SQRT_2PI: f32 = 0.39894228040143268;

// erf(u) for |u| <= 1
fn erf_near(u: f32) -> f32 {
  let s = u * u;
  let high = fma(s, fma(s, fma(s, 7.6476987e-5f, -7.9425570e-4f), 5.1797768e-3f), -2.6848609e-2f);
  return u * fma(s, fma(s, fma(s, high, 0.11283430f), -0.37612605f), 1.1283791f);
}

// erfc(u) for u >= 1; the exponent is clamped where the result has long been negligible
fn erfc_far(u: f32) -> f32 {
  let t = 1f / fma(0.5f, u, 1f);
  let high = fma(t, fma(t, -0.18737647f, 0.51808423f), 0.063536815f);
  return t * fma(t, fma(t, high, 0.32870883f), 0.27750379f) * exp(-min(u * u, 80f));
}

fn erf(x: f32) -> f32 {
  let u = abs(x);
  let far = 1f - erfc_far(u);
  return select(erf_near(x), select(far, -far, x < 0f), u >= 1f);
}

fn normal_cdf(x: f32) -> f32 {
  let u = abs(x) * SQRT_HALF;
  let tail = 0.5f * erfc_far(u);
  return select(fma(0.5f, erf_near(x * SQRT_HALF), 0.5f), select(1f - tail, tail, x < 0f), u >= 1f);
}

fn gelu(x: f32) -> f32 { return x * normal_cdf(x); }

fn gelu_derivative(x: f32) -> f32 {
  let u = clamp(x, -13f, 13f); // the exponential is 2e-35 from there on, however large x is
  return normal_cdf(x) + u * INV_SQRT_2PI * exp(-0.5f * min(u * u, 160f));
}
