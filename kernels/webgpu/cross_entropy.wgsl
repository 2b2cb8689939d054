// loss[r] = log sum_j exp(x[r, j]) - x[r, target[r]]; stats[r] = (max_j x[r, j], sum_j exp(x[r, j] - max))
// LANES threads share a row, a workgroup has ROWS rows.
// A target of `cols` or more gives NaN, and so does a row with a NaN or +infinity in it, or of -infinity alone.
// Numerics: (max - x[target]) + log(sum) keeps the digits that log sum exp of large logits would lose; the backward pass gets
// the maximum and the sum for the same reason.
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2f>;
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
  var nans = Value(); // by their bits: nothing else keeps a NaN for certain
  for (var j = local.x; j < cols; j += LANES) {
    let v = x[base + j];
    sums += exp(v - largest);
    nans += value_nan(v);
  }
  let sum = row_sum(value_sum(sums), local.x, local.y);
  let bad = row_sum(value_sum(nans), local.x, local.y) > 0f || sum == 0f || largest > 3.4028234e38f;
  if (row < p.rows && local.x == 0u) {
    let target_id = targets[row];
    let hit = min(target_id, p.cols - 1u);
    let picked = value_at(x[base + hit / WIDTH], hit % WIDTH);
    var nan = 0x7fc00000u; // no constant: those must be finite
    let value = largest - picked + log(max(sum, 1e-37f));
    loss[row] = select(value, bitcast<f32>(nan), bad || target_id >= p.cols);
    stats[row] = vec2f(largest, select(sum, bitcast<f32>(nan), bad));
  }
}
