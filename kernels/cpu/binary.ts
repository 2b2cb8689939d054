// y = a OP b, elementwise; a and b are read by strides (0 on broadcast axes), or RANK 0: all three
// alike.
// A task makes GRAIN elements, CHUNK at a time. An operand that does not lie in the order of y is
// first gathered into scratch, a number fills it, so there is one loop an op, over three rows.
// Numerics: f32, i32 and u32 (integers wrap, x / 0 = x, -2^31 / -1 = -2^31). A NaN operand makes
// max, min and arithmetic NaN, every comparison false and `not equal` true.
import { fillWords, gather, inOrder } from "./lib/index";
import { constantWord, loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 16384;
const CHUNK: u32 = 2048;
const LEFT: usize = 64; // in scratch, behind `gather`'s own 20 bytes
const RIGHT: usize = LEFT + ((CHUNK as usize) << 2);
const ONE = constantWord(1);

@unmanaged export class Binary {
  n: u32; d1: u32; d2: u32; d3: u32; d4: u32;
  a0: u32; a1: u32; a2: u32; a3: u32; a4: u32;
  b0: u32; b1: u32; b2: u32; b3: u32; b4: u32;
  value: u32;
  OP: u32;
  TYPE: u32; // 0: f32, 1: i32, 2: u32
  RANK: u32;
  NUMBER: u32; // 0: a and b are arrays; 1: b is the number `value`; 2: a is the number and the array is b
  a: usize; // the array where there is one
  b: usize;
  y: usize;
}

export function binary_tasks(p: Binary): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function binary(p: Binary, task: u32, scratch: usize): void {
  const d = changetype<usize>(p) + offsetof<Binary>("d1");
  const sa = changetype<usize>(p) + offsetof<Binary>("a0");
  const sb = changetype<usize>(p) + offsetof<Binary>("b0");
  const aInOrder = p.RANK == 0 || inOrder(d, sa, p.RANK);
  const bInOrder = p.RANK == 0 || inOrder(d, sb, p.RANK);
  let first = task * GRAIN;
  const end = min(first + GRAIN, p.n);
  if (p.NUMBER != 0) {
    fillWords(scratch + RIGHT, i32x4.splat(p.value), min(CHUNK, end - first));
  }
  for (; first < end; first += CHUNK) {
    const count = min(CHUNK, end - first);
    let l = p.a + (first << 2);
    let r = p.b + (first << 2);
    if (!aInOrder) {
      l = scratch + LEFT;
      gather(l, p.a, sa, d, first, count, scratch);
    }
    if (p.NUMBER != 0) {
      r = scratch + RIGHT;
    } else if (!bInOrder) {
      r = scratch + RIGHT;
      gather(r, p.b, sb, d, first, count, scratch);
    }
    const y = p.y + (first << 2);
    if (p.NUMBER == 2) apply(p.TYPE, p.OP, r, l, y, count);
    else apply(p.TYPE, p.OP, l, r, y, count);
  }
}

function apply(type: u32, op: u32, l: usize, r: usize, y: usize, n: u32): void {
  if (type == 0) return floats(op, l, r, y, n);
  if (type == 1 || op < 3 || op == 12 || op == 13) return integers(op, l, r, y, n);
  unsigned(op, l, r, y, n);
}

function floats(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case 0: return run(0, l, r, y, n);
    case 1: return run(1, l, r, y, n);
    case 2: return run(2, l, r, y, n);
    case 3: return run(3, l, r, y, n);
    case 4: return run(4, l, r, y, n);
    case 8: return run(8, l, r, y, n);
    case 9: return run(9, l, r, y, n);
    case 10: return run(10, l, r, y, n);
    case 11: return run(11, l, r, y, n);
    case 12: return run(12, l, r, y, n);
    case 13: return run(13, l, r, y, n);
    default: return run(5, l, r, y, n);
  }
}

function integers(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case 0: return run(32, l, r, y, n);
    case 1: return run(33, l, r, y, n);
    case 2: return run(34, l, r, y, n);
    case 3: return run(35, l, r, y, n);
    case 4: return run(36, l, r, y, n);
    case 5: return run(37, l, r, y, n);
    case 8: return run(40, l, r, y, n);
    case 9: return run(41, l, r, y, n);
    case 10: return run(42, l, r, y, n);
    case 11: return run(43, l, r, y, n);
    case 12: return run(44, l, r, y, n);
    default: return run(45, l, r, y, n);
  }
}

// What differs from `integers`.
function unsigned(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case 3: return run(67, l, r, y, n);
    case 4: return run(68, l, r, y, n);
    case 5: return run(69, l, r, y, n);
    case 8: return run(72, l, r, y, n);
    case 9: return run(73, l, r, y, n);
    case 10: return run(74, l, r, y, n);
    case 11: return run(75, l, r, y, n);
    case 16: return run(80, l, r, y, n);
    default: return run(81, l, r, y, n);
  }
}

@inline function run(kind: u32, l: usize, r: usize, y: usize, n: u32): void {
  for (; n >= 16; n -= 16) {
    const v0 = f(kind, v128.load(l), v128.load(r));
    const v1 = f(kind, v128.load(l, 16), v128.load(r, 16));
    const v2 = f(kind, v128.load(l, 32), v128.load(r, 32));
    const v3 = f(kind, v128.load(l, 48), v128.load(r, 48));
    v128.store(y, v0);
    v128.store(y, v1, 16);
    v128.store(y, v2, 32);
    v128.store(y, v3, 48);
    l += 64;
    r += 64;
    y += 64;
  }
  for (; n >= 4; n -= 4) {
    v128.store(y, f(kind, v128.load(l), v128.load(r)));
    l += 16;
    r += 16;
    y += 16;
  }
  if (n > 0) storePart(y, f(kind, loadPart(l, n, ONE), loadPart(r, n, ONE)), n);
}

// kind: OP for f32, 32 + OP for i32 (and u32 where the bits are the same), 64 + OP for u32
@inline function f(kind: u32, l: v128, r: v128): v128 {
  if (kind == 0) return f32x4.add(l, r);
  if (kind == 1) return f32x4.sub(l, r);
  if (kind == 2) return f32x4.mul(l, r);
  if (kind == 3) return f32x4.div(l, r);
  if (kind == 4) return f32x4.max(l, r);
  if (kind == 5) return f32x4.min(l, r);
  if (kind == 8) return truth(f32x4.gt(l, r));
  if (kind == 9) return truth(f32x4.lt(l, r));
  if (kind == 10) return truth(f32x4.ge(l, r));
  if (kind == 11) return truth(f32x4.le(l, r));
  if (kind == 12) return truth(f32x4.eq(l, r));
  if (kind == 13) return truth(f32x4.ne(l, r));
  if (kind == 32) return i32x4.add(l, r);
  if (kind == 33) return i32x4.sub(l, r);
  if (kind == 34) return i32x4.mul(l, r);
  if (kind == 35) return divideSigned(l, r);
  if (kind == 36) return i32x4.max_s(l, r);
  if (kind == 37) return i32x4.min_s(l, r);
  if (kind == 40) return truth(i32x4.gt_s(l, r));
  if (kind == 41) return truth(i32x4.lt_s(l, r));
  if (kind == 42) return truth(i32x4.ge_s(l, r));
  if (kind == 43) return truth(i32x4.le_s(l, r));
  if (kind == 44) return truth(i32x4.eq(l, r));
  if (kind == 45) return truth(i32x4.ne(l, r));
  if (kind == 67) return divideUnsigned(l, r);
  if (kind == 68) return i32x4.max_u(l, r);
  if (kind == 69) return i32x4.min_u(l, r);
  if (kind == 72) return truth(i32x4.gt_u(l, r));
  if (kind == 73) return truth(i32x4.lt_u(l, r));
  if (kind == 74) return truth(i32x4.ge_u(l, r));
  if (kind == 75) return truth(i32x4.le_u(l, r));
  const zero = i32x4.splat(0);
  if (kind == 80) {
    return v128.and(v128.and(i32x4.ne(l, zero), i32x4.ne(r, zero)), ONE);
  }
  return v128.and(i32x4.ne(v128.or(l, r), zero), ONE);
}

// 1 where a comparison holds
@inline function truth(mask: v128): v128 {
  return i32x4.shr_u(mask, 31);
}

// The f64 quotient of 32-bit integers is never rounded up to an integer, and truncates to theirs.
@inline function divideSigned(l: v128, r: v128): v128 {
  const d = v128.or(r, v128.and(i32x4.eq(r, i32x4.splat(0)), ONE));
  const low = f64x2.div(f64x2.convert_low_i32x4_s(l), f64x2.convert_low_i32x4_s(d));
  const high = f64x2.div(f64x2.convert_low_i32x4_s(upper(l)), f64x2.convert_low_i32x4_s(upper(d)));
  const q = i64x2.shuffle(
    i32x4.trunc_sat_f64x2_s_zero(low), i32x4.trunc_sat_f64x2_s_zero(high), 0, 2,
  );
  // saturation would give 2^31 - 1 for -2^31 / -1
  return v128.bitselect(i32x4.neg(l), q, i32x4.eq(r, i32x4.splat(-1)));
}

@inline function divideUnsigned(l: v128, r: v128): v128 {
  const d = v128.or(r, v128.and(i32x4.eq(r, i32x4.splat(0)), ONE));
  const low = f64x2.div(f64x2.convert_low_i32x4_u(l), f64x2.convert_low_i32x4_u(d));
  const high = f64x2.div(f64x2.convert_low_i32x4_u(upper(l)), f64x2.convert_low_i32x4_u(upper(d)));
  return i64x2.shuffle(
    i32x4.trunc_sat_f64x2_u_zero(low), i32x4.trunc_sat_f64x2_u_zero(high), 0, 2,
  );
}

@inline function upper(v: v128): v128 {
  return i64x2.shuffle(v, v, 1, 1);
}
