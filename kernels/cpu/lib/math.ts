// Elementary functions of four f32 lanes. NaN gives NaN. No tables, no branches.
//
// exp: x = n ln 2 + r with |r| <= ln 2 / 2, e^r = 1 + r + r^2 P(r), times 2^n. ln 2 is split, its
// first part short enough that n times it is exact.
// tanh: e = expm1(-2|x|) from the same r, so that small x keep their digits; -e / (e + 2).
// log: x = 2^n (1 + f) with 1 + f in [sqrt 1/2, sqrt 2); f - f^2 / 2 + f^3 P(f) + n ln 2.
// gelu, erf: the normal tail Phi(-u) = exp(-u^2 / 2) N(u) / D(u) for u >= 0, a quotient of
// polynomials with positive coefficients, so nothing cancels: gelu(x) = max(x, 0) - |x| Phi(-|x|)
// keeps its digits for negative x too. u^2 is taken in two parts, as the exponential multiplies its
// rounding.
// silu, geluTanh: x sigmoid(x) and x sigmoid(2 z), which is x (1 + tanh z) / 2 without its cancellation.
// sin, cos: x = n pi / 2 + r with |r| <= pi / 4, pi / 2 in three parts; the polynomial of sin or cos by the last bits of n.
// The polynomials were fitted to the least largest relative error over their intervals, which is
// below 1e-8 for all of them.
//
// Errors against float64 stay below these, fused / not fused, where the result is a normal number:
//   exp, expLow 1.0 / 1.3 ulp; log 1 ulp; tanh, sigmoid 2.6 ulp; erf 2.8 ulp, absolutely 1.6e-7
//   gelu 8 / 9 ulp, relatively 5e-7 / 6e-7, also for negative x; absolutely 2.5e-7 for |x| <= 8
//   silu 2.4 ulp, siluGrad absolutely 2.2e-7; geluTanh absolutely 5.4e-7 for |x| <= 8, relatively 1.4e-5 for
//   negative x, geluTanhGrad absolutely 2.6e-7
//   geluGrad absolutely 1.5e-7, relatively 6e-7 / 7e-7 for -13 < x < -1 and for x > -0.5; 0 where
//   the result has no normal number, below about -13.2
//   sin, cos absolutely 1e-7 for |x| <= 8192, 1.1e-7 / 1.2e-6 up to 1e5; NaN beyond
import { constant, constantWord, madd, nmadd } from "./simd";

const ONE = constant(1);
const TWO = constant(2);
const HALF = constant(0.5);
const MINUS_HALF = constant(-0.5);
const INFINITE = constant(Infinity);
const SIGN = constantWord(0x80000000);
const LOG2E = constant(1.44269504088896341);
const LN2_HI = constant(0.693145751953125); // 16 bits
const LN2_LO = constant(1.428606765330187e-6);
// 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits
const ROUND = constant(12582912);
// likewise, with the exponent's bias in the low bits
const ROUND_127 = constant(12583039);

const E6 = constant(0.0013814540579915047);
const E5 = constant(0.00836874544620514);
const E4 = constant(0.04166838899254799);
const E3 = constant(0.1666652113199234);
const E2 = constant(0.4999999403953552);

/** (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2 */
// @ts-ignore: decorator
@inline
function curve(r: v128): v128 {
  return madd(madd(madd(madd(E6, r, E5), r, E4), r, E3), r, E2);
}

/** e^r, likewise */
// @ts-ignore: decorator
@inline
function near1(r: v128): v128 {
  return madd(madd(curve(r), r, ONE), r, ONE);
}

/** x - n ln 2 */
// @ts-ignore: decorator
@inline
function remainder(x: v128, n: v128): v128 {
  return nmadd(n, LN2_LO, nmadd(n, LN2_HI, x));
}

const EXP_LEAST = constant(-87.33654);
const EXP_MOST = constant(88.72283);
const EXP_ZERO = constant(-88);

/** e^x: 0 below -87.3365 (no subnormal results), infinite above 88.7228. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  const t = madd(x, LOG2E, ROUND);
  const y = i32x4.add(near1(remainder(x, f32x4.sub(t, ROUND))), i32x4.shl(t, 23));
  const normal = v128.andnot(y, f32x4.lt(x, EXP_LEAST));
  return v128.bitselect(normal, f32x4.add(x, INFINITE), f32x4.le(x, EXP_MOST));
}

/** e^x for x <= 88 (what is left after subtracting a maximum): cheaper than exp. 0 below -87.7. */
// @ts-ignore: decorator
@inline
export function expLow(x: v128): v128 {
  const low = f32x4.pmax(x, EXP_ZERO);
  const t = madd(low, LOG2E, ROUND_127);
  return f32x4.mul(near1(remainder(low, f32x4.sub(t, ROUND_127))), i32x4.shl(t, 23));
}

const TINY = constant(1.17549435e-38); // the least normal number
const ROOT_HALF = constantWord(0x3f3504f3);
const L10 = constant(-0.07634495943784714);
const L9 = constant(0.12761574983596802);
const L8 = constant(-0.13160182535648346);
const L7 = constant(0.14201758801937103);
const L6 = constant(-0.16623356938362122);
const L5 = constant(0.20001226663589478);
const L4 = constant(-0.2500081956386566);
const L3 = constant(0.3333333134651184);

/** log(max(x, 1.2e-38)) */
// @ts-ignore: decorator
@inline
export function log(x: v128): v128 {
  const normal = f32x4.pmax(x, TINY);
  const n = i32x4.shr_s(i32x4.sub(normal, ROOT_HALF), 23);
  const f = f32x4.sub(i32x4.sub(normal, i32x4.shl(n, 23)), ONE);
  const e = f32x4.convert_i32x4_s(n);
  let y = madd(madd(madd(madd(L10, f, L9), f, L8), f, L7), f, L6);
  y = madd(madd(madd(madd(y, f, L5), f, L4), f, L3), f, MINUS_HALF);
  y = madd(y, f32x4.mul(f, f), f32x4.mul(e, LN2_LO));
  y = madd(e, LN2_HI, f32x4.add(f, y));
  return v128.bitselect(y, x, f32x4.lt(normal, INFINITE));
}

const TANH_ONE = constant(15);
const MINUS_TWO = constant(-2);

// @ts-ignore: decorator
@inline
export function tanh(x: v128): v128 {
  const y = f32x4.mul(f32x4.pmin(f32x4.abs(x), TANH_ONE), MINUS_TWO);
  const t = madd(y, LOG2E, ROUND_127);
  const r = remainder(y, f32x4.sub(t, ROUND_127));
  const power = i32x4.shl(t, 23);
  const e = madd(power, madd(curve(r), f32x4.mul(r, r), r), f32x4.sub(power, ONE));
  return v128.bitselect(x, f32x4.div(e, f32x4.add(e, TWO)), SIGN);
}

/** 1 / (1 + e^-x) */
// @ts-ignore: decorator
@inline
export function sigmoid(x: v128): v128 {
  return f32x4.div(ONE, f32x4.add(ONE, exp(f32x4.neg(x))));
}

const FAR = constant(13.26); // beyond it Phi(-u) is 0 in f32
const HEAD = constantWord(0xfffff000);

/** exp(-u^2 / 2) for 0 <= u <= FAR */
// @ts-ignore: decorator
@inline
function bell(u: v128): v128 {
  const head = v128.and(u, HEAD); // 12 bits: its square is exact
  const rest = f32x4.mul(f32x4.sub(u, head), f32x4.add(u, head));
  const x = f32x4.mul(f32x4.mul(head, head), MINUS_HALF);
  const t = madd(x, LOG2E, ROUND_127);
  const r = nmadd(rest, HALF, remainder(x, f32x4.sub(t, ROUND_127)));
  return f32x4.mul(near1(r), i32x4.shl(t, 23));
}

const N4 = constant(0.004036999773234129);
const N3 = constant(0.04009806364774704);
const N2 = constant(0.18164584040641785);
const N1 = constant(0.43614622950553894);
const D5 = constant(0.0101191196590662);
const D4 = constant(0.10051815211772919);
const D3 = constant(0.46527522802352905);
const D2 = constant(1.1958961486816406);
const D1 = constant(1.6701774597167969);

/** Phi(-u) / exp(-u^2 / 2) for 0 <= u <= FAR */
// @ts-ignore: decorator
@inline
function ratio(u: v128): v128 {
  const n = madd(madd(madd(madd(N4, u, N3), u, N2), u, N1), u, HALF);
  const d = madd(madd(madd(madd(madd(D5, u, D4), u, D3), u, D2), u, D1), u, ONE);
  return f32x4.div(n, d);
}

/** x / 2 (1 + erf(x / sqrt 2)) */
// @ts-ignore: decorator
@inline
export function gelu(x: v128): v128 {
  const u = f32x4.pmin(f32x4.abs(x), FAR);
  return nmadd(f32x4.mul(u, bell(u)), ratio(u), f32x4.pmax(x, f32x4.splat(0)));
}

const INV_SQRT_2PI = constant(0.39894228040143268);

/** gelu'(x) = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi) */
// @ts-ignore: decorator
@inline
export function geluGrad(x: v128): v128 {
  const u = f32x4.pmin(f32x4.abs(x), FAR);
  const below = f32x4.mul(bell(u), nmadd(u, INV_SQRT_2PI, ratio(u)));
  return v128.bitselect(below, f32x4.sub(ONE, below), f32x4.lt(x, f32x4.splat(0)));
}

const MINUS_100 = constant(-100);
const PLUS_100 = constant(100);

/** x / (1 + e^-x); 0 below -100, minus infinity included. */
// @ts-ignore: decorator
@inline
export function silu(x: v128): v128 {
  const y = f32x4.div(x, f32x4.add(ONE, exp(f32x4.neg(x))));
  return v128.andnot(y, f32x4.lt(x, MINUS_100));
}

/** s (1 + c (1 - s)) with s = sigmoid(z); neither s nor 1 - s cancels. */
// @ts-ignore: decorator
@inline
function gatedSlope(z: v128, c: v128): v128 {
  const isBelow = f32x4.lt(z, f32x4.splat(0));
  const e = expLow(f32x4.neg(f32x4.abs(z)));
  const large = f32x4.div(ONE, f32x4.add(ONE, e));
  const small = f32x4.mul(e, large);
  const s = v128.bitselect(small, large, isBelow);
  return f32x4.mul(s, madd(c, v128.bitselect(large, small, isBelow), ONE));
}

/** silu'(x) = s (1 + x (1 - s)); x is clamped where s or 1 - s is 0. */
// @ts-ignore: decorator
@inline
export function siluGrad(x: v128): v128 {
  const c = f32x4.pmin(f32x4.pmax(x, MINUS_100), PLUS_100);
  return gatedSlope(c, c);
}

const MINUS_10 = constant(-10);
const PLUS_10 = constant(10);
const Z1 = constant(1.5957691216057308); // 2 sqrt(2 / pi)
const Z3 = constant(0.07135481627260025); // 0.044715 times that
const DZ2 = constant(0.21406444881780073); // 3 times that

/** From -10 on the tanh of geluTanh is -1 but for less than 1e-37, and 1 beyond 10. */
// @ts-ignore: decorator
@inline
function clampedTo10(x: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, MINUS_10), PLUS_10);
}

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
// @ts-ignore: decorator
@inline
export function geluTanh(x: v128): v128 {
  const u = clampedTo10(x);
  const z = f32x4.mul(u, madd(f32x4.mul(u, u), Z3, Z1));
  const y = f32x4.div(x, f32x4.add(ONE, exp(f32x4.neg(z))));
  return v128.andnot(y, f32x4.lt(x, MINUS_10));
}

// @ts-ignore: decorator
@inline
export function geluTanhGrad(x: v128): v128 {
  const u = clampedTo10(x);
  const s = f32x4.mul(u, u);
  const z = f32x4.mul(u, madd(s, Z3, Z1));
  return gatedSlope(z, f32x4.mul(u, madd(s, DZ2, Z1)));
}

const SQRT_2 = constant(1.4142135623730951);
const F13 = constant(7.853865827200934e-5);
const F11 = constant(-0.0008010194869711995);
const F9 = constant(0.005188327748328447);
const F7 = constant(-0.026853812858462334);
const F5 = constant(0.1128358542919159);
const F3 = constant(-0.3761262595653534);
const F1 = constant(1.1283791065216064);

/** By an odd polynomial where |x| < 1, from there on by 1 - 2 Phi(-|x| sqrt 2). */
// @ts-ignore: decorator
@inline
export function erf(x: v128): v128 {
  const u = f32x4.abs(x);
  const s = f32x4.mul(x, x);
  let near = madd(madd(madd(F13, s, F11), s, F9), s, F7);
  near = f32x4.mul(madd(madd(madd(near, s, F5), s, F3), s, F1), u);
  const w = f32x4.pmin(f32x4.mul(u, SQRT_2), FAR);
  const far = nmadd(f32x4.mul(bell(w), TWO), ratio(w), ONE);
  return v128.bitselect(x, v128.bitselect(near, far, f32x4.lt(u, ONE)), SIGN);
}

const TWO_BY_PI = constant(0.6366197723675814);
const HALF_PI_HI = constant(1.5703125); // 8 bits
const HALF_PI_MID = constant(4.837512969970703125e-4); // 11 bits
const HALF_PI_LO = constant(7.54978995489188216e-8);
const SIN_3 = constant(-0.16666654611);
const SIN_5 = constant(0.0083321608736);
const SIN_7 = constant(-0.00019515295891);
const COS_4 = constant(0.04166664568298827);
const COS_6 = constant(-0.001388731625493765);
const COS_8 = constant(0.00002443315711809948);
const TURNED = constant(1e5);
const UNIT = constantWord(1);
const PAIR = constantWord(2);

/** sin(x + quarter pi / 2) */
// @ts-ignore: decorator
@inline
function wave(x: v128, quarter: v128): v128 {
  const t = madd(x, TWO_BY_PI, ROUND);
  const n = f32x4.sub(t, ROUND);
  const r = nmadd(n, HALF_PI_LO, nmadd(n, HALF_PI_MID, nmadd(n, HALF_PI_HI, x)));
  const s = f32x4.mul(r, r);
  const sine = madd(f32x4.mul(r, s), madd(madd(SIN_7, s, SIN_5), s, SIN_3), r);
  const cosine = madd(f32x4.mul(s, s), madd(madd(COS_8, s, COS_6), s, COS_4), madd(s, MINUS_HALF, ONE));
  const turn = i32x4.add(t, quarter);
  const isCosine = i32x4.eq(v128.and(turn, UNIT), UNIT);
  const y = v128.xor(v128.bitselect(cosine, sine, isCosine), i32x4.shl(v128.and(turn, PAIR), 30));
  const known = f32x4.le(f32x4.abs(x), TURNED); // not for NaN
  return v128.bitselect(y, f32x4.sub(f32x4.mul(x, INFINITE), f32x4.mul(x, INFINITE)), known);
}

/** sin x, NaN for |x| beyond 1e5 */
// @ts-ignore: decorator
@inline
export function sin(x: v128): v128 {
  return wave(x, i32x4.splat(0));
}

/** cos x, likewise */
// @ts-ignore: decorator
@inline
export function cos(x: v128): v128 {
  return wave(x, UNIT);
}
