// y (M x N) = the softmax of each row of scores, mean (M x K) = y B, from what table_attention_parts.wgsl made of each of `tiles` tiles
// of B's rows: with h = the largest maximum, z = sum_t stats[t] exp(maximum_t - h),
//   mean = sum_t parts[t] exp(maximum_t - h) / z, y = exp(scores - h) / z.
// A workgroup has what lib/over_tiles.wgsl says.
// Numerics: softmax.wgsl's; f32 sums over the tiles in a fixed order, the same bits on every run.
struct Params { M: u32, N: u32, K: u32, tiles: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<Value>;
@group(0) @binding(2) var<storage, read> stats: array<f32>;
@group(0) @binding(3) var<storage, read_write> scores: array<Value>;
@group(0) @binding(4) var<storage, read_write> y: array<Value>;
@group(0) @binding(5) var<storage, read_write> mean: array<Value>;

var<private> largest: f32; // the same for all threads of a workgroup

fn share(t: u32, row: u32) -> f32 { return exp(stats[(p.tiles + t) * p.M + row] - largest); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wg.y;
  var highest = -3.4e38f;
  for (var t = lane; t < p.tiles; t += LANES) {
    highest = max(highest, stats[(p.tiles + t) * p.M + row]);
  }
  largest = row_max(highest, lane, 0u);
  var sum = 0f;
  for (var t = lane; t < p.tiles; t += LANES) { sum += stats[t * p.M + row] * share(t, row); }
  let scale = 1f / row_sum(sum, lane, 0u);

  let groups = (p.K / WIDTH + MEANS - 1u) / MEANS;
  if (wg.x < groups) {
    let column = wg.x * MEANS + lane % MEANS;
    let all = over_tiles(row, column, lane);
    if (lane < MEANS && column < p.K / WIDTH) { mean[row * (p.K / WIDTH) + column] = all * scale; }
    return;
  }
  let first = (wg.x - groups) * SCORES;
  let base = row * (p.N / WIDTH);
  for (var j = first + lane; j < min(first + SCORES, p.N / WIDTH); j += LANES) {
    y[base + j] = exp(scores[base + j] - largest) * scale;
  }
}
