// partials[at + c] = (sum of x[i]^2, how many x[i] are not finite) over the elements i of chunk c, CHUNK elements each
// LANES threads share a chunk, a workgroup has ROWS chunks. SQUARES == 0 counts only.
// Numerics: what is not finite is found by its bits (compilers fold x != x away) and left out of the sum.
const CHUNK: u32 = 2048u;

struct Params { n: u32, rows: u32, at: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Value>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec2f>;
override SQUARES: u32 = 1;
override LANES: u32 = 64;
override ROWS: u32 = 1;

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let chunk = (wg.x + wg.y * nwg.x) * ROWS + local.y;
  var sums = Value();
  var bads = Value();
  let last = min((chunk + 1u) * CHUNK, p.n) / WIDTH;
  for (var i = chunk * (CHUNK / WIDTH) + local.x; i < last; i += LANES) {
    let value = x[i];
    let bad = value_bad(value);
    bads += bad;
    if (SQUARES == 1u) {
      let good = select(value, Value(), bad > Value());
      sums += good * good;
    }
  }
  let sum = row_sum(value_sum(sums), local.x, local.y);
  let bad = row_sum(value_sum(bads), local.x, local.y);
  if (chunk < p.rows && local.x == 0u) { partials[p.at + chunk] = vec2f(sum, bad); }
}
