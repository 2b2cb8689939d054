// y[o, s, i] = scale * OP over j in part s of x[o, j, i] (times w[o, j, i] with TIMES), x [outer, n, inner]; OP: sum or maximum.
// Few columns with many rows are cut into `parts` pieces of `chunk` rows; a second launch joins them.
// One thread makes one Value of columns of one piece, 64 a workgroup.
// Numerics: f32, in the order of j: the same bits on every run; a NaN makes the maximum NaN.
override OP: u32 = 0u;
override TIMES: u32 = 0u;

struct Params { outer: u32, n: u32, inner: u32, parts: u32, chunk: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read> w: array<Value>;
@group(0) @binding(3) var<storage, read_write> y: array<Value>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let cols = p.inner / WIDTH;
  let out = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (out >= p.outer * p.parts * cols) { return; }
  let row = out / cols;
  let column = out - row * cols;
  let o = row / p.parts;
  let first = (row - o * p.parts) * p.chunk;
  let last = min(first + p.chunk, p.n);
  var at = (o * p.n + first) * cols + column;
  var total = Value();
  if (OP == REDUCE_MAX) { total = x[at]; }
  for (var j = first; j < last; j++) {
    if (OP == REDUCE_MAX) {
      total = value_max_nan(total, x[at]);
    } else if (TIMES == 1u) {
      total += x[at] * w[at];
    } else {
      total += x[at];
    }
    at += cols;
  }
  y[out] = total * p.scale;
}
