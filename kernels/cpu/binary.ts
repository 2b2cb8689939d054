// y = a OP b, elementwise; a and b are read by strides (0 on broadcast axes), or RANK 0: all three
// alike.
// A task makes GRAIN elements, CHUNK at a time. An operand that does not lie in the order of y is
// first gathered into scratch, a number fills it, so there is one loop an op, over three rows.
// Numerics: f32, i32 and u32 (integers wrap, x / 0 = x, -2^31 / -1 = -2^31). A NaN operand makes
// max, min and arithmetic NaN, every comparison false and `not equal` true.
import {
  BINARY_ADD, BINARY_DIV, BINARY_EQUAL, BINARY_GREATER, BINARY_GREATER_EQUAL, BINARY_LESS,
  BINARY_LESS_EQUAL, BINARY_LOGICAL_AND, BINARY_MAXIMUM, BINARY_MINIMUM, BINARY_MUL,
  BINARY_NOT_EQUAL, BINARY_SUB, NUMBER_LEFT, NUMBER_NEITHER, TYPE_F32, TYPE_I32,
} from "./lib/codes";
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
  TYPE: u32;
  RANK: u32;
  // which operand is the number `value`; where a is, the array is still operand a
  NUMBER: u32;
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
  if (p.NUMBER != NUMBER_NEITHER) {
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
    if (p.NUMBER != NUMBER_NEITHER) {
      r = scratch + RIGHT;
    } else if (!bInOrder) {
      r = scratch + RIGHT;
      gather(r, p.b, sb, d, first, count, scratch);
    }
    const y = p.y + (first << 2);
    if (p.NUMBER == NUMBER_LEFT) apply(p.TYPE, p.OP, r, l, y, count);
    else apply(p.TYPE, p.OP, l, r, y, count);
  }
}

function apply(type: u32, op: u32, l: usize, r: usize, y: usize, n: u32): void {
  if (type == TYPE_F32) return floats(op, l, r, y, n);
  const alike = op < BINARY_DIV || op == BINARY_EQUAL || op == BINARY_NOT_EQUAL; // for i32 and u32
  if (type == TYPE_I32 || alike) return integers(op, l, r, y, n);
  unsigned(op, l, r, y, n);
}

function floats(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case BINARY_ADD: return run<Add>(l, r, y, n);
    case BINARY_SUB: return run<Sub>(l, r, y, n);
    case BINARY_MUL: return run<Mul>(l, r, y, n);
    case BINARY_DIV: return run<Div>(l, r, y, n);
    case BINARY_MAXIMUM: return run<Max>(l, r, y, n);
    case BINARY_GREATER: return run<Greater>(l, r, y, n);
    case BINARY_LESS: return run<Less>(l, r, y, n);
    case BINARY_GREATER_EQUAL: return run<GreaterEqual>(l, r, y, n);
    case BINARY_LESS_EQUAL: return run<LessEqual>(l, r, y, n);
    case BINARY_EQUAL: return run<Equal>(l, r, y, n);
    case BINARY_NOT_EQUAL: return run<NotEqual>(l, r, y, n);
    default: return run<Min>(l, r, y, n);
  }
}

function integers(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case BINARY_ADD: return run<AddWord>(l, r, y, n);
    case BINARY_SUB: return run<SubWord>(l, r, y, n);
    case BINARY_MUL: return run<MulWord>(l, r, y, n);
    case BINARY_DIV: return run<DivSigned>(l, r, y, n);
    case BINARY_MAXIMUM: return run<MaxSigned>(l, r, y, n);
    case BINARY_MINIMUM: return run<MinSigned>(l, r, y, n);
    case BINARY_GREATER: return run<GreaterSigned>(l, r, y, n);
    case BINARY_LESS: return run<LessSigned>(l, r, y, n);
    case BINARY_GREATER_EQUAL: return run<GreaterEqualSigned>(l, r, y, n);
    case BINARY_LESS_EQUAL: return run<LessEqualSigned>(l, r, y, n);
    case BINARY_EQUAL: return run<EqualWord>(l, r, y, n);
    default: return run<NotEqualWord>(l, r, y, n);
  }
}

// What differs from `integers`.
function unsigned(op: u32, l: usize, r: usize, y: usize, n: u32): void {
  switch (op) {
    case BINARY_DIV: return run<DivUnsigned>(l, r, y, n);
    case BINARY_MAXIMUM: return run<MaxUnsigned>(l, r, y, n);
    case BINARY_MINIMUM: return run<MinUnsigned>(l, r, y, n);
    case BINARY_GREATER: return run<GreaterUnsigned>(l, r, y, n);
    case BINARY_LESS: return run<LessUnsigned>(l, r, y, n);
    case BINARY_GREATER_EQUAL: return run<GreaterEqualUnsigned>(l, r, y, n);
    case BINARY_LESS_EQUAL: return run<LessEqualUnsigned>(l, r, y, n);
    case BINARY_LOGICAL_AND: return run<And>(l, r, y, n);
    default: return run<Or>(l, r, y, n);
  }
}

// F is one of the classes below: a loop of its own for each, without a choice inside.
function run<F>(l: usize, r: usize, y: usize, n: u32): void {
  const op = changetype<F>(<usize>0);
  for (; n >= 16; n -= 16) {
    const v0 = op.f(v128.load(l), v128.load(r));
    const v1 = op.f(v128.load(l, 16), v128.load(r, 16));
    const v2 = op.f(v128.load(l, 32), v128.load(r, 32));
    const v3 = op.f(v128.load(l, 48), v128.load(r, 48));
    v128.store(y, v0);
    v128.store(y, v1, 16);
    v128.store(y, v2, 32);
    v128.store(y, v3, 48);
    l += 64;
    r += 64;
    y += 64;
  }
  for (; n >= 4; n -= 4) {
    v128.store(y, op.f(v128.load(l), v128.load(r)));
    l += 16;
    r += 16;
    y += 16;
  }
  if (n > 0) storePart(y, op.f(loadPart(l, n, ONE), loadPart(r, n, ONE)), n);
}

@unmanaged class Add { @inline f(l: v128, r: v128): v128 { return f32x4.add(l, r); } }
@unmanaged class Sub { @inline f(l: v128, r: v128): v128 { return f32x4.sub(l, r); } }
@unmanaged class Mul { @inline f(l: v128, r: v128): v128 { return f32x4.mul(l, r); } }
@unmanaged class Div { @inline f(l: v128, r: v128): v128 { return f32x4.div(l, r); } }
@unmanaged class Max { @inline f(l: v128, r: v128): v128 { return f32x4.max(l, r); } }
@unmanaged class Min { @inline f(l: v128, r: v128): v128 { return f32x4.min(l, r); } }
@unmanaged class Greater { @inline f(l: v128, r: v128): v128 { return truth(f32x4.gt(l, r)); } }
@unmanaged class Less { @inline f(l: v128, r: v128): v128 { return truth(f32x4.lt(l, r)); } }
@unmanaged class GreaterEqual {
  @inline f(l: v128, r: v128): v128 { return truth(f32x4.ge(l, r)); }
}
@unmanaged class LessEqual { @inline f(l: v128, r: v128): v128 { return truth(f32x4.le(l, r)); } }
@unmanaged class Equal { @inline f(l: v128, r: v128): v128 { return truth(f32x4.eq(l, r)); } }
@unmanaged class NotEqual { @inline f(l: v128, r: v128): v128 { return truth(f32x4.ne(l, r)); } }
// i32, and u32 where the bits are the same
@unmanaged class AddWord { @inline f(l: v128, r: v128): v128 { return i32x4.add(l, r); } }
@unmanaged class SubWord { @inline f(l: v128, r: v128): v128 { return i32x4.sub(l, r); } }
@unmanaged class MulWord { @inline f(l: v128, r: v128): v128 { return i32x4.mul(l, r); } }
@unmanaged class DivSigned { @inline f(l: v128, r: v128): v128 { return divideSigned(l, r); } }
@unmanaged class MaxSigned { @inline f(l: v128, r: v128): v128 { return i32x4.max_s(l, r); } }
@unmanaged class MinSigned { @inline f(l: v128, r: v128): v128 { return i32x4.min_s(l, r); } }
@unmanaged class GreaterSigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.gt_s(l, r)); }
}
@unmanaged class LessSigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.lt_s(l, r)); }
}
@unmanaged class GreaterEqualSigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.ge_s(l, r)); }
}
@unmanaged class LessEqualSigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.le_s(l, r)); }
}
@unmanaged class EqualWord { @inline f(l: v128, r: v128): v128 { return truth(i32x4.eq(l, r)); } }
@unmanaged class NotEqualWord {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.ne(l, r)); }
}
@unmanaged class DivUnsigned { @inline f(l: v128, r: v128): v128 { return divideUnsigned(l, r); } }
@unmanaged class MaxUnsigned { @inline f(l: v128, r: v128): v128 { return i32x4.max_u(l, r); } }
@unmanaged class MinUnsigned { @inline f(l: v128, r: v128): v128 { return i32x4.min_u(l, r); } }
@unmanaged class GreaterUnsigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.gt_u(l, r)); }
}
@unmanaged class LessUnsigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.lt_u(l, r)); }
}
@unmanaged class GreaterEqualUnsigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.ge_u(l, r)); }
}
@unmanaged class LessEqualUnsigned {
  @inline f(l: v128, r: v128): v128 { return truth(i32x4.le_u(l, r)); }
}
@unmanaged class And {
  @inline f(l: v128, r: v128): v128 { return v128.and(nonzero(l), nonzero(r)); }
}
@unmanaged class Or {
  @inline f(l: v128, r: v128): v128 { return nonzero(v128.or(l, r)); }
}

// 1 where a word is not 0
@inline function nonzero(v: v128): v128 {
  return truth(i32x4.ne(v, i32x4.splat(0)));
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
