// C[m, n] = epilogue(alpha * sum over z of parts[z, m, n]): the end of a product whose K was split
// into `chunks` parts; the epilogue is that of matmul_tile.wgsl.
// One thread owns an element of C, 64 a workgroup.
// Numerics: f32 sums in order of z, which depends on the shape alone: the same bits on every run
// and every GPU. Four chunks are loaded before the first is added, for latency is what this waits
// for; a chunk past the last adds zero.
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;
override RESIDUAL: u32 = 0u;
override ACCUMULATE: u32 = 0u;

struct Params { M: u32, N: u32, ldc: u32, cOffset: u32, chunks: u32, alpha: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> residual: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;
@group(0) @binding(5) var<storage, read_write> pre: array<f32>;

fn chunk(z: u32, i: u32) -> f32 {
  let x = parts[min(z, p.chunks - 1u) * (p.M * p.N) + i];
  return select(0f, x, z < p.chunks);
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wg.x + wg.y * nwg.x) * 64u + lane;
  if (i >= p.M * p.N) { return; }
  var sum = 0f;
  for (var z = 0u; z < p.chunks; z += 4u) {
    let x0 = chunk(z, i);
    let x1 = chunk(z + 1u, i);
    let x2 = chunk(z + 2u, i);
    let x3 = chunk(z + 3u, i);
    sum = (((sum + x0) + x1) + x2) + x3;
  }
  let m = i / p.N;
  let n = i - m * p.N;
  let at = p.cOffset + m * p.ldc + n;
  var y = p.alpha * sum;
  if (ACCUMULATE == 1u) { y += c[at]; }
  if (BIAS == 1u) { y += bias[n]; }
  if (ACTIVATION == 1u) {
    pre[at] = y;
    y = gelu(y);
  }
  if (RESIDUAL == 1u) { y += residual[at]; }
  c[at] = y;
}
