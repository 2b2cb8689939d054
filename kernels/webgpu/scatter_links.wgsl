// For each r of `rows` ids: links[r] = the next row with the same id (rows if there is none), and
// heads[r] = 1 where the id occurs for the first time. The rows of one id are thus a list in rising
// order, and no sort is needed.
// One thread a row, 64 a workgroup; both scans stop at the first match.
// Numerics: integers only.
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> links: array<u32>;
@group(0) @binding(3) var<storage, read_write> heads: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (r >= p.rows) { return; }
  let id = ids[r];
  var head = 1u;
  for (var j = r; j > 0u; j--) {
    if (ids[j - 1u] == id) {
      head = 0u;
      break;
    }
  }
  var next = p.rows;
  for (var j = r + 1u; j < p.rows; j++) {
    if (ids[j] == id) {
      next = j;
      break;
    }
  }
  links[r] = next;
  heads[r] = head;
}
