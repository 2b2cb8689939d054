// Adds dy [rows, dim] to a table's gradient of which `grad` has the rows that are not zero and `places` says which row of it each id
// has, and one more (0: none). The rows of dy whose ids are equal, a list as scatter_links.wgsl has it, are summed: to the id's row where it
// has one, else into row first + r, r the first of them, which becomes the id's. The other rows from `first` on become zero. Ids of
// `vocab` or more add nothing.
// LANES threads share a row of dy, a workgroup has ROWS of them. It alone touches the place of its id, and the rows named here.
// Numerics: f32, summed in the order of the rows, so the same bits each time; no atomics.
override LANES: u32 = 64;
override ROWS: u32 = 1;

struct Params { rows: u32, dim: u32, vocab: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Value>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read> heads: array<u32>;
@group(0) @binding(5) var<storage, read_write> places: array<u32>;
@group(0) @binding(6) var<storage, read_write> grad: array<Value>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let r = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  let own = p.first + r;
  var id = p.vocab; // of no row
  if (r < p.rows) {
    if (heads[r] == 1u) { id = ids[r]; }
  }
  var place = 0u;
  if (id < p.vocab) { place = places[id]; }
  storageBarrier(); // all have read the place
  if (id < p.vocab && place == 0u && local.x == 0u) { places[id] = own + 1u; }
  let columns = select(0u, p.dim / WIDTH, r < p.rows);
  for (var column = local.x; column < columns; column += LANES) {
    var total = Value();
    if (id < p.vocab) {
      total = dy[r * columns + column];
      for (var next = links[r]; next < p.rows; next = links[next]) {
        total += dy[next * columns + column];
      }
      if (place > 0u) {
        grad[(place - 1u) * columns + column] += total;
        total = Value();
      }
    }
    grad[own * columns + column] = total;
  }
}
