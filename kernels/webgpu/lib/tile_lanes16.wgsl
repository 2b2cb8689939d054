// Register panel of the matmul_register kernels on 16-lane subgroups. LANES must equal the subgroup
// size; PANEL is how many k a panel holds, a multiple of 4 * LANES. The least possible is taken:
// one software driver no longer unrolls it at this width, which costs most of the speed.
const LANES: u32 = 16u;
const PANEL: u32 = 64u;
