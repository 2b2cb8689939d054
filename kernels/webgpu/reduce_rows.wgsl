// y[o, s] = scale * OP over j in part s of x[o, j], x [outer, n]; OP: sum or maximum. ENTROPY: of -x ln(x) instead of x.
// Few rows with many columns are cut into `parts` pieces of `chunk`; a second launch joins them.
// rows = outer * parts.
// LANES threads share a row and join their results in a tree; ROWS rows a workgroup.
// Numerics: f32; lane l takes j = l, l + LANES, ...; a NaN makes the maximum NaN. ln(x) = ln(max(x, 1.2e-38)), so that 0 gives 0.
override OP: u32 = 0u;
override ENTROPY: u32 = 0u;
override LANES: u32 = 64u;
override ROWS: u32 = 1u;

struct Params { rows: u32, n: u32, parts: u32, chunk: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> tree: array<f32, 256>;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) id: vec3u,
) {
  let wanted = (wg.x + wg.y * nwg.x) * ROWS + id.y;
  let row = min(wanted, p.rows - 1u); // all lanes must reach the barriers
  let o = row / p.parts;
  let first = (row - o * p.parts) * p.chunk;
  let last = min(first + p.chunk, p.n);
  var total = 0.0;
  if (OP == REDUCE_MAX) { total = element(o * p.n + first); }
  for (var j = first + id.x; j < last; j += LANES) {
    total = join(total, element(o * p.n + j));
  }
  if (LANES > 1u) {
    let at = id.y * LANES + id.x;
    tree[at] = total;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (id.x < half) { tree[at] = join(tree[at], tree[at + half]); }
    }
    total = tree[at];
  }
  if (id.x == 0u && wanted < p.rows) { y[row] = total * p.scale; }
}

fn element(at: u32) -> f32 {
  let v = x[at];
  if (ENTROPY == 1u) { return -v * log(max(v, 1.2e-38)); }
  return v;
}

fn join(a: f32, b: f32) -> f32 {
  if (OP == REDUCE_SUM) { return a + b; }
  return max_nan(a, b);
}
