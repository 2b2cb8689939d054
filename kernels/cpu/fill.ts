// y[i] = the 32-bit word `bits`.
// A task fills GRAIN words.
// Numerics: bits are kept, so any dtype may be filled.
import { fillWords } from "./lib/index";

const GRAIN: u32 = 65536;

@unmanaged export class Fill {
  n: u32; bits: u32;
  y: usize;
}

export function fill_tasks(p: Fill): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function fill(p: Fill, task: u32, scratch: usize): void {
  const first = task * GRAIN;
  const count = min(GRAIN, p.n - first);
  const y = p.y + (first << 2);
  if (p.bits == 0) memory.fill(y, 0, count << 2);
  else fillWords(y, i32x4.splat(p.bits), count);
}
