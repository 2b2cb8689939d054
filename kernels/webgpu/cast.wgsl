// y = x as another dtype.
// A workgroup of 64 threads makes 256 elements, four a thread.
// Numerics: floats become integers by dropping the fraction, saturate at the ends of the range, and
// NaN becomes 0; integers become the nearest f32; i32 and u32 keep their bits. Decoding f16 and
// bf16 is exact.
override FROM: u32 = 0u;
override TO: u32 = 0u;

struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = base + k * 64u;
    if (i < p.n) { y[i] = convert(i); }
  }
}

fn convert(i: u32) -> u32 {
  if (FROM == TYPE_F16) { return bitcast<u32>(decode_one(x[i / 2u], i, DTYPE_F16)); }
  if (FROM == TYPE_BF16) { return bitcast<u32>(decode_one(x[i / 2u], i, DTYPE_BF16)); }
  let bits = x[i];
  if (FROM == TYPE_F32) {
    if (is_nan_bits(bits)) { return 0u; }
    let v = bitcast<f32>(bits);
    if (TO == TYPE_U32) {
      if (v >= 4294967296.0) { return 0xffffffffu; }
      return u32(max(v, 0.0));
    }
    if (v >= 2147483648.0) { return 0x7fffffffu; }
    if (v <= -2147483648.0) { return 0x80000000u; }
    return bitcast<u32>(i32(v));
  }
  if (TO == TYPE_F32) {
    if (FROM == TYPE_I32) { return bitcast<u32>(f32(bitcast<i32>(bits))); }
    return bitcast<u32>(f32(bits));
  }
  return bits;
}
