// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), any size.
// A' = A or A^T, B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts
// from what C holds.
//
// A task owns a block of C, or several small products of the batch: for each block of k it packs its
// rows of A', and 32 columns of B' at a time (decoding f16 and bf16), into scratch, and multiplies
// them in register tiles. `panels` is all of B' packed already (pack_panels).
//
// Numerics: f32 sums strictly in order of k: the bits of an element depend on its row and column of
// data alone. alpha scales the finished sum.
import { sizeOf } from "./lib/decode";
import { packA, packB, packedRows, stripHeight, tile4, tile6 } from "./lib/gemm";
import { PANEL_BYTES, TILE_BYTES } from "./lib/gemm";
import { gelu } from "./lib/math";
import { loadPart, storePart } from "./lib/simd";

@unmanaged export class Matmul {
  M: u32; N: u32; K: u32;
  lda: u32; ldb: u32; ldc: u32;
  aOffset: u32; bOffset: u32; cOffset: u32;
  batch: u32; aBatchStride: u32; bBatchStride: u32; cBatchStride: u32;
  alpha: f32;
  TRANS_A: u32; TRANS_B: u32;
  BIAS: u32; ACTIVATION: u32; RESIDUAL: u32; ACCUMULATE: u32;
  B_DTYPE: u32;
  a: usize; b: usize; bias: usize; residual: usize; c: usize; pre: usize;
  panels: usize;
}

/** Multiply-adds a task is worth; ENOUGH tasks get larger instead, as small blocks pack more. */
const GRAIN: u64 = 1 << 19;
const ENOUGH: u64 = 16;
/** Blocks of C larger than this can be cut at little cost: up to MOST of them, for balance. */
const LARGE: u32 = 128 * 128;
const MOST: u64 = 64;
/** A block: at most so many rows, steps of k, and elements of C (its sums wait in scratch). */
const ROWS: u32 = 192;
const DEPTH: u32 = 512;
const ELEMENTS: u32 = 65536;
/** Few rows of A' fit scratch with more steps of k, and then B' is read in one stream. */
const FEW: u32 = 16;
const DEEP: u32 = 4096;
/** Columns of B' packed at once. */
const GROUP: u32 = 32;

/** Scratch: strips of A', panels of B', sums. */
const B_AT: usize = (ROWS + 8) * DEPTH * 4;
const SUMS_AT: usize = B_AT + GROUP * DEPTH * 4;

/** Rows and columns of a block, two halves of a word: a function of the shape alone. */
function block(p: Matmul): u64 {
  let rows = p.M;
  let columns = p.N;
  let tasks = <u64>p.batch;
  // fewer than 8 rows cost as much as 8: reading B
  const work = <u64>max(p.M, 8) * p.N * p.K * p.batch;
  const wanted = min(ENOUGH, work / GRAIN);
  const most = min(MOST, work / GRAIN);
  while (true) {
    const tall = rows > ROWS;
    const large = <u64>max(rows, 8) * columns > ELEMENTS;
    const ready = tasks >= (rows * columns > LARGE ? most : wanted);
    if (!tall && !large && ready) break;
    // a cut through the rows packs B' once more, one through the columns A'
    const cutRows = rows > 12 && (tall || (p.panels != 0 ? columns <= rows : columns < rows));
    if (cutRows) rows = ((rows + 1) / 2 + 5) / 6 * 6;
    else if (columns > 16) columns = ((columns + 1) / 2 + 7) & ~7;
    else if (rows > 12) rows = ((rows + 1) / 2 + 5) / 6 * 6;
    else break;
    tasks = <u64>p.batch * blocks(p.M, rows) * blocks(p.N, columns);
  }
  return (<u64>rows << 32) | columns;
}

@inline function blocks(size: u32, step: u32): u32 {
  return (size + step - 1) / step;
}

/** Products a task makes where one is too small. */
function productsPerTask(p: Matmul): u32 {
  const work = <u64>p.M * p.N * p.K;
  if (work >= GRAIN / 2 || p.M > ROWS) return 1; // scratch holds so many rows of A'
  return <u32>min<u64>(p.batch, GRAIN / max<u64>(work, 1024));
}

export function matmul_tasks(p: Matmul): u32 {
  const products = productsPerTask(p);
  if (products > 1) return blocks(p.batch, products);
  const size = block(p);
  return p.batch * blocks(p.M, <u32>(size >> 32)) * blocks(p.N, <u32>size);
}

export function matmul(p: Matmul, task: u32, scratch: usize): void {
  const products = productsPerTask(p);
  if (products > 1) {
    const end = min(p.batch, (task + 1) * products);
    for (let z = task * products; z < end; z++) multiply(p, z, 0, p.M, 0, p.N, scratch);
    return;
  }
  const size = block(p);
  const rows = <u32>(size >> 32);
  const columns = <u32>size;
  const down = blocks(p.M, rows);
  const across = blocks(p.N, columns);
  const m = task % down * rows;
  const n = task / down % across * columns;
  const z = task / (down * across);
  multiply(p, z, m, min(p.M, m + rows), n, min(p.N, n + columns), scratch);
}

/** Rows m0..m1 and columns n0..n1 (n0 a multiple of 8) of product z. */
function multiply(p: Matmul, z: u32, m0: u32, m1: u32, n0: u32, n1: u32, scratch: usize): void {
  const K = p.K;
  const lda = <usize>p.lda << 2;
  const size = sizeOf(p.B_DTYPE);
  const ldb = p.ldb * size;
  const a = p.a + ((p.aOffset + z * p.aBatchStride) << 2);
  const b = p.b + (p.bOffset + z * p.bBatchStride) * size;
  const c0 = p.cOffset + z * p.cBatchStride;

  const deepest = p.panels && m1 - m0 <= FEW ? DEEP : DEPTH;
  const depth = (blocks(K, max(1, blocks(K, deepest))) + 3) & ~3;
  // the strips of a panel touch the next one between them
  const step: usize = PANEL_BYTES / max(1, packedRows(m1 - m0) / 4);
  let k0: u32 = 0;
  do {
    const k = min(depth, K - k0);
    const first = k0 == 0;
    const last = k0 + k >= K;
    const keep = first && last ? 0 : TILE_BYTES;
    const corner = a + (p.TRANS_A ? k0 * lda + (m0 << 2) : m0 * lda + (k0 << 2));
    packA(scratch, corner, lda, p.TRANS_A, m1 - m0, k);
    let sums = scratch + SUMS_AT;
    for (let group = n0; group < n1; group += GROUP) {
      const end = min(n1, group + GROUP);
      let panel: usize;
      let stride: usize;
      if (p.panels != 0) {
        stride = K * PANEL_BYTES;
        panel = p.panels + (group >> 3) * stride + k0 * PANEL_BYTES;
      } else {
        stride = k * PANEL_BYTES;
        panel = scratch + B_AT;
        const from = b + (p.TRANS_B ? group * ldb + k0 * size : k0 * ldb + group * size);
        packB(panel, stride, from, ldb, p.TRANS_B, p.B_DTYPE, end - group, k);
      }
      for (let n = group; n < end; n += 8) {
        let strip = scratch;
        let ahead = n + 8 < (p.panels ? n1 : end) ? panel + stride : panel;
        for (let m = m0; m < m1; ) {
          const height = stripHeight(m1 - m);
          if (height == 6) tile6(strip, panel, k, sums, first, ahead, step);
          else tile4(strip, panel, k, sums, first, ahead, step);
          ahead += step * k;
          if (last) {
            finishTile(p, sums, c0 + m * p.ldc + n, n, min(height, m1 - m), min(8, n1 - n));
          }
          strip += (height << 2) * k;
          sums += keep;
          m += height;
        }
        panel += stride;
      }
    }
    k0 += k;
  } while (k0 < K);
}

/** Writes the sums [rows][8] of a tile to C, where its first element is `at`, in column n. */
function finishTile(p: Matmul, sums: usize, at: u32, n: u32, rows: u32, columns: u32): void {
  let byte: usize = at << 2;
  const next = <usize>p.ldc << 2;
  if (columns == 8) {
    finishRows(p, sums, byte, next, n, rows);
    return;
  }
  const alpha = f32x4.splat(p.alpha);
  for (let r: u32 = 0; r < rows; r++) {
    finish(p, f32x4.mul(alpha, v128.load(sums)), byte, n, min(4, columns));
    if (columns > 4) {
      finish(p, f32x4.mul(alpha, v128.load(sums, 16)), byte + 16, n + 4, columns - 4);
    }
    sums += PANEL_BYTES;
    byte += next;
  }
}

function finishRows(p: Matmul, sums: usize, byte: usize, next: usize, n: u32, rows: u32): void {
  const alpha = f32x4.splat(p.alpha);
  const accumulate = p.ACCUMULATE;
  const biased = p.BIAS;
  const activation = p.ACTIVATION;
  const plus = p.RESIDUAL;
  const bias = p.bias + (n << 2);
  let c = p.c + byte;
  let pre = p.pre + byte;
  let residual = p.residual + byte;
  for (; rows > 0; rows--) {
    let y0 = f32x4.mul(alpha, v128.load(sums));
    let y1 = f32x4.mul(alpha, v128.load(sums, 16));
    if (accumulate) {
      y0 = f32x4.add(y0, v128.load(c));
      y1 = f32x4.add(y1, v128.load(c, 16));
    }
    if (biased) {
      y0 = f32x4.add(y0, v128.load(bias));
      y1 = f32x4.add(y1, v128.load(bias, 16));
    }
    if (activation) {
      v128.store(pre, y0);
      v128.store(pre, y1, 16);
      y0 = activate(y0);
      y1 = activate(y1);
    }
    if (plus) {
      y0 = f32x4.add(y0, v128.load(residual));
      y1 = f32x4.add(y1, v128.load(residual, 16));
    }
    v128.store(c, y0);
    v128.store(c, y1, 16);
    sums += PANEL_BYTES;
    c += next;
    pre += next;
    residual += next;
  }
}

// out of line: inlined in the loop, it takes three times as long without relaxed SIMD
function activate(x: v128): v128 {
  return gelu(x);
}

/** The same for the first lanes of x, at the edge. */
function finish(p: Matmul, x: v128, byte: usize, n: u32, lanes: u32): void {
  let y = x;
  if (p.ACCUMULATE) y = f32x4.add(y, take(p.c + byte, lanes));
  if (p.BIAS) y = f32x4.add(y, take(p.bias + (n << 2), lanes));
  if (p.ACTIVATION) {
    put(p.pre + byte, y, lanes);
    y = activate(y);
  }
  if (p.RESIDUAL) y = f32x4.add(y, take(p.residual + byte, lanes));
  put(p.c + byte, y, lanes);
}

@inline function take(from: usize, lanes: u32): v128 {
  return lanes == 4 ? v128.load(from) : loadPart(from, lanes, f32x4.splat(0));
}

@inline function put(to: usize, x: v128, lanes: u32): void {
  if (lanes == 4) v128.store(to, x);
  else storePart(to, x, lanes);
}
