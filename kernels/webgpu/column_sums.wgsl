// y[chunk, j] = sum of a[r, j] * b[r, j] over the rows r of the chunk (b = 1 unless TIMES)
// One thread owns one Value of columns of one chunk; 64 a workgroup, chunks along y of the grid. Many rows take two launches: the
// chunks' sums are the rows of the second.
// Numerics: f32 sums in order of r, chunks in order: the same bits on every run.
struct Params { rows: u32, cols: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Value>;
@group(0) @binding(3) var<storage, read_write> y: array<Value>;
override TIMES: u32 = 0;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cols = p.cols / WIDTH;
  let j = wg.x * 64u + lane;
  if (j >= cols) { return; }
  var sum = Value();
  for (var r = wg.y * p.chunk; r < min((wg.y + 1u) * p.chunk, p.rows); r++) {
    let at = r * cols + j;
    if (TIMES == 1u) { sum += a[at] * b[at]; } else { sum += a[at]; }
  }
  y[wg.y * cols + j] = sum;
}
