// reduce_columns.wgsl's sums of up to four matrices of one shape: y<q>[s, i] = sum over j in part s of x<q>[j, i], x [n, inner]; with
// TIMES of two products of two matrices, y0 of x0 * x1 and y1 of x2 * x3, and with BOTH of x0 and x2 themselves too, y2 and y3. `parts`
// pieces of `chunk` rows.
// One thread makes one Value of columns of one piece, 64 a workgroup; the matrices run along the grid.
// Numerics: f32, in the order of j: the same bits on every run.
override TIMES: u32 = 0u;
override BOTH: u32 = 0u;

struct Params { count: u32, n: u32, inner: u32, parts: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<Value>;
@group(0) @binding(2) var<storage, read> x1: array<Value>;
@group(0) @binding(3) var<storage, read> x2: array<Value>;
@group(0) @binding(4) var<storage, read> x3: array<Value>;
@group(0) @binding(5) var<storage, read_write> y0: array<Value>;
@group(0) @binding(6) var<storage, read_write> y1: array<Value>;
@group(0) @binding(7) var<storage, read_write> y2: array<Value>;
@group(0) @binding(8) var<storage, read_write> y3: array<Value>;

fn element(which: u32, i: u32) -> Value {
  switch which {
    case 0u: { return x0[i]; }
    case 1u: { return x1[i]; }
    case 2u: { return x2[i]; }
    default: { return x3[i]; }
  }
}

fn store(which: u32, out: u32, sum: Value) {
  switch which {
    case 0u: { y0[out] = sum; }
    case 1u: { y1[out] = sum; }
    case 2u: { y2[out] = sum; }
    default: { y3[out] = sum; }
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let cols = p.inner / WIDTH;
  let size = p.parts * cols;
  let item = (wg.x + wg.y * nwg.x) * 64u + lane;
  let which = item / size;
  if (which >= p.count) { return; }
  let out = item - which * size;
  let part = out / cols;
  let first = part * p.chunk;
  let last = min(first + p.chunk, p.n);
  var at = first * cols + out - part * cols;
  var total = Value();
  var plain = Value();
  for (var j = first; j < last; j++) {
    if (TIMES == 1u) {
      let x = element(2u * which, at);
      total += x * element(2u * which + 1u, at);
      if (BOTH == 1u) { plain += x; }
    } else {
      total += element(which, at);
    }
    at += cols;
  }
  store(which, out, total);
  if (BOTH == 1u) { store(2u + which, out, plain); }
}
