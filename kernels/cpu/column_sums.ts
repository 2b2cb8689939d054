// y[chunk, j] = sum of a[r, j] * b[r, j] over the rows r of the chunk (b = 1 unless TIMES)
// A task does a strip of columns of one chunk. Many rows take two launches: the chunks' sums are
// the rows of the second.
// Numerics: f32 sums in order of r, chunks in order: the same bits on every run.
import { dotColumns, stripOf, sumColumns } from "./lib/columns";

@unmanaged export class ColumnSums {
  rows: u32; cols: u32; chunk: u32; TIMES: u32;
  a: usize; b: usize; y: usize;
}

// @ts-ignore: decorator
@inline
function strips(p: ColumnSums): u32 {
  return (p.cols - 1) / stripOf(p.chunk, p.cols) + 1;
}

export function column_sums_tasks(p: ColumnSums): u32 {
  return strips(p) * ((p.rows - 1) / p.chunk + 1);
}

export function column_sums(p: ColumnSums, task: u32, scratch: usize): void {
  const chunk = task / strips(p);
  const width = stripOf(p.chunk, p.cols);
  const from = (task - chunk * strips(p)) * width;
  const first = chunk * p.chunk;
  const rows = min<u32>(p.chunk, p.rows - first);
  const cols = min<u32>(width, p.cols - from);
  const at = (first * p.cols + from) << 2;
  const y = p.y + ((chunk * p.cols + from) << 2);
  if (p.TIMES) dotColumns(p.a + at, p.b + at, y, rows, cols, p.cols << 2);
  else sumColumns(p.a + at, y, rows, cols, p.cols << 2);
}
