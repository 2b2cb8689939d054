// y = x for n words.
// A task copies GRAIN words.
const GRAIN: u32 = 65536;

@unmanaged export class CopyFlat {
  n: u32;
  x: usize;
  y: usize;
}

export function copy_flat_tasks(p: CopyFlat): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function copy_flat(p: CopyFlat, task: u32, scratch: usize): void {
  const first = task * GRAIN;
  memory.copy(p.y + (first << 2), p.x + (first << 2), min(GRAIN, p.n - first) << 2);
}
