// Register panel of the matmul_register kernels on 4-lane subgroups. LANES must equal the subgroup
// size; PANEL is how many k a panel holds, a multiple of 4 * LANES. 48 is the most that one
// software driver still unrolls whole at this width; with fewer the copies of B and C weigh more.
const LANES: u32 = 4u;
const PANEL: u32 = 48u;
