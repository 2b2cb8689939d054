// y = c ? a : b, elementwise; all three are read by strides (0 on broadcast axes), or RANK 0: all
// alike.
// A task makes GRAIN elements, CHUNK at a time. An operand that does not lie in the order of y is
// first gathered into scratch, a number fills it.
// Numerics: 32-bit words are chosen as they are; what is not chosen cannot leak (no product with
// 0).
import { fillWords, gather, inOrder } from "./lib/index";
import { loadPart, storePart } from "./lib/simd";

const GRAIN: u32 = 16384;
const CHUNK: u32 = 2048;
const ROW: usize = (CHUNK as usize) << 2;
const ROWS: usize = 64; // in scratch, behind `gather`'s own 20 bytes

@unmanaged export class Where {
  n: u32; d1: u32; d2: u32; d3: u32; d4: u32;
  c0: u32; c1: u32; c2: u32; c3: u32; c4: u32;
  a0: u32; a1: u32; a2: u32; a3: u32; a4: u32;
  b0: u32; b1: u32; b2: u32; b3: u32; b4: u32;
  avalue: u32; bvalue: u32;
  RANK: u32;
  A_NUMBER: u32; B_NUMBER: u32; // 1: the operand is the number in the parameters
  c: usize;
  a: usize;
  b: usize;
  y: usize;
}

export function where_tasks(p: Where): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function where(p: Where, task: u32, scratch: usize): void {
  const d = changetype<usize>(p) + offsetof<Where>("d1");
  const sc = changetype<usize>(p) + offsetof<Where>("c0");
  const sa = changetype<usize>(p) + offsetof<Where>("a0");
  const sb = changetype<usize>(p) + offsetof<Where>("b0");
  const cInOrder = p.RANK == 0 || inOrder(d, sc, p.RANK);
  const aInOrder = p.RANK == 0 || inOrder(d, sa, p.RANK);
  const bInOrder = p.RANK == 0 || inOrder(d, sb, p.RANK);
  const cRow = scratch + ROWS;
  const aRow = cRow + ROW;
  const bRow = aRow + ROW;
  let first = task * GRAIN;
  const end = min(first + GRAIN, p.n);
  const most = min(CHUNK, end - first);
  if (p.A_NUMBER == 1) fillWords(aRow, i32x4.splat(p.avalue), most);
  if (p.B_NUMBER == 1) fillWords(bRow, i32x4.splat(p.bvalue), most);
  for (; first < end; first += CHUNK) {
    const count = min(CHUNK, end - first);
    let c = p.c + (first << 2);
    if (!cInOrder) gather((c = cRow), p.c, sc, d, first, count, scratch);
    let a = p.a + (first << 2);
    if (p.A_NUMBER == 1) a = aRow;
    else if (!aInOrder) gather((a = aRow), p.a, sa, d, first, count, scratch);
    let b = p.b + (first << 2);
    if (p.B_NUMBER == 1) b = bRow;
    else if (!bInOrder) gather((b = bRow), p.b, sb, d, first, count, scratch);
    choose(c, a, b, p.y + (first << 2), count);
  }
}

function choose(c: usize, a: usize, b: usize, y: usize, n: u32): void {
  const zero = i32x4.splat(0);
  for (; n >= 8; n -= 8) {
    const v0 = pick(v128.load(c), v128.load(a), v128.load(b));
    const v1 = pick(v128.load(c, 16), v128.load(a, 16), v128.load(b, 16));
    v128.store(y, v0);
    v128.store(y, v1, 16);
    c += 32;
    a += 32;
    b += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, pick(v128.load(c), v128.load(a), v128.load(b)));
    c += 16;
    a += 16;
    b += 16;
    y += 16;
    n -= 4;
  }
  if (n == 0) return;
  storePart(y, pick(loadPart(c, n, zero), loadPart(a, n, zero), loadPart(b, n, zero)), n);
}

@inline function pick(c: v128, a: v128, b: v128): v128 {
  return v128.bitselect(b, a, i32x4.eq(c, i32x4.splat(0)));
}
