// table[id, :] += dy[r, :] for the rows r with ids[r] = id, for ids in [first, first + count), the
// rows of the table that are bound; ids beyond `vocab` add nothing.
// One thread for each (row, column), 64 a workgroup, n = rows * dim; it works only where the id
// occurs for the first time. With UNIQUE no id occurs twice, and links and heads are not read.
// Numerics: f32, summed in the order of the rows, so the same bits each time; no atomics.
override UNIQUE: u32 = 0u;

struct Params { n: u32, rows: u32, dim: u32, vocab: u32, first: u32, count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read> heads: array<u32>;
@group(0) @binding(5) var<storage, read_write> table: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i >= p.n) { return; }
  var r = i / p.dim;
  let column = i - r * p.dim;
  if (UNIQUE == 0u && heads[r] == 0u) { return; }
  let id = ids[r];
  if (id >= p.vocab || id < p.first || id - p.first >= p.count) { return; }
  let at = (id - p.first) * p.dim + column;
  var total = table[at] + dy[i];
  if (UNIQUE == 0u) {
    for (r = links[r]; r < p.rows; r = links[r]) { total += dy[r * p.dim + column]; }
  }
  table[at] = total;
}
