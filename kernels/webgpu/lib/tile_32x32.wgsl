// Workgroup tile of matmul_tile.wgsl: TILE_M x TILE_N outputs by (TILE_M / RM) * (TILE_N / 4)
// threads, RM x 4 each; TILE_K steps of k are staged at a time in 4.5 KiB. RM and TILE_K are
// multiples of 4.
const TILE_M: u32 = 32u;
const TILE_N: u32 = 32u;
const TILE_K: u32 = 16u;
const RM: u32 = 4u;
