// s = x + residual, x after dropout where there is (DROPOUT); xhat = (s - mean(s)) * rstd, rstd = 1 / sqrt(mean((s - mean(s))^2) + eps); y = xhat * weight + bias
// LANES threads share a row, a workgroup has ROWS rows.
// Numerics: the variance in a pass of its own over s - mean, which also gives what rounding took from the mean, so that a large
// mean costs no digits.
struct Params { rows: u32, cols: u32, eps: f32, firstRow: u32, op: u32, keep: f32, rescale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> residual: array<Value>;
@group(0) @binding(3) var<storage, read> weight: array<Value>;
@group(0) @binding(4) var<storage, read> bias: array<Value>;
@group(0) @binding(5) var<storage, read_write> y: array<Value>;
@group(0) @binding(6) var<storage, read_write> xhat: array<Value>;
@group(0) @binding(7) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(8) var<uniform> rng: vec4u;
override HAS_RESIDUAL: u32 = 0;
override DROPOUT: u32 = 0;
override LANES: u32 = 64;
override ROWS: u32 = 1;

// Every thread reads back only what it wrote itself, so xhat holds s, then s - mean, on the way.
@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  let cols = select(0u, p.cols / WIDTH, row < p.rows);
  let base = row * (p.cols / WIDTH);
  let count = f32(p.cols);
  var sum = Value();
  for (var j = local.x; j < cols; j += LANES) {
    var s = x[base + j];
    if (DROPOUT == 1u) { s = dropped(s, (p.firstRow + row) * p.cols + j * WIDTH); }
    if (HAS_RESIDUAL == 1u) { s += residual[base + j]; }
    if (HAS_RESIDUAL == 1u || DROPOUT == 1u) { xhat[base + j] = s; }
    sum += s;
  }
  let mean = row_sum(value_sum(sum), local.x, local.y) / count;
  var rest = Value();
  var squares = Value();
  for (var j = local.x; j < cols; j += LANES) {
    var s = Value();
    if (HAS_RESIDUAL == 1u || DROPOUT == 1u) { s = xhat[base + j]; } else { s = x[base + j]; }
    rest += s - mean;
    squares += (s - mean) * (s - mean);
  }
  let correction = row_sum(value_sum(rest), local.x, local.y) / count;
  let variance = row_sum(value_sum(squares), local.x, local.y) / count - correction * correction;
  let scale = 1f / sqrt(max(variance, 0f) + p.eps);
  for (var j = local.x; j < cols; j += LANES) {
    var s = Value();
    if (HAS_RESIDUAL == 1u || DROPOUT == 1u) { s = xhat[base + j]; } else { s = x[base + j]; }
    let h = (s - mean - correction) * scale;
    xhat[base + j] = h;
    y[base + j] = h * weight[j] + bias[j];
  }
  if (row < p.rows && local.x == 0u) { rstd[row] = scale; }
}
