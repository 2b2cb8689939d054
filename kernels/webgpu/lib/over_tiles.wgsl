// The second of two launches of attention over a table: what it adds over the tiles of the first, table_attention_parts.wgsl. Behind
// lib/value1.wgsl or lib/value4.wgsl; the kernel's file has the operands and `share`: by what a tile's part is multiplied.
//
// A workgroup of LANES threads has a row of M and either MEANS Values of its K columns, four threads each, or SCORES of its N.
const LANES: u32 = 256u;
const ROWS: u32 = 1u;
const MEANS: u32 = 64u;
const SCORES: u32 = 1024u;
var<workgroup> slices: array<Value, LANES>;

fn shared_part(t: u32, end: u32, row: u32, column: u32) -> Value {
  let tile = min(t, end - 1u);
  let x = parts[(tile * p.M + row) * (p.K / WIDTH) + column] * share(tile, row);
  return select(Value(), x, t < end);
}

// sum over t of share(t) * parts[t][row][column]: slices of tiles in their order, each in order of t. All threads call it together;
// the first MEANS of them have the sum.
fn over_tiles(row: u32, column: u32, lane: u32) -> Value {
  let each = (p.tiles + 3u) / 4u;
  let first = lane / MEANS * each;
  let end = min(first + each, p.tiles);
  var sum = Value();
  if (column < p.K / WIDTH) {
    for (var t = first; t < end; t += 4u) {
      let x0 = shared_part(t, end, row, column);
      let x1 = shared_part(t + 1u, end, row, column);
      let x2 = shared_part(t + 2u, end, row, column);
      let x3 = shared_part(t + 3u, end, row, column);
      sum = (((sum + x0) + x1) + x2) + x3;
    }
  }
  slices[lane] = sum;
  workgroupBarrier();
  let at = lane % MEANS;
  return ((slices[at] + slices[at + MEANS]) + slices[at + 2u * MEANS]) + slices[at + 3u * MEANS];
}
