// Register panel of the software matmul on 8-lane subgroups. LANES must equal the subgroup size; PANEL is how many k a panel
// holds, a multiple of 4 * LANES. Panels of 48 rows or more stay a loop in the driver's compiler (fast to compile), smaller
// ones are unrolled by it.
const LANES: u32 = 8u;
const PANEL: u32 = 64u;
