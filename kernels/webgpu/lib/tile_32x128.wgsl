// Workgroup tile of table_attention_parts.wgsl: TILE_M x TILE_N outputs by (TILE_M / RM) * (TILE_N / 4) = 256 threads, RM x 4 each;
// TILE_K steps of k are staged at a time in 10 KiB, a block by each of 160 threads. Afterwards the outputs' weights are held, in 16 KiB.
const TILE_M: u32 = 32u;
const TILE_N: u32 = 128u;
const TILE_K: u32 = 16u;
const RM: u32 = 4u;
const HELD: u32 = TILE_N * TILE_M / 4u;
