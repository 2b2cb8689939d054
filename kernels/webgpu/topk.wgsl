// For each row of x [rows, cols]: the k largest values in falling order with their columns; the
// lowest column first on ties.
// LANES threads share a row; each of k passes finds the best element behind the one before it. ROWS
// rows a workgroup.
// Numerics: values are copied as they are; NaN counts as less than everything, so it is found last.
override LANES: u32 = 64u;
override ROWS: u32 = 1u;
override HAS_VALUES: u32 = 1u;

struct Params { rows: u32, cols: u32, k: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

var<workgroup> orders: array<u32, 256>;
var<workgroup> columns: array<u32, 256>;

const NONE: u32 = 0xffffffffu;

// Unsigned integers in the order of the floats; NaN is 0, and both zeros are alike.
fn order(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  if (is_nan_bits(bits)) { return 0u; }
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

@compute @workgroup_size(LANES, ROWS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_id) id: vec3u,
) {
  let wanted = (wg.x + wg.y * nwg.x) * ROWS + id.y;
  let row = min(wanted, p.rows - 1u); // all lanes must reach the barriers
  let at = id.y * LANES + id.x;
  let lead = id.y * LANES;
  var last_order = NONE; // no float has this order
  var last_column = 0u;
  for (var pass_ = 0u; pass_ < p.k; pass_++) {
    var best = 0u;
    var column = NONE;
    for (var j = id.x; j < p.cols; j += LANES) {
      let o = order(x[row * p.cols + j]);
      let behind = o < last_order || (o == last_order && j > last_column);
      if (behind && (column == NONE || o > best)) {
        best = o;
        column = j;
      }
    }
    if (LANES > 1u) {
      orders[at] = best;
      columns[at] = column;
      for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (id.x < half) {
          let o = orders[at + half];
          let c = columns[at + half];
          let mine = columns[at];
          let better = mine == NONE || o > orders[at] || (o == orders[at] && c < mine);
          if (c != NONE && better) {
            orders[at] = o;
            columns[at] = c;
          }
        }
      }
      workgroupBarrier();
      best = orders[lead];
      column = columns[lead];
      workgroupBarrier();
    }
    last_order = best;
    last_column = column;
    if (id.x == 0u && wanted < p.rows) {
      indices[row * p.k + pass_] = column;
      if (HAS_VALUES == 1u) { values[row * p.k + pass_] = x[row * p.cols + column]; }
    }
  }
}
