// g = dy * weight; dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), means over a row
// Where there was dropout (DROPOUT), the same elements of dx fall out for `left`, the gradient of what it was applied to.
// LANES threads share a row, a workgroup has ROWS rows.
// Numerics: f32 sums in a fixed order.
struct Params { rows: u32, cols: u32, firstRow: u32, op: u32, keep: f32, rescale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Value>;
@group(0) @binding(2) var<storage, read> xhat: array<Value>;
@group(0) @binding(3) var<storage, read> rstd: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<Value>;
@group(0) @binding(5) var<storage, read_write> dx: array<Value>;
@group(0) @binding(6) var<storage, read_write> left: array<Value>;
@group(0) @binding(7) var<uniform> rng: vec4u;
override DROPOUT: u32 = 0;
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
  var sum = Value();
  var dot = Value();
  for (var j = local.x; j < cols; j += LANES) {
    let g = dy[base + j] * weight[j];
    sum += g;
    dot += g * xhat[base + j];
  }
  let mean = row_sum(value_sum(sum), local.x, local.y) / f32(p.cols);
  let slope = row_sum(value_sum(dot), local.x, local.y) / f32(p.cols);
  let scale = rstd[min(row, p.rows - 1u)];
  for (var j = local.x; j < cols; j += LANES) {
    let d = scale * (dy[base + j] * weight[j] - mean - xhat[base + j] * slope);
    dx[base + j] = d;
    if (DROPOUT == 1u) { left[base + j] = dropped(d, (p.firstRow + row) * p.cols + j * WIDTH); }
  }
}
