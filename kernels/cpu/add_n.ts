// y = x0 + x1 + ... + x5, the first COUNT of them.
// A task makes GRAIN elements, CHUNK at a time, so that y is added to where it is in cache.
// Numerics: summed from the first to the last.
const GRAIN: u32 = 16384;
const CHUNK: u32 = 2048;

@unmanaged export class AddN {
  n: u32;
  COUNT: u32;
  x0: usize; x1: usize; x2: usize; x3: usize; x4: usize; x5: usize;
  y: usize;
}

export function add_n_tasks(p: AddN): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function add_n(p: AddN, task: u32, scratch: usize): void {
  let first = task * GRAIN;
  const end = min(first + GRAIN, p.n);
  for (; first < end; first += CHUNK) {
    const at: usize = first << 2;
    const n = min(CHUNK, end - first);
    const y = p.y + at;
    add(y, p.x0 + at, p.x1 + at, n);
    if (p.COUNT > 2) add(y, y, p.x2 + at, n);
    if (p.COUNT > 3) add(y, y, p.x3 + at, n);
    if (p.COUNT > 4) add(y, y, p.x4 + at, n);
    if (p.COUNT > 5) add(y, y, p.x5 + at, n);
  }
}

// y = a + b
function add(y: usize, a: usize, b: usize, n: u32): void {
  for (; n >= 16; n -= 16) {
    const v0 = f32x4.add(v128.load(a), v128.load(b));
    const v1 = f32x4.add(v128.load(a, 16), v128.load(b, 16));
    const v2 = f32x4.add(v128.load(a, 32), v128.load(b, 32));
    const v3 = f32x4.add(v128.load(a, 48), v128.load(b, 48));
    v128.store(y, v0);
    v128.store(y, v1, 16);
    v128.store(y, v2, 32);
    v128.store(y, v3, 48);
    a += 64;
    b += 64;
    y += 64;
  }
  for (; n > 0; n--) {
    store<f32>(y, load<f32>(a) + load<f32>(b));
    a += 4;
    b += 4;
    y += 4;
  }
}
