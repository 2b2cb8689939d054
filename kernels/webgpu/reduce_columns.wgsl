// y[o, s, i] = scale * OP over j in part s of x[o, j, i] (times w[o, j, i] with HAS_TIMES), x [outer,
// n, inner]; OP 0 sums, 1 takes the maximum. Few columns with many rows are cut into `parts` pieces
// of `chunk` rows; a second launch joins them.
// One thread an output, 64 a workgroup.
// Numerics: f32, in the order of j; a NaN makes the maximum NaN.
override OP: u32 = 0u;
override HAS_TIMES: u32 = 0u;

struct Params { outer: u32, n: u32, inner: u32, parts: u32, chunk: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let out = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (out >= p.outer * p.parts * p.inner) { return; }
  let row = out / p.inner;
  let column = out - row * p.inner;
  let o = row / p.parts;
  let first = (row - o * p.parts) * p.chunk;
  let last = min(first + p.chunk, p.n);
  var at = (o * p.n + first) * p.inner + column;
  var total = 0.0;
  if (OP == 1u) { total = x[at]; }
  for (var j = first; j < last; j++) {
    var v = x[at];
    if (HAS_TIMES == 1u) { v *= w[at]; }
    if (OP == 0u) { total += v; } else { total = max_nan(total, v); }
    at += p.inner;
  }
  y[out] = total * p.scale;
}
