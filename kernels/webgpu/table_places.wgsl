// places[ids[r]] = r + 1 for each r of `rows` ids below `vocab`, none of which occurs twice: where in a list of rows that of an id is.
// The other places keep what they have, 0 for none.
// One thread a row, 64 a workgroup.
// Numerics: integers only.
struct Params { rows: u32, vocab: u32 }
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
  let id = ids[r];
  if (id < p.vocab) { places[id] = r + 1u; }
}
