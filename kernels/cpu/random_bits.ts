// y[r] = Philox4x32-10 of counter[r] and key[r]: four words for each of n rows.
// A task makes GRAIN rows, four at a time.
// Numerics: integers only.
import { philox4 } from "./lib/philox";

const GRAIN: u32 = 4096;

@unmanaged export class RandomBits {
  n: u32;
  counter: usize; // [n, 4]
  key: usize; // [n, 2]
  y: usize; // [n, 4]
}

export function random_bits_tasks(p: RandomBits): u32 {
  return (p.n + GRAIN - 1) / GRAIN;
}

export function random_bits(p: RandomBits, task: u32, scratch: usize): void {
  const n = p.n;
  const counter = p.counter;
  const key = p.key;
  const y = p.y;
  let r = task * GRAIN;
  const end = min(r + GRAIN, n);
  for (; r + 4 <= end; r += 4) four(counter + (r << 4), key + (r << 3), y + (r << 4));
  if (r == end) return;
  const rest = end - r;
  memory.copy(scratch, counter + (r << 4), rest << 4);
  memory.copy(scratch + 64, key + (r << 3), rest << 3);
  four(scratch, scratch + 64, scratch + 128);
  memory.copy(y + (r << 4), scratch + 128, rest << 4);
}

@inline function four(counter: usize, key: usize, y: usize): void {
  const r0 = v128.load(counter);
  const r1 = v128.load(counter, 16);
  const r2 = v128.load(counter, 32);
  const r3 = v128.load(counter, 48);
  const a = i32x4.shuffle(r0, r1, 0, 4, 1, 5);
  const b = i32x4.shuffle(r2, r3, 0, 4, 1, 5);
  const c = i32x4.shuffle(r0, r1, 2, 6, 3, 7);
  const d = i32x4.shuffle(r2, r3, 2, 6, 3, 7);
  const k = v128.load(key);
  const l = v128.load(key, 16);
  philox4(
    y,
    i64x2.shuffle(a, b, 0, 2), i64x2.shuffle(a, b, 1, 3),
    i64x2.shuffle(c, d, 0, 2), i64x2.shuffle(c, d, 1, 3),
    i32x4.shuffle(k, l, 0, 2, 4, 6), i32x4.shuffle(k, l, 1, 3, 5, 7),
  );
}
