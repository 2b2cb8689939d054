// square_sums.wgsl of up to seven tensors x<q> of n<q> elements: partials[at<q> + c] = (sum of x[i]^2, how many x[i] are not finite) over
// the elements i of chunk c of x<q>, CHUNK elements each. Workgroups number all chunks; those below end0 are x0's, those below end1
// x1's, and so on.
// LANES threads share a chunk, a workgroup has ROWS chunks. SQUARES == 0 counts only.
// Numerics: as in square_sums.wgsl.
const CHUNK: u32 = 2048u;

struct Params {
  rows: u32,
  at0: u32, at1: u32, at2: u32, at3: u32, at4: u32, at5: u32, at6: u32,
  n0: u32, n1: u32, n2: u32, n3: u32, n4: u32, n5: u32, n6: u32,
  end0: u32, end1: u32, end2: u32, end3: u32, end4: u32, end5: u32, end6: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<Value>;
@group(0) @binding(2) var<storage, read> x1: array<Value>;
@group(0) @binding(3) var<storage, read> x2: array<Value>;
@group(0) @binding(4) var<storage, read> x3: array<Value>;
@group(0) @binding(5) var<storage, read> x4: array<Value>;
@group(0) @binding(6) var<storage, read> x5: array<Value>;
@group(0) @binding(7) var<storage, read> x6: array<Value>;
@group(0) @binding(8) var<storage, read_write> partials: array<vec2f>;
override SQUARES: u32 = 1;
override LANES: u32 = 64;
override ROWS: u32 = 1;

// (first chunk, elements) of the tensor that has a chunk, which it is, and where its partials begin
fn tensor_of(chunk: u32) -> vec4u {
  if (chunk < p.end0) { return vec4u(0u, p.n0, 0u, p.at0); }
  if (chunk < p.end1) { return vec4u(p.end0, p.n1, 1u, p.at1); }
  if (chunk < p.end2) { return vec4u(p.end1, p.n2, 2u, p.at2); }
  if (chunk < p.end3) { return vec4u(p.end2, p.n3, 3u, p.at3); }
  if (chunk < p.end4) { return vec4u(p.end3, p.n4, 4u, p.at4); }
  if (chunk < p.end5) { return vec4u(p.end4, p.n5, 5u, p.at5); }
  return vec4u(p.end5, p.n6, 6u, p.at6);
}

fn element(which: u32, i: u32) -> Value {
  switch which {
    case 0u: { return x0[i]; }
    case 1u: { return x1[i]; }
    case 2u: { return x2[i]; }
    case 3u: { return x3[i]; }
    case 4u: { return x4[i]; }
    case 5u: { return x5[i]; }
    default: { return x6[i]; }
  }
}

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let chunk = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  let whose = tensor_of(chunk);
  let own = chunk - whose.x;
  var sums = Value();
  var bads = Value();
  let last = select(0u, min((own + 1u) * CHUNK, whose.y) / WIDTH, chunk < p.rows);
  for (var i = own * (CHUNK / WIDTH) + local.x; i < last; i += LANES) {
    let value = element(whose.z, i);
    let bad = value_bad(value);
    bads += bad;
    if (SQUARES == 1u) {
      let good = select(value, Value(), bad > Value());
      sums += good * good;
    }
  }
  let sum = row_sum(value_sum(sums), local.x, local.y);
  let bad = row_sum(value_sum(bads), local.x, local.y);
  if (chunk < p.rows && local.x == 0u) { partials[whose.w + own] = vec2f(sum, bad); }
}
