// y[yfrom + sum_k at_k t_k] = x[xfrom + sum_k at_k s_k] for each index `at` of a shape of up to
// five axes: permute, expand, slices, and the pieces of a concat. RANK 0 copies n words in a row.
// A task copies GRAIN elements in the order of the shape. Where the last axis of the output is not
// the dense one of the input (a transpose), it copies tiles of the plane of these two axes instead,
// by 4 x 4 blocks, whole cache lines of the output at a time.
// Numerics: 32-bit words are copied as they are, so any dtype of four bytes will do.
import { copyWords, move } from "./lib/index";

const GRAIN: u32 = 16384;
const TILE: u32 = 64;
const TILE_GRAIN: u32 = 8192;

@unmanaged export class Copy {
  n: u32; d1: u32; d2: u32; d3: u32; d4: u32;
  xfrom: u32; s0: u32; s1: u32; s2: u32; s3: u32; s4: u32;
  yfrom: u32; t0: u32; t1: u32; t2: u32; t3: u32; t4: u32;
  RANK: u32;
  x: usize;
  y: usize;
}

@inline function sizes(p: Copy): usize { return changetype<usize>(p) + offsetof<Copy>("d1"); }
@inline function xStrides(p: Copy): usize { return changetype<usize>(p) + offsetof<Copy>("s0"); }
@inline function yStrides(p: Copy): usize { return changetype<usize>(p) + offsetof<Copy>("t0"); }

function sizeOf(p: Copy, axis: u32): u32 {
  if (axis == 0) return p.n / (p.d1 * p.d2 * p.d3 * p.d4);
  return load<u32>(sizes(p) + ((axis - 1) << 2));
}

// The axis that is dense in the input, if blocks pay; else 4.
function denseAxis(p: Copy): u32 {
  if (p.RANK < 2 || p.t4 != 1 || p.s4 < 2 || p.d4 < 4) return 4;
  for (let k = 5 - p.RANK; k < 4; k++) {
    if (load<u32>(xStrides(p) + (k << 2)) == 1) return sizeOf(p, k) < 4 ? 4 : k;
  }
  return 4;
}

@inline function tilesIn(size: u32): u32 { return (size + TILE - 1) / TILE; }

// How many tiles a task takes.
@inline function tilesATask(rows: u32, cols: u32): u32 {
  return max<u32>(1, TILE_GRAIN / (min(rows, TILE) * min(cols, TILE)));
}

export function copy_tasks(p: Copy): u32 {
  const axis = denseAxis(p);
  if (axis == 4) return (p.n + GRAIN - 1) / GRAIN;
  const rows = sizeOf(p, axis);
  const cols = p.d4;
  const tiles = (p.n / (rows * cols)) * tilesIn(rows) * tilesIn(cols);
  const each = tilesATask(rows, cols);
  return (tiles + each - 1) / each;
}

export function copy(p: Copy, task: u32, scratch: usize): void {
  const x = p.x + (p.xfrom << 2);
  const y = p.y + (p.yfrom << 2);
  const axis = denseAxis(p);
  if (axis < 4) return transpose(p, x, y, axis, task);
  const first = task * GRAIN;
  const count = min(GRAIN, p.n - first);
  if (p.RANK == 0) copyWords(y + (first << 2), x + (first << 2), count);
  else move(y, yStrides(p), x, xStrides(p), sizes(p), first, count);
}

// y[plane, i, j] = x[plane, j, i] over planes of `rows` (axis `axis`) by `cols` (axis 4).
function transpose(p: Copy, x: usize, y: usize, axis: u32, task: u32): void {
  const rows = sizeOf(p, axis);
  const cols = p.d4;
  const across = tilesIn(cols);
  const tiles = tilesIn(rows) * across;
  const each = tilesATask(rows, cols);
  const xStep = <usize>p.s4 << 2;
  const yStep = <usize>load<u32>(yStrides(p) + (axis << 2)) << 2;
  const end = min((task + 1) * each, (p.n / (rows * cols)) * tiles);
  for (let tile = task * each; tile < end; tile++) {
    let plane = tile / tiles;
    const inside = tile - plane * tiles;
    const i = (inside / across) * TILE;
    const j = (inside % across) * TILE;
    let source: usize = j * p.s4 + i;
    let into: usize = i * load<u32>(yStrides(p) + (axis << 2)) + j;
    for (let k = 4; k-- > 0; ) {
      if (<u32>k == axis) continue;
      const size = sizeOf(p, k);
      const q = plane / size;
      const at = plane - q * size;
      source += at * load<u32>(xStrides(p) + (k << 2));
      into += at * load<u32>(yStrides(p) + (k << 2));
      plane = q;
    }
    const high = min(TILE, rows - i);
    const wide = min(TILE, cols - j);
    transposeTile(y + (into << 2), yStep, x + (source << 2), xStep, high, wide);
  }
}

// y[i, j] = x[j, i]; rows of y and x are so many bytes apart.
function transposeTile(
  y: usize, yStep: usize, x: usize, xStep: usize, rows: u32, cols: u32,
): void {
  const evenRows = rows & ~3;
  for (let j: u32 = 0; j < cols; j += 16) {
    const wide = min<u32>(16, cols - j);
    const from = x + j * xStep;
    const to = y + (j << 2);
    for (let i: u32 = 0; i < evenRows; i += 4) {
      let source = from + (i << 2);
      const into = to + i * yStep;
      let b: u32 = 0;
      for (; b + 4 <= wide; b += 4) {
        block(into + (b << 2), yStep, source, xStep);
        source += xStep << 2;
      }
      for (; b < wide; b++) {
        for (let r: u32 = 0; r < 4; r++) {
          store<u32>(into + r * yStep + (b << 2), load<u32>(source + (r << 2)));
        }
        source += xStep;
      }
    }
    for (let i = evenRows; i < rows; i++) {
      for (let b: u32 = 0; b < wide; b++) {
        store<u32>(to + i * yStep + (b << 2), load<u32>(from + b * xStep + (i << 2)));
      }
    }
  }
}

@inline function block(y: usize, yStep: usize, x: usize, xStep: usize): void {
  const r0 = v128.load(x);
  const r1 = v128.load(x + xStep);
  const r2 = v128.load(x + (xStep << 1));
  const r3 = v128.load(x + xStep * 3);
  const a = i32x4.shuffle(r0, r1, 0, 4, 1, 5);
  const b = i32x4.shuffle(r2, r3, 0, 4, 1, 5);
  const c = i32x4.shuffle(r0, r1, 2, 6, 3, 7);
  const d = i32x4.shuffle(r2, r3, 2, 6, 3, 7);
  v128.store(y, i64x2.shuffle(a, b, 0, 2));
  v128.store(y + yStep, i64x2.shuffle(a, b, 1, 3));
  v128.store(y + (yStep << 1), i64x2.shuffle(c, d, 0, 2));
  v128.store(y + yStep * 3, i64x2.shuffle(c, d, 1, 3));
}
