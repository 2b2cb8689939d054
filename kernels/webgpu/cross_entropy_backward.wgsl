// dx[r, j] = (exp(x[r, j] - max) / sum - (j == target[r])) * dloss[r], stats[r] = (max, sum)
// LANES threads share a row, a workgroup has ROWS rows.
// A target of `cols` or more gives a row of NaN.
// Numerics: the same exponentials as the forward pass.
struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> dloss: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<Value>;
override LANES: u32 = 64;
override ROWS: u32 = 1;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  if (row >= p.rows) { return; }
  let base = row * (p.cols / WIDTH);
  let largest = stats[row].x;
  let g = dloss[row];
  let hit = targets[row];
  var nan = 0x7fc00000u; // no constant: those must be finite
  let scale = select(g / stats[row].y, bitcast<f32>(nan), hit >= p.cols);
  for (var j = local.x; j < p.cols / WIDTH; j += LANES) {
    dx[base + j] = exp(x[base + j] - largest) * scale - value_spike(g, hit - j * WIDTH);
  }
}
