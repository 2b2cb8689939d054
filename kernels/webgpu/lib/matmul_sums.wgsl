// Sums of one tile of a matrix product on hardware, for matmul_tile.wgsl and matmul_parts.wgsl: steps `first` .. `last` - 1 of k,
// rows from m0 on, columns from n0 on. The kernel's file has the operands and the parameters, a lib/tile_<M>x<N> file the sizes,
// lib/matmul_four or lib/matmul_one the loads, a lib/operand_<precision> file what is multiplied. Where the kernel has SUMS and
// `summed` says so (for all threads of a workgroup), the rows of A' are summed over k too.
//
// Why every sum has a name: NVIDIA's compiler keeps an array that a loop's variable indexes in
// memory (15 times slower).
const COLUMNS: u32 = TILE_N / 4u; // threads along N
const THREADS: u32 = COLUMNS * (TILE_M / RM);
const ROWS4: u32 = TILE_M / 4u;
const STEPS4: u32 = TILE_K / 4u;
const A_BLOCKS: u32 = ROWS4 * STEPS4;
const B_BLOCKS: u32 = COLUMNS * STEPS4;
// Either a thread stages one block at most, of A or of B, or one of each.
const ONE_EACH: bool = A_BLOCKS + B_BLOCKS <= THREADS;
const ALL_STAGE: bool = A_BLOCKS + B_BLOCKS >= THREADS;
// A' as [k][m / 4], behind it B' as [k][n / 4]. Four steps on, groups are stored at places that
// differ by an XOR: threads that write neighbouring steps of one row meet no common bank.
const B_TILE: u32 = TILE_K * ROWS4;
const TWIST: u32 = 32u / TILE_K;
var<workgroup> tile: array<vec4f, max(B_TILE + TILE_K * COLUMNS, HELD)>;

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

fn block_a(base: u32, m: u32, k: u32, end: u32) -> Block {
  let dm = 1u - TRANS_A;
  let dk = TRANS_A;
  return Block(
    operand(load_a(base, m, k, end)), operand(load_a(base, m + dm, k + dk, end)),
    operand(load_a(base, m + 2u * dm, k + 2u * dk, end)),
    operand(load_a(base, m + 3u * dm, k + 3u * dk, end)),
  );
}

fn block_b(base: u32, k: u32, n: u32, end: u32) -> Block {
  let dn = TRANS_B;
  let dk = 1u - TRANS_B;
  let block = Block(
    load_b(base, k, n, end), load_b(base, k + dk, n + dn, end),
    load_b(base, k + 2u * dk, n + 2u * dn, end), load_b(base, k + 3u * dk, n + 3u * dn, end),
  );
  if (B_DTYPE == DTYPE_F16) { return block; }
  return Block(operand(block.x), operand(block.y), operand(block.z), operand(block.w));
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

// Sums of rows 4 ty .. 4 ty + 3 of the tile and, for RM == 8, of those TILE_M / 2 below; `upper` and `lower`: these rows of A', summed
struct Sums {
  s0: vec4f, s1: vec4f, s2: vec4f, s3: vec4f,
  s4: vec4f, s5: vec4f, s6: vec4f, s7: vec4f,
  upper: vec4f, lower: vec4f,
}

fn sums_of(a0: u32, b0: u32, first: u32, last: u32, m0: u32, n0: u32, thread: u32, summed: bool) -> Sums {
  return sums_onto(Sums(), a0, b0, first, last, m0, n0, thread, summed);
}

// The same, added to other sums
fn sums_onto(start: Sums, a0: u32, b0: u32, first: u32, last: u32, m0: u32, n0: u32, thread: u32, summed: bool) -> Sums {
  let tx = thread % COLUMNS;
  let ty = thread / COLUMNS;
  let placeA = place_a(thread); // of a thread that stages A
  let placeB = place_b(select(thread, thread - A_BLOCKS, ONE_EACH));
  let stagesA = !ONE_EACH || thread < A_BLOCKS;
  let stages = ALL_STAGE || thread < A_BLOCKS + B_BLOCKS;

  var s0 = start.s0;
  var s1 = start.s1;
  var s2 = start.s2;
  var s3 = start.s3;
  var s4 = start.s4;
  var s5 = start.s5;
  var s6 = start.s6;
  var s7 = start.s7;
  var upper = start.upper;
  var lower = start.lower;
  var mine: Block;
  var other: Block; // of B, where a thread stages both

  for (var k0 = first; k0 < last + TILE_K; k0 += TILE_K) {
    if (k0 < last) {
      if (stagesA) {
        mine = block_a(a0, m0 + 4u * placeA.y, k0 + 4u * placeA.x, last);
      } else if (stages) {
        mine = block_b(b0, k0 + 4u * placeB.x, n0 + 4u * placeB.y, last);
      }
      if (!ONE_EACH) { other = block_b(b0, k0 + 4u * placeB.x, n0 + 4u * placeB.y, last); }
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
        if (SUMS == 1u && summed) {
          upper = (((upper + tile[atA]) + tile[atA + ROWS4]) + tile[atA + 2u * ROWS4]) + tile[atA + 3u * ROWS4];
          if (RM == 8u) {
            lower = (((lower + tile[below]) + tile[below + ROWS4]) + tile[below + 2u * ROWS4]) + tile[below + 3u * ROWS4];
          }
        }
      }
      workgroupBarrier();
    }
    if (k0 < last) {
      if (stagesA) { keep_a(placeA, mine); } else if (stages) { keep_b(placeB, mine); }
      if (!ONE_EACH) { keep_b(placeB, other); }
      workgroupBarrier();
    }
  }
  return Sums(s0, s1, s2, s3, s4, s5, s6, s7, upper, lower);
}
