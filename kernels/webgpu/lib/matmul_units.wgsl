// Sums of one tile of a matrix product on matrix units: stands for lib/matmul_sums.wgsl and lib/operand_f16.wgsl, behind the same
// kernels, tiles and loads. lib/units.wgsl has the units.
//
// A thread stages two words of A' and two of B', each of eight neighbours rounded to f16, in the order that they have in memory, while
// the next are on their way. Each unit of 32 threads has 16 rows (and, for RM == 8, the 16 that are 32 below) by 32 columns. The
// finished sums go through the same 10 KiB, 32 rows at a time, to the threads whose they are.
//
// Numerics: operands rounded to f16, products exact, f32 sums; in which order a unit adds 16 steps of k is its own, the same on
// every run. SUMS are those of the steps that a thread stages, then those of threads in their order.
const COLUMNS: u32 = TILE_N / 4u; // threads along N
const THREADS: u32 = COLUMNS * (TILE_M / RM);
const STEPS: u32 = 32u; // of k that are staged at a time; what lies beyond the last is zero
// Lines of the tile have a word more than they need: a unit that reads 16 of them meets no common bank.
const B_TILE: u32 = TILE_M * (STEPS / 8u + 1u);
const LINE: u32 = TILE_N / 4u + 1u; // of sums
var<workgroup> tile: array<vec4u, B_TILE + TILE_N * (STEPS / 8u + 1u)>;

// words of a line of A', of B'
fn line_a() -> u32 { return select(STEPS, TILE_M, TRANS_A == 1u) / 8u; }
fn line_b() -> u32 { return select(TILE_N, STEPS, TRANS_B == 1u) / 8u; }

// word q of the steps of A' from k0 on
fn word_a(base: u32, m0: u32, k0: u32, q: u32, end: u32) -> vec4u {
  let line = q / line_a();
  let at = q % line_a() * 8u;
  if (TRANS_A == 1u) {
    let k = k0 + line;
    return vec4u(halves(load_a(base, m0 + at, k, end)), halves(load_a(base, m0 + at + 4u, k, end)));
  }
  let m = m0 + line;
  return vec4u(halves(load_a(base, m, k0 + at, end)), halves(load_a(base, m, k0 + at + 4u, end)));
}

fn word_b(base: u32, k0: u32, n0: u32, q: u32, end: u32) -> vec4u {
  let line = q / line_b();
  let at = q % line_b() * 8u;
  if (TRANS_B == 1u) {
    let n = n0 + line;
    return vec4u(halves(load_b(base, k0 + at, n, end)), halves(load_b(base, k0 + at + 4u, n, end)));
  }
  let k = k0 + line;
  return vec4u(halves(load_b(base, k, n0 + at, end)), halves(load_b(base, k, n0 + at + 4u, end)));
}

// where word q of a tile lies whose lines have so many
fn staged(q: u32, words: u32) -> u32 { return q / words * (words + 1u) + q % words; }

fn left_of(m: u32, k: u32) -> Left {
  let line = line_a() + 1u;
  return left_at(select(m * line + k / 8u, k * line + m / 8u, TRANS_A == 1u), line);
}

fn right_of(k: u32, n: u32) -> Right {
  let line = line_b() + 1u;
  return right_at(B_TILE + select(k * line + n / 8u, n * line + k / 8u, TRANS_B == 1u), line);
}

fn four(halves: vec2u) -> vec4f { return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y)); }

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
  var made = start;
  let unit = thread / 32u;
  let lane = thread % 32u;
  let m = unit / (TILE_N / 32u) * 16u;
  let n = unit % (TILE_N / 32u) * 32u;
  let row = thread / COLUMNS * 4u;
  var c0: Result;
  var c1: Result;
  var c2: Result;
  var c3: Result;
  var wordA: vec4u;
  var nextA: vec4u;
  var wordB: vec4u;
  var nextB: vec4u;
  var even: vec4f; // with SUMS, of the rows of A' that this thread stages: TRANS_A == 1
  var odd: vec4f;
  for (var k0 = first; k0 < last + STEPS; k0 += STEPS) {
    if (k0 < last) {
      wordA = word_a(a0, m0, k0, thread, last);
      nextA = word_a(a0, m0, k0, thread + THREADS, last);
      wordB = word_b(b0, k0, n0, thread, last);
      nextB = word_b(b0, k0, n0, thread + THREADS, last);
    }
    if (k0 > first) { // the steps staged last time
      for (var k = 0u; k < STEPS; k += 16u) {
        let right = right_of(k, n);
        let beside = right_of(k, n + 16u);
        let left = left_of(m, k);
        c0 = multiplied(left, right, c0, lane);
        c1 = multiplied(left, beside, c1, lane);
        if (RM == 8u) {
          let below = left_of(m + 32u, k);
          c2 = multiplied(below, right, c2, lane);
          c3 = multiplied(below, beside, c3, lane);
        }
      }
      workgroupBarrier();
    }
    if (k0 < last) {
      if (SUMS == 1u && summed) {
        even += four(wordA.xy) + four(nextA.xy);
        odd += four(wordA.zw) + four(nextA.zw);
      }
      tile[staged(thread, line_a())] = wordA;
      tile[staged(thread + THREADS, line_a())] = nextA;
      tile[B_TILE + staged(thread, line_b())] = wordB;
      tile[B_TILE + staged(thread + THREADS, line_b())] = nextB;
      workgroupBarrier();
    }
  }
  if (SUMS == 1u && summed) {
    tile[2u * thread] = bitcast<vec4u>(even);
    tile[2u * thread + 1u] = bitcast<vec4u>(odd);
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i += TILE_M / 8u) {
      made.upper += bitcast<vec4f>(tile[2u * i + row / 4u]);
      if (RM == 8u) { made.lower += bitcast<vec4f>(tile[2u * i + row / 4u + 8u]); }
    }
    workgroupBarrier();
  }
  let at = row * LINE + thread % COLUMNS;
  keep(c0, m * LINE + n / 4u, LINE, lane);
  keep(c1, m * LINE + n / 4u + 4u, LINE, lane);
  workgroupBarrier();
  made.s0 += bitcast<vec4f>(tile[at]);
  made.s1 += bitcast<vec4f>(tile[at + LINE]);
  made.s2 += bitcast<vec4f>(tile[at + 2u * LINE]);
  made.s3 += bitcast<vec4f>(tile[at + 3u * LINE]);
  workgroupBarrier();
  if (RM == 8u) {
    keep(c2, m * LINE + n / 4u, LINE, lane);
    keep(c3, m * LINE + n / 4u + 4u, LINE, lane);
    workgroupBarrier();
    made.s4 += bitcast<vec4f>(tile[at]);
    made.s5 += bitcast<vec4f>(tile[at + LINE]);
    made.s6 += bitcast<vec4f>(tile[at + 2u * LINE]);
    made.s7 += bitcast<vec4f>(tile[at + 3u * LINE]);
    workgroupBarrier();
  }
  return made;
}
