// Reductions over the LANES threads that share a row; a workgroup holds ROWS rows side by side.
// The op file declares `override LANES` (a power of two) and `override ROWS`, and `@workgroup_size(LANES, ROWS)`.
// A fixed binary tree: the same bits on every run. With LANES == 1 a value is returned as it came and no barrier is met.
// All threads of the workgroup must call these together, also those of rows beyond the last.
var<workgroup> row_lanes: array<f32, LANES * ROWS>;

fn row_sum(value: f32, lane: u32, row: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let at = row * LANES + lane;
  row_lanes[at] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { row_lanes[at] += row_lanes[at + half]; }
    workgroupBarrier();
  }
  let total = row_lanes[row * LANES];
  workgroupBarrier(); // the array may be written again
  return total;
}

fn row_max(value: f32, lane: u32, row: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let at = row * LANES + lane;
  row_lanes[at] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { row_lanes[at] = max(row_lanes[at], row_lanes[at + half]); }
    workgroupBarrier();
  }
  let largest = row_lanes[row * LANES];
  workgroupBarrier();
  return largest;
}
