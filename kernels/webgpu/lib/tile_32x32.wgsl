// Workgroup tile of matmul_tile.wgsl: TILE_M x TILE_N outputs by (TILE_M / RM) * (TILE_N / 4) = 64
// threads, RM x 4 each; TILE_K steps of k are staged at a time in 8 KiB. A thread stages a block of
// A and one of B.
const TILE_M: u32 = 32u;
const TILE_N: u32 = 32u;
const TILE_K: u32 = 32u;
const RM: u32 = 4u;
const HELD: u32 = 0u; // vec4f that the kernel has in the same workgroup memory afterwards
