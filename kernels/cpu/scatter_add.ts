// table[id, :] += dy[r, :] for the rows r with ids[r] = id, for ids in [first, first + count), the
// rows of the table that are bound; ids beyond `vocab` add nothing.
// A task takes COLUMNS columns of ROWS rows of dy, n = rows * dim; it works only on rows where their
// id occurs for the first time, and follows the links from there. With UNIQUE no id occurs twice,
// and links and heads are not read.
// Numerics: f32, summed in the order of the rows, so the same bits each time.
import { loadPart, storePart } from "./lib/simd";

const ROWS: u32 = 32;
const COLUMNS: u32 = 256;

@unmanaged export class ScatterAdd {
  n: u32; rows: u32; dim: u32; vocab: u32; first: u32; count: u32;
  UNIQUE: u32;
  dy: usize;
  ids: usize;
  links: usize;
  heads: usize;
  table: usize;
}

// Narrow rows: more of them.
@inline function rowsATask(p: ScatterAdd): u32 {
  return p.dim >= COLUMNS ? ROWS : (ROWS * COLUMNS) / p.dim;
}

export function scatter_add_tasks(p: ScatterAdd): u32 {
  if (p.n == 0) return 0;
  const each = rowsATask(p);
  return ((p.rows + each - 1) / each) * ((p.dim + COLUMNS - 1) / COLUMNS);
}

export function scatter_add(p: ScatterAdd, task: u32, scratch: usize): void {
  const rows = p.rows;
  const links = p.links;
  const across = (p.dim + COLUMNS - 1) / COLUMNS;
  const each = rowsATask(p);
  const column = (task % across) * COLUMNS;
  const width = min(COLUMNS, p.dim - column);
  const pitch = <usize>p.dim << 2;
  const dy = p.dy + (column << 2);
  const begin = (task / across) * each;
  const end = min(begin + each, rows);
  for (let head = begin; head < end; head++) {
    if (p.UNIQUE == 0 && load<u32>(p.heads + (head << 2)) == 0) continue;
    const id = load<u32>(p.ids + (head << 2));
    if (id >= p.vocab || id < p.first || id - p.first >= p.count) continue;
    const y = p.table + (id - p.first) * pitch + (column << 2);
    addRow(y, dy + head * pitch, width);
    if (p.UNIQUE == 1) continue;
    for (let r = load<u32>(links + (head << 2)); r < rows; r = load<u32>(links + (r << 2))) {
      addRow(y, dy + r * pitch, width);
    }
  }
}

// y += x
@inline function addRow(y: usize, x: usize, n: u32): void {
  for (; n >= 8; n -= 8) {
    const a = f32x4.add(v128.load(y), v128.load(x));
    const b = f32x4.add(v128.load(y, 16), v128.load(x, 16));
    v128.store(y, a);
    v128.store(y, b, 16);
    x += 32;
    y += 32;
  }
  if (n >= 4) {
    v128.store(y, f32x4.add(v128.load(y), v128.load(x)));
    x += 16;
    y += 16;
    n -= 4;
  }
  if (n > 0) {
    const zero = f32x4.splat(0);
    storePart(y, f32x4.add(loadPart(y, n, zero), loadPart(x, n, zero)), n);
  }
}
