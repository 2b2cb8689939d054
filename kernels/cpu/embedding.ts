// y[r, :] = table[ids[r], :] for ids in [first, first + count), the rows of the table that are
// bound; an id beyond `vocab` gives NaN.
// A task makes so many rows that they have about GRAIN elements; n = rows * dim.
// Numerics: 32-bit words are copied as they are; f16 and bf16 tables (FORMAT 1, 2) are decoded
// exactly to f32.
import { DTYPE_F32 } from "./lib/codes";
import { decodeHalves } from "./lib/decode";
import { copyWords, fillWords } from "./lib/index";

const GRAIN: u32 = 16384;

@unmanaged export class Embedding {
  n: u32; dim: u32; vocab: u32; first: u32; count: u32;
  FORMAT: u32;
  table: usize;
  ids: usize;
  y: usize;
}

@inline function rowsATask(p: Embedding): u32 {
  return max<u32>(1, GRAIN / p.dim);
}

export function embedding_tasks(p: Embedding): u32 {
  if (p.n == 0) return 0;
  const each = rowsATask(p);
  return (p.n / p.dim + each - 1) / each;
}

export function embedding(p: Embedding, task: u32, scratch: usize): void {
  const dim = p.dim;
  const first = p.first;
  const missing = i32x4.splat(0x7fc00000);
  const each = rowsATask(p);
  const end = min((task + 1) * each, p.n / dim);
  for (let r = task * each; r < end; r++) {
    const id = load<u32>(p.ids + (r << 2));
    const y = p.y + ((r * dim) << 2);
    if (id >= p.vocab) fillWords(y, missing, dim);
    else if (id >= first && id - first < p.count) {
      const at: usize = (id - first) * dim;
      if (p.FORMAT == DTYPE_F32) copyWords(y, p.table + (at << 2), dim);
      else decodeHalves(y, p.table + (at << 1), p.FORMAT, dim);
    }
  }
}
