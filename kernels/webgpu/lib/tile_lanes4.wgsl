// Register panel of the software matmul on 4-lane subgroups: see tile_lanes8.wgsl.
const LANES: u32 = 4u;
const PANEL: u32 = 64u;
