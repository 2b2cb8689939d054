// y[r, j] = exp(x[r, j] - max_j x[r, j]) / sum_j exp(x[r, j] - max_j x[r, j])
// LANES threads share a row, a workgroup has ROWS rows.
// Numerics: the maximum is subtracted first, so nothing overflows; exp is computed twice rather than stored and read back.
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read_write> y: array<Value>;
override LANES: u32 = 64;
override ROWS: u32 = 1;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  let cols = select(0u, p.cols / WIDTH, row < p.rows);
  let base = row * (p.cols / WIDTH);
  var highest = Value(-3.4e38f);
  for (var j = local.x; j < cols; j += LANES) { highest = max(highest, x[base + j]); }
  let largest = row_max(value_max(highest), local.x, local.y);
  var sums = Value();
  for (var j = local.x; j < cols; j += LANES) { sums += exp(x[base + j] - largest); }
  let sum = row_sum(value_sum(sums), local.x, local.y);
  let scale = 1f / sum;
  for (var j = local.x; j < cols; j += LANES) { y[base + j] = exp(x[base + j] - largest) * scale; }
}
