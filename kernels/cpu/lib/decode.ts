// f16 and bf16 storage to f32. A format is 0: f32, 1: f16, 2: bf16, as in the launches; halves are
// u16, two a 32-bit word, little endian.
// Numerics: exact for every bit pattern, subnormals, infinities and NaN (with its payload) too;
// both formats are subsets of f32. No f32 subnormal arises on the way; they cost a hundred cycles.
import { DTYPE_BF16, DTYPE_F16, DTYPE_F32 } from "./codes";
import { constant, constantWord } from "./simd";

const SIGN = constantWord(0x80000000);
const MAGNITUDE = constantWord(0x7fff);
const LARGEST = constantWord(0x7bff);
const REBIAS = constantWord(112 << 23);
const NORMAL = constantWord(0x400);
const UNIT = constant(5.9604644775390625e-8); // 2^-24

// Four halves, sign-extended to 32 bits each.
@inline export function f16x4ToF32(halves: v128): v128 {
  const magnitude = v128.and(halves, MAGNITUDE);
  const sign = v128.and(halves, SIGN);
  // the exponent's bias goes from 15 to 127; that of infinity and NaN from 31 to 255
  const special = v128.and(i32x4.gt_s(magnitude, LARGEST), REBIAS);
  const normal = i32x4.add(i32x4.add(i32x4.shl(magnitude, 13), REBIAS), special);
  // below 2^-14: a multiple of 2^-24
  const small = f32x4.mul(f32x4.convert_i32x4_s(magnitude), UNIT);
  return v128.or(v128.bitselect(small, normal, i32x4.lt_s(magnitude, NORMAL)), sign);
}

// The f16 in the low 16 bits.
@inline export function f16ToF32(half: u32): f32 {
  const magnitude = half & 0x7fff;
  const sign = (half & 0x8000) << 16;
  let bits = (magnitude << 13) + (112 << 23);
  if (magnitude > 0x7bff) bits += 112 << 23;
  if (magnitude < 0x400) bits = reinterpret<u32>(<f32>magnitude * <f32>5.9604644775390625e-8);
  return reinterpret<f32>(bits | sign);
}

// The bf16 in the low 16 bits.
@inline export function bf16ToF32(half: u32): f32 {
  return reinterpret<f32>(half << 16);
}

// Bytes of an element.
@inline export function sizeOf(format: u32): usize {
  return format == DTYPE_F32 ? 4 : 2;
}

// Four elements at `at`; needs 2-byte alignment. A constant format leaves one branch.
@inline export function decode4(at: usize, format: u32): v128 {
  if (format == DTYPE_F16) return f16x4ToF32(v128.load16x4_s(at));
  if (format == DTYPE_BF16) return i32x4.shl(v128.load16x4_u(at), 16);
  return v128.load(at);
}

// One element at `at`.
@inline export function decode1(at: usize, format: u32): f32 {
  if (format == DTYPE_F16) return f16ToF32(<u32>load<u16>(at));
  if (format == DTYPE_BF16) return bf16ToF32(<u32>load<u16>(at));
  return load<f32>(at);
}

// The first `count` (1, 2 or 3) of four elements at `at`, zeros behind them; reads nothing else.
@inline export function decodePartial(at: usize, format: u32, count: u32): v128 {
  const size = sizeOf(format);
  let v = f32x4.replace_lane(f32x4.splat(0), 0, decode1(at, format));
  if (count > 1) v = f32x4.replace_lane(v, 1, decode1(at + size, format));
  if (count > 2) v = f32x4.replace_lane(v, 2, decode1(at + 2 * size, format));
  return v;
}

// y[0 .. n - 1] = halves decoded to f32.
export function decodeHalves(y: usize, x: usize, format: u32, n: u32): void {
  if (format == DTYPE_F16) decodeRow<F16Row>(y, x, n);
  else decodeRow<BF16Row>(y, x, n);
}

@unmanaged class F16Row {
  @inline four(at: usize): v128 { return f16x4ToF32(v128.load16x4_s(at)); }
  @inline one(at: usize): f32 { return f16ToF32(load<u16>(at)); }
}
@unmanaged class BF16Row {
  @inline four(at: usize): v128 { return i32x4.shl(v128.load16x4_u(at), 16); }
  @inline one(at: usize): f32 { return bf16ToF32(load<u16>(at)); }
}

function decodeRow<Row>(y: usize, x: usize, n: u32): void {
  const row = changetype<Row>(<usize>0);
  for (; n >= 8; n -= 8) {
    const a = row.four(x);
    const b = row.four(x + 8);
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 16;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, row.four(x));
    x += 8;
    y += 16;
    n -= 4;
  }
  for (; n > 0; n--) {
    store<f32>(y, row.one(x));
    x += 2;
    y += 4;
  }
}
