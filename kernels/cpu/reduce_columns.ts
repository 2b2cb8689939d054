// y[o, s, i] = scale * OP over j in part s of x[o, j, i] (times w[o, j, i] with TIMES), x
// [outer, n, inner]; OP: sum or maximum. Few columns with many rows are cut into
// `parts` pieces of `chunk` rows; a second launch joins them.
// A task does a strip of columns of one piece (o, s), or several whole pieces where they are small.
// Numerics: f32, in the order of j; a NaN makes the maximum NaN.
import { REDUCE_SUM } from "./lib/codes";
import { dotColumns, maxColumns, stripOf, sumColumns } from "./lib/columns";

@unmanaged export class ReduceColumns {
  outer: u32; n: u32; inner: u32; parts: u32; chunk: u32; scale: f32; OP: u32; TIMES: u32;
  x: usize; w: usize; y: usize;
}

/** Elements of small pieces that one task takes. */
const GRAIN: u32 = 16384;

// @ts-ignore: decorator
@inline
function strips(p: ReduceColumns): u32 {
  return (p.inner - 1) / stripOf(p.chunk, p.inner) + 1;
}

/** Pieces that one task takes. */
// @ts-ignore: decorator
@inline
function pieces(p: ReduceColumns): u32 {
  return strips(p) == 1 ? max<u32>(1, GRAIN / p.chunk / p.inner) : 1;
}

export function reduce_columns_tasks(p: ReduceColumns): u32 {
  return strips(p) * ((p.outer * p.parts - 1) / pieces(p) + 1);
}

export function reduce_columns(p: ReduceColumns, task: u32, scratch: usize): void {
  const count = strips(p);
  const width = stripOf(p.chunk, p.inner);
  const group = task / count;
  const from = (task - group * count) * width;
  const cols = min<u32>(width, p.inner - from);
  const pitch = p.inner << 2;
  const total = p.outer * p.parts;
  const first = group * pieces(p);
  const last = first + min<u32>(pieces(p), total - first);
  for (let piece = first; piece < last; piece++) {
    const o = piece / p.parts;
    const start = (piece - o * p.parts) * p.chunk;
    const rows = min<u32>(p.chunk, p.n - start);
    const at = ((o * p.n + start) * p.inner + from) << 2;
    const y = p.y + ((piece * p.inner + from) << 2);
    const x = p.x + at;
    if (p.TIMES) dotColumns(x, p.w + at, y, rows, cols, pitch);
    else if (p.OP == REDUCE_SUM) sumColumns(x, y, rows, cols, pitch);
    else maxColumns(x, y, rows, cols, pitch);
    if (p.scale != 1) {
      for (let j: u32 = 0; j < cols; j++) {
        store<f32>(y + (j << 2), load<f32>(y + (j << 2)) * p.scale);
      }
    }
  }
}
