// dx[r, j] = y[r, j] * (dy[r, j] - sum_i y[r, i] * dy[r, i]), y = softmax(x)
// LANES threads share a row, a workgroup has ROWS rows.
// Numerics: f32 sums in a fixed order.
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<Value>;
@group(0) @binding(2) var<storage, read> dy: array<Value>;
@group(0) @binding(3) var<storage, read_write> dx: array<Value>;
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
  var dots = Value();
  for (var j = local.x; j < cols; j += LANES) { dots += y[base + j] * dy[base + j]; }
  let dot = row_sum(value_sum(dots), local.x, local.y);
  for (var j = local.x; j < cols; j += LANES) { dx[base + j] = y[base + j] * (dy[base + j] - dot); }
}
