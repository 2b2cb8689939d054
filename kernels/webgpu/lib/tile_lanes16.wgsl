// Register panel of the software matmul on 16-lane subgroups: see tile_lanes8.wgsl.
const LANES: u32 = 16u;
const PANEL: u32 = 64u;
