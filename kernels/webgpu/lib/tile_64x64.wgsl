// Workgroup tile of matmul_tile.wgsl: TILE_M x TILE_N outputs by (TILE_M / RM) * (TILE_N / 4) = 128
// threads, RM x 4 each; TILE_K steps of k are staged at a time in 8 KiB. A thread stages one block:
// half of them A's, half B's.
const TILE_M: u32 = 64u;
const TILE_N: u32 = 64u;
const TILE_K: u32 = 16u;
const RM: u32 = 8u;
const HELD: u32 = 0u; // vec4f that the kernel has in the same workgroup memory afterwards
