// y[r, :] = table[ids[r], :] for ids in [first, first + count), the rows of the table that are
// bound; an id beyond `vocab` gives NaN.
// A workgroup of 64 threads makes 256 elements, four a thread; n = rows * dim.
// Numerics: 32-bit words are copied as they are; f16 and bf16 tables (FORMAT 1, 2) are decoded
// exactly to f32.
override FORMAT: u32 = 0u;

struct Params { n: u32, dim: u32, vocab: u32, first: u32, count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let base = (wg.x + wg.y * nwg.x) * 256u + lane;
  for (var k = 0u; k < 4u; k++) {
    let i = base + k * 64u;
    if (i < p.n) {
      let row = i / p.dim;
      let id = ids[row];
      if (id >= p.vocab) {
        y[i] = 0x7fc00000u;
      } else if (id >= p.first && id - p.first < p.count) {
        let at = (id - p.first) * p.dim + i - row * p.dim;
        y[i] = bitcast<u32>(decode_one(table[decode_word(at, FORMAT)], at, FORMAT));
      }
    }
  }
}
