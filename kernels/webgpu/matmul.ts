/** Which form of the matrix product a launch takes: tiles in workgroup memory, or registers of a subgroup. */
import type { ChooseGeometry, Numbers } from "./table.ts";

/** Columns one workgroup of the register kernels owns, for each lane. */
const COLUMNS_A_LANE = 4;

/** lib/tile_<name>: outputs one workgroup owns. */
const TILES = {
  skinny: { file: "lib/tile_16x64", rows: 16, columns: 64 },
  small: { file: "lib/tile_32x32", rows: 32, columns: 32 },
  medium: { file: "lib/tile_64x64", rows: 64, columns: 64 },
  large: { file: "lib/tile_128x64", rows: 128, columns: 64 },
} as const;

/** Fewer workgroups than this leave a large GPU idle, so a smaller tile is taken. */
const ENOUGH_WORKGROUPS = 128;

const uses = ["lib/decode", "lib/gelu"] as const;

/** Whether matmul_register4.wgsl would only touch whole groups of four elements. */
function aligned(p: Numbers, constants: Numbers): boolean {
  const four = [
    ...[p.N, p.lda, p.ldb, p.ldc, p.aOffset, p.bOffset, p.cOffset],
    ...[p.aBatchStride, p.bBatchStride, p.cBatchStride],
    ...[p.aBatchStride2, p.bBatchStride2, p.cBatchStride2],
    constants.TRANS_A === 1 ? p.M : p.K,
    constants.TRANS_B === 1 ? p.K : p.N,
  ];
  return four.every((value) => (value ?? 0) % 4 === 0);
}

function chooseTile(m: number, n: number, batch: number) {
  if (m <= 16) return TILES.skinny;
  const count = (tile: { rows: number; columns: number }) =>
    Math.ceil(m / tile.rows) * Math.ceil(n / tile.columns) * batch;
  if (count(TILES.large) >= 2 * ENOUGH_WORKGROUPS) return TILES.large;
  if (count(TILES.medium) >= ENOUGH_WORKGROUPS) return TILES.medium;
  return TILES.small;
}

/**
 * Geometry of one matrix product, from its shape alone.
 *
 * `params`, in elements: M, N, K, lda, ldb, ldc, aOffset, bOffset, cOffset; batch = the number of
 * products, product b = b1 * batch2 + b2 (batch2 >= 1) has its operands at b1 * aBatchStride +
 * b2 * aBatchStride2 (b and c alike); alpha scales the product.
 * `constants`: TRANS_A, TRANS_B, BIAS, ACTIVATION (1 = GELU, its input kept in `pre`), RESIDUAL,
 * ACCUMULATE, B_DTYPE (0 f32, 1 f16, 2 bf16).
 */
export const chooseMatmul: ChooseGeometry = (params, constants, adapter) => {
  const { M, N, batch } = params;
  if (adapter.software && [4, 8, 16].includes(adapter.subgroupSize)) {
    const columns = COLUMNS_A_LANE * adapter.subgroupSize;
    const across = Math.ceil(N / columns);
    // a workgroup reads its columns of B whatever its rows, so it wants many; cores want workgroups
    const down = Math.max(1, Math.min(Math.floor(M / 128), Math.ceil(16 / (across * batch))));
    return {
      file: aligned(params, constants) ? "matmul_register4" : "matmul_register",
      uses: [`lib/tile_lanes${adapter.subgroupSize}`, ...uses],
      constants,
      groups: [across, down, batch],
    };
  }
  const tile = chooseTile(M, N, batch);
  return {
    file: "matmul_tile",
    uses: [tile.file, ...uses],
    constants,
    groups: [Math.ceil(N / tile.columns), Math.ceil(M / tile.rows), batch],
  };
};
