// The gradients of table_attention.wgsl's scores (M x N) and of what they were made from (M x K), from what table_attention_parts.wgsl
// made of a gradient of y, which dscores holds, with GRADIENT: with d = sum_t stats[t] = a row of y times its gradient,
//   dscores = y * (dscores - d), in place, dx = dscores B = sum_t parts[t] - d * mean, for mean = y B.
// A workgroup has what lib/over_tiles.wgsl says.
// Numerics: f32 sums over the tiles in a fixed order, the same bits on every run.
struct Params { M: u32, N: u32, K: u32, tiles: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<Value>;
@group(0) @binding(2) var<storage, read> stats: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<Value>;
@group(0) @binding(4) var<storage, read> mean: array<Value>;
@group(0) @binding(5) var<storage, read_write> dscores: array<Value>;
@group(0) @binding(6) var<storage, read_write> dx: array<Value>;

fn share(t: u32, row: u32) -> f32 { return 1f; }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wg.y;
  var sum = 0f;
  for (var t = lane; t < p.tiles; t += LANES) { sum += stats[t * p.M + row]; }
  let dot = row_sum(sum, lane, 0u);

  let groups = (p.K / WIDTH + MEANS - 1u) / MEANS;
  if (wg.x < groups) {
    let column = wg.x * MEANS + lane % MEANS;
    let at = row * (p.K / WIDTH) + column;
    let all = over_tiles(row, column, lane);
    if (lane < MEANS && column < p.K / WIDTH) { dx[at] = all - dot * mean[at]; }
    return;
  }
  let first = (wg.x - groups) * SCORES;
  let base = row * (p.N / WIDTH);
  for (var j = first + lane; j < min(first + SCORES, p.N / WIDTH); j += LANES) {
    dscores[base + j] = y[base + j] * (dscores[base + j] - dot);
  }
}
