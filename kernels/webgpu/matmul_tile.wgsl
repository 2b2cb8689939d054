// C[b] (M x N) = epilogue(alpha * A'[b] (M x K) * B'[b] (K x N)), for hardware. A' = A or A^T,
// B' = B or B^T; epilogue(x) = activation(x + bias) + residual; ACCUMULATE starts from what C holds.
//
// One workgroup owns a TILE_M x TILE_N tile of C. It stages TILE_K steps of A' and B' in workgroup
// memory, k-major for either transpose, while each thread keeps RM x 4 sums in registers; the next
// steps' operands are on their way from memory meanwhile. A thread stages 4 x 4 blocks: four loads
// of four neighbours, turned in registers where k is what is contiguous. The sizes come from a
// lib/tile_<M>x<N> file, loads and stores from lib/matmul_four or lib/matmul_one.
//
// Along z run the products of a batch or, with SPLIT, `batch` chunks of K: chunk z of one product
// is C[z], for matmul_join.wgsl to add up.
//
// Why every sum has a name: NVIDIA's compiler keeps an array that a loop's variable indexes in
// memory (15 times slower).
//
// Numerics: f32 sums strictly in order of k: the same bits on every run. alpha scales the finished
// sum.
override TRANS_A: u32 = 0u;
override TRANS_B: u32 = 0u;
override BIAS: u32 = 0u;
override ACTIVATION: u32 = 0u;
override RESIDUAL: u32 = 0u;
override ACCUMULATE: u32 = 0u;
override B_DTYPE: u32 = 0u;
override SPLIT: u32 = 0u;

struct Params {
  M: u32, N: u32, K: u32,
  lda: u32, ldb: u32, ldc: u32,
  aOffset: u32, bOffset: u32, cOffset: u32,
  batch: u32, aBatchStride: u32, bBatchStride: u32, cBatchStride: u32,
  alpha: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Value>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> bias: array<Value>;
@group(0) @binding(4) var<storage, read> residual: array<Value>;
@group(0) @binding(5) var<storage, read_write> c: array<Value>;
@group(0) @binding(6) var<storage, read_write> pre: array<Value>;

const COLUMNS: u32 = TILE_N / 4u; // threads along N
const THREADS: u32 = COLUMNS * (TILE_M / RM);
const ROWS4: u32 = TILE_M / 4u;
const STEPS4: u32 = TILE_K / 4u;
const A_BLOCKS: u32 = ROWS4 * STEPS4;
const B_BLOCKS: u32 = COLUMNS * STEPS4;
// Either the blocks of A and of B together are as many as threads, or those of each are.
const ONE_EACH: bool = A_BLOCKS + B_BLOCKS == THREADS;
// A' as [k][m / 4], behind it B' as [k][n / 4]. Four steps on, groups are stored at places that
// differ by an XOR: threads that write neighbouring steps of one row meet no common bank.
const B_TILE: u32 = TILE_K * ROWS4;
const TWIST: u32 = 32u / TILE_K;
var<workgroup> tile: array<vec4f, B_TILE + TILE_K * COLUMNS>;

// Four rows of four neighbours: along k, or along m (n) where that is what is contiguous.
struct Block { x: vec4f, y: vec4f, z: vec4f, w: vec4f }

// (step / 4, group) of a block: what is contiguous in memory runs fastest
fn place_a(block: u32) -> vec2u {
  if (TRANS_A == 1u) { return vec2u(block / ROWS4, block % ROWS4); }
  return vec2u(block % STEPS4, block / STEPS4);
}

fn place_b(block: u32) -> vec2u {
  if (TRANS_B == 1u) { return vec2u(block % STEPS4, block / STEPS4); }
  return vec2u(block / COLUMNS, block % COLUMNS);
}

fn block_a(base: u32, m: u32, k: u32) -> Block {
  let dm = 1u - TRANS_A;
  let dk = TRANS_A;
  return Block(
    load_a(base, m, k), load_a(base, m + dm, k + dk),
    load_a(base, m + 2u * dm, k + 2u * dk), load_a(base, m + 3u * dm, k + 3u * dk),
  );
}

fn block_b(base: u32, k: u32, n: u32) -> Block {
  let dn = TRANS_B;
  let dk = 1u - TRANS_B;
  return Block(
    load_b(base, k, n), load_b(base, k + dk, n + dn),
    load_b(base, k + 2u * dk, n + 2u * dn), load_b(base, k + 3u * dk, n + 3u * dn),
  );
}

fn turned(v: Block) -> Block {
  return Block(
    vec4f(v.x.x, v.y.x, v.z.x, v.w.x), vec4f(v.x.y, v.y.y, v.z.y, v.w.y),
    vec4f(v.x.z, v.y.z, v.z.z, v.w.z), vec4f(v.x.w, v.y.w, v.z.w, v.w.w),
  );
}

fn keep(at: u32, groups: u32, v: Block) {
  tile[at] = v.x;
  tile[at + groups] = v.y;
  tile[at + 2u * groups] = v.z;
  tile[at + 3u * groups] = v.w;
}

fn keep_a(place: vec2u, v: Block) {
  let at = 4u * place.x * ROWS4 + (place.y ^ (place.x * TWIST));
  if (TRANS_A == 1u) { keep(at, ROWS4, v); } else { keep(at, ROWS4, turned(v)); }
}

fn keep_b(place: vec2u, v: Block) {
  let at = B_TILE + 4u * place.x * COLUMNS + (place.y ^ (place.x * TWIST));
  if (TRANS_B == 1u) { keep(at, COLUMNS, turned(v)); } else { keep(at, COLUMNS, v); }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let product = select(wg.z, 0u, SPLIT == 1u);
  let a0 = p.aOffset + product * p.aBatchStride;
  let b0 = p.bOffset + product * p.bBatchStride;
  var c0 = p.cOffset + product * p.cBatchStride;
  var first = 0u;
  var last = p.K;
  if (SPLIT == 1u) {
    let tiles = (p.K + TILE_K - 1u) / TILE_K;
    let chunk = (tiles + p.batch - 1u) / p.batch * TILE_K;
    c0 = p.cOffset + wg.z * p.cBatchStride;
    first = min(wg.z * chunk, p.K);
    last = min(first + chunk, p.K);
  }
  let m0 = wg.y * TILE_M;
  let n0 = wg.x * TILE_N;
  let tx = thread % COLUMNS;
  let ty = thread / COLUMNS;
  let placeA = place_a(thread); // of a thread that stages A
  let placeB = place_b(select(thread, thread - A_BLOCKS, ONE_EACH));
  let stagesA = !ONE_EACH || thread < A_BLOCKS;

  // rows 4 ty .. 4 ty + 3 and, for RM == 8, those TILE_M / 2 below
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  var mine: Block;
  var other: Block; // of B, where a thread stages both

  for (var k0 = first; k0 < last + TILE_K; k0 += TILE_K) {
    if (k0 < last) {
      if (stagesA) {
        mine = block_a(a0, m0 + 4u * placeA.y, k0 + 4u * placeA.x);
      } else {
        mine = block_b(b0, k0 + 4u * placeB.x, n0 + 4u * placeB.y);
      }
      if (!ONE_EACH) { other = block_b(b0, k0 + 4u * placeB.x, n0 + 4u * placeB.y); }
    }
    if (k0 > first) { // the steps staged last time
      for (var step = 0u; step < STEPS4; step++) {
        let atA = 4u * step * ROWS4 + (ty ^ (step * TWIST));
        let below = 4u * step * ROWS4 + ((ty + TILE_M / 8u) ^ (step * TWIST));
        let atB = B_TILE + 4u * step * COLUMNS + (tx ^ (step * TWIST));
        var w = tile[atB];
        var v = tile[atA];
        s0 = fma(vec4f(v.x), w, s0);
        s1 = fma(vec4f(v.y), w, s1);
        s2 = fma(vec4f(v.z), w, s2);
        s3 = fma(vec4f(v.w), w, s3);
        if (RM == 8u) {
          v = tile[below];
          s4 = fma(vec4f(v.x), w, s4);
          s5 = fma(vec4f(v.y), w, s5);
          s6 = fma(vec4f(v.z), w, s6);
          s7 = fma(vec4f(v.w), w, s7);
        }
        w = tile[atB + COLUMNS];
        v = tile[atA + ROWS4];
        s0 = fma(vec4f(v.x), w, s0);
        s1 = fma(vec4f(v.y), w, s1);
        s2 = fma(vec4f(v.z), w, s2);
        s3 = fma(vec4f(v.w), w, s3);
        if (RM == 8u) {
          v = tile[below + ROWS4];
          s4 = fma(vec4f(v.x), w, s4);
          s5 = fma(vec4f(v.y), w, s5);
          s6 = fma(vec4f(v.z), w, s6);
          s7 = fma(vec4f(v.w), w, s7);
        }
        w = tile[atB + 2u * COLUMNS];
        v = tile[atA + 2u * ROWS4];
        s0 = fma(vec4f(v.x), w, s0);
        s1 = fma(vec4f(v.y), w, s1);
        s2 = fma(vec4f(v.z), w, s2);
        s3 = fma(vec4f(v.w), w, s3);
        if (RM == 8u) {
          v = tile[below + 2u * ROWS4];
          s4 = fma(vec4f(v.x), w, s4);
          s5 = fma(vec4f(v.y), w, s5);
          s6 = fma(vec4f(v.z), w, s6);
          s7 = fma(vec4f(v.w), w, s7);
        }
        w = tile[atB + 3u * COLUMNS];
        v = tile[atA + 3u * ROWS4];
        s0 = fma(vec4f(v.x), w, s0);
        s1 = fma(vec4f(v.y), w, s1);
        s2 = fma(vec4f(v.z), w, s2);
        s3 = fma(vec4f(v.w), w, s3);
        if (RM == 8u) {
          v = tile[below + 3u * ROWS4];
          s4 = fma(vec4f(v.x), w, s4);
          s5 = fma(vec4f(v.y), w, s5);
          s6 = fma(vec4f(v.z), w, s6);
          s7 = fma(vec4f(v.w), w, s7);
        }
      }
      workgroupBarrier();
    }
    if (k0 < last) {
      if (stagesA) { keep_a(placeA, mine); } else { keep_b(placeB, mine); }
      if (!ONE_EACH) { keep_b(placeB, other); }
      workgroupBarrier();
    }
  }

  let n = n0 + tx * 4u;
  let m = m0 + ty * 4u;
  store(c0, m, n, s0);
  store(c0, m + 1u, n, s1);
  store(c0, m + 2u, n, s2);
  store(c0, m + 3u, n, s3);
  if (RM == 8u) {
    let low = m + TILE_M / 2u;
    store(c0, low, n, s4);
    store(c0, low + 1u, n, s5);
    store(c0, low + 2u, n, s6);
    store(c0, low + 3u, n, s7);
  }
}
