// y = x0 + x1 + ... + x5, the first COUNT of them.
// A task makes GRAIN elements.
// Numerics: summed from the first to the last.
const GRAIN: u32 = 16384;

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
  switch (p.COUNT) {
    case 3: return run(3, p, task);
    case 4: return run(4, p, task);
    case 5: return run(5, p, task);
    case 6: return run(6, p, task);
    default: return run(2, p, task);
  }
}

@inline function run(count: u32, p: AddN, task: u32): void {
  const x0 = p.x0;
  const x1 = p.x1;
  const x2 = p.x2;
  const x3 = p.x3;
  const x4 = p.x4;
  const x5 = p.x5;
  const y = p.y;
  const first = task * GRAIN;
  const end: usize = min(first + GRAIN, p.n) << 2;
  let i: usize = first << 2;
  for (; i + 16 <= end; i += 16) {
    let s = f32x4.add(v128.load(x0 + i), v128.load(x1 + i));
    if (count > 2) s = f32x4.add(s, v128.load(x2 + i));
    if (count > 3) s = f32x4.add(s, v128.load(x3 + i));
    if (count > 4) s = f32x4.add(s, v128.load(x4 + i));
    if (count > 5) s = f32x4.add(s, v128.load(x5 + i));
    v128.store(y + i, s);
  }
  for (; i < end; i += 4) {
    let s = load<f32>(x0 + i) + load<f32>(x1 + i);
    if (count > 2) s += load<f32>(x2 + i);
    if (count > 3) s += load<f32>(x3 + i);
    if (count > 4) s += load<f32>(x4 + i);
    if (count > 5) s += load<f32>(x5 + i);
    store<f32>(y + i, s);
  }
}
