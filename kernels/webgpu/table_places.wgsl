// places[ids[r]] = r + 1 for each r of `rows` ids: where in a list of rows that of an id is. The other places keep what they have, 0 for
// none.
// One thread a row, 64 a workgroup.
// Numerics: integers only.
// Needs: ids that have a place each, none twice.
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> places: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (r >= p.rows) { return; }
  places[ids[r]] = r + 1u;
}
