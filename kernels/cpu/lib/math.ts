// Elementary functions of four f32 lanes. NaN gives NaN. No tables, no branches.
//
// exp: x = n ln 2 + r with |r| <= ln 2 / 2, e^r = 1 + r + r^2 P(r), times 2^n. ln 2 is split, its first part short enough that
// n times it is exact. n is read from the low bits of x log2(e) + 1.5 * 2^23.
// tanh: e = expm1(-2|x|) from the same r, so that small x keep their digits; tanh |x| = -e / (e + 2).
// log: x = 2^n (1 + f) with 1 + f in [sqrt 1/2, sqrt 2); f - f^2 / 2 + f^3 P(f) + n ln 2.
// gelu, erf: the normal tail Phi(-u) = exp(-u^2 / 2) N(u) / D(u) for u >= 0, a quotient of polynomials with positive
// coefficients, so nothing cancels: gelu(x) = max(x, 0) - |x| Phi(-|x|) keeps its digits for negative x too. u^2 is taken
// in two parts, as the exponential multiplies its rounding.
// The polynomials were fitted to the least largest relative error over their intervals, which is below 1e-8 for all of them.
//
// Errors against float64, fused / not fused, where the result is a normal number:
//   exp, expLow 0.9 / 1.2 ulp; log 0.9 / 0.9; tanh 2.5 / 2.5; sigmoid 2.4 / 2.4; erf 2.4 / 2.6, absolutely 1.5e-7
//   gelu 6.3 / 7.5 ulp (relatively 4.2e-7 / 4.8e-7, for negative x too), for |x| <= 8 absolutely 2.4e-7
//   geluGrad absolutely 1.4e-7, relatively 5e-7 / 6e-7 for x < -1 and for x > -0.5
import { madd, nmadd } from "./simd";

const LOG2E: f32 = 1.44269504088896341;
const LN2_HI: f32 = 0.693145751953125; // 16 bits
const LN2_LO: f32 = 1.428606765330187e-6;
const ROUND: f32 = 12582912; // 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits
const ROUND_127: f32 = 12583039; // likewise, with the exponent's bias in the low bits
const TINY: f32 = 1.17549435e-38; // the least normal number

// @ts-ignore: decorator
@inline
function c(x: f32): v128 {
  return f32x4.splat(x);
}

/** (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2 */
// @ts-ignore: decorator
@inline
function curve(r: v128): v128 {
  let y = madd(c(0.0013814540579915047), r, c(0.00836874544620514));
  y = madd(y, r, c(0.04166838899254799));
  y = madd(y, r, c(0.1666652113199234));
  return madd(y, r, c(0.4999999403953552));
}

/** x - n ln 2 */
// @ts-ignore: decorator
@inline
function remainder(x: v128, n: v128): v128 {
  return nmadd(n, c(LN2_LO), nmadd(n, c(LN2_HI), x));
}

/** e^x: 0 below -87.3365 (no subnormal results), infinite above 88.7228. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const t = madd(x, c(LOG2E), c(ROUND));
  const r = remainder(x, f32x4.sub(t, c(ROUND)));
  const y = i32x4.add(madd(madd(curve(r), r, c(1)), r, c(1)), i32x4.shl(t, 23));
  const normal = v128.andnot(y, f32x4.lt(x, c(-87.33654)));
  return v128.bitselect(normal, f32x4.add(x, c(Infinity)), f32x4.le(x, c(88.72283)));
}

/** e^x for x <= 88 (what is left after subtracting a maximum): cheaper than exp. 0 below -87.7. */
// @ts-ignore: decorator
@inline
export function expLow(x: v128): v128 {
  const low = f32x4.pmax(x, c(-88));
  const t = madd(low, c(LOG2E), c(ROUND_127));
  const r = remainder(low, f32x4.sub(t, c(ROUND_127)));
  return f32x4.mul(madd(madd(curve(r), r, c(1)), r, c(1)), i32x4.shl(t, 23));
}

/** log(max(x, 1.2e-38)) */
// @ts-ignore: decorator
@inline
export function log(x: v128): v128 {
  const normal = f32x4.pmax(x, c(TINY));
  const n = i32x4.shr_s(i32x4.sub(normal, i32x4.splat(0x3f3504f3)), 23);
  const f = f32x4.sub(i32x4.sub(normal, i32x4.shl(n, 23)), c(1));
  const e = f32x4.convert_i32x4_s(n);
  let y = madd(c(-0.07634495943784714), f, c(0.12761574983596802));
  y = madd(y, f, c(-0.13160182535648346));
  y = madd(y, f, c(0.14201758801937103));
  y = madd(y, f, c(-0.16623356938362122));
  y = madd(y, f, c(0.20001226663589478));
  y = madd(y, f, c(-0.2500081956386566));
  y = madd(y, f, c(0.3333333134651184));
  y = madd(y, f, c(-0.5));
  y = madd(y, f32x4.mul(f, f), f32x4.mul(e, c(LN2_LO)));
  y = madd(e, c(LN2_HI), f32x4.add(f, y));
  return v128.bitselect(y, x, f32x4.lt(normal, c(Infinity)));
}

// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const y = f32x4.mul(f32x4.pmin(f32x4.abs(x), c(15)), c(-2));
  const t = madd(y, c(LOG2E), c(ROUND_127));
  const r = remainder(y, f32x4.sub(t, c(ROUND_127)));
  const power = i32x4.shl(t, 23);
  const e = madd(power, madd(curve(r), f32x4.mul(r, r), r), f32x4.sub(power, c(1)));
  return v128.bitselect(x, f32x4.div(e, f32x4.add(e, c(2))), i32x4.splat(0x80000000));
}

/** 1 / (1 + e^-x) */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(c(1), f32x4.add(c(1), exp(f32x4.neg(x))));
}

/** Beyond it Phi(-u) is 0 in f32. */
const FAR: f32 = 13.26;

/** exp(-u^2 / 2) for 0 <= u <= FAR */
// @ts-ignore: decorator
@inline
function bell(u: v128): v128 {
  const head = v128.and(u, i32x4.splat(0xfffff000)); // 12 bits: its square is exact
  const rest = f32x4.mul(f32x4.sub(u, head), f32x4.add(u, head));
  const x = f32x4.mul(f32x4.mul(head, head), c(-0.5));
  const t = madd(x, c(LOG2E), c(ROUND_127));
  const r = nmadd(rest, c(0.5), remainder(x, f32x4.sub(t, c(ROUND_127))));
  return f32x4.mul(madd(madd(curve(r), r, c(1)), r, c(1)), i32x4.shl(t, 23));
}

/** Phi(-u) / exp(-u^2 / 2) for 0 <= u <= FAR */
// @ts-ignore: decorator
@inline
function ratio(u: v128): v128 {
  let n = madd(c(0.004036999773234129), u, c(0.04009806364774704));
  let d = madd(c(0.0101191196590662), u, c(0.10051815211772919));
  n = madd(n, u, c(0.18164584040641785));
  d = madd(d, u, c(0.46527522802352905));
  n = madd(n, u, c(0.43614622950553894));
  d = madd(d, u, c(1.1958961486816406));
  n = madd(n, u, c(0.5));
  d = madd(d, u, c(1.6701774597167969));
  return f32x4.div(n, madd(d, u, c(1)));
}

/** x / 2 (1 + erf(x / sqrt 2)) */
// @ts-ignore: decorator
@inline
export function gelu(x: v128): v128 {
  const u = f32x4.pmin(f32x4.abs(x), c(FAR));
  return nmadd(f32x4.mul(u, bell(u)), ratio(u), f32x4.pmax(x, c(0)));
}

/** gelu'(x) = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi) */
// @ts-ignore: decorator
@inline
export function geluGrad(x: v128): v128 {
  const u = f32x4.pmin(f32x4.abs(x), c(FAR));
  const below = f32x4.mul(bell(u), nmadd(u, c(0.39894228040143268), ratio(u)));
  return v128.bitselect(below, f32x4.sub(c(1), below), f32x4.lt(x, c(0)));
}

// @ts-ignore: decorator
@inline
export function erf(x: v128): v128 {
  const u = f32x4.abs(x);
  const s = f32x4.mul(x, x);
  let near = madd(c(7.853865827200934e-5), s, c(-0.0008010194869711995));
  near = madd(near, s, c(0.005188327748328447));
  near = madd(near, s, c(-0.026853812858462334));
  near = madd(near, s, c(0.1128358542919159));
  near = madd(near, s, c(-0.3761262595653534));
  near = f32x4.mul(madd(near, s, c(1.1283791065216064)), u);
  const w = f32x4.pmin(f32x4.mul(u, c(1.4142135623730951)), c(FAR));
  const far = nmadd(f32x4.mul(bell(w), c(2)), ratio(w), c(1));
  const y = v128.bitselect(near, far, f32x4.lt(u, c(1)));
  return v128.bitselect(x, y, i32x4.splat(0x80000000));
}
