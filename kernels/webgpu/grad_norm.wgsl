// control = [min(1, maxNorm / (norm + 1e-6)), ok, norm, 0], norm = sqrt(sum of partials.x), ok = nothing was not finite
// One workgroup; LANES threads share the one row of `count` partials. maxNorm == 0 clips nothing.
// Numerics: a sum of squares that overflows is not ok either (its bits are those of infinity).
struct Params { rows: u32, count: u32, maxNorm: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> control: array<f32>;
override LANES: u32 = 64;
override ROWS: u32 = 1;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3u) {
  var sum = 0f;
  var bad = 0f;
  let count = select(0u, p.count, local.y == 0u);
  for (var i = local.x; i < count; i += LANES) {
    sum += partials[i].x;
    bad += partials[i].y;
  }
  sum = row_sum(sum, local.x, local.y);
  bad = row_sum(bad, local.x, local.y);
  if (local.x > 0u || local.y > 0u) { return; }
  let norm = sqrt(sum);
  let overflow = (bitcast<u32>(sum) & 0x7fffffffu) >= 0x7f800000u;
  let ok = bad == 0f && !overflow;
  var clip = 1f;
  if (p.maxNorm > 0f) { clip = min(1f, p.maxNorm / (norm + 1e-6f)); }
  control[0] = select(0f, clip, ok);
  control[1] = select(0f, 1f, ok);
  control[2] = norm;
  control[3] = 0f;
}
