/** Which kernel, tile and number of chunks a matrix product takes on WebGPU, from its shape alone. */
import type { Adapter, ChooseGeometry, Numbers } from "./table.ts";

/** Columns one workgroup of the register kernels owns, for each lane. */
const COLUMNS_A_LANE = 4;

/**
 * lib/tile_<name>: outputs one workgroup owns. K is split until there are `enough` workgroups, but into no chunk shorter
 * than `chunk`.
 */
const TILES = {
  few: { file: "lib/tile_32x32", size: 32, steps: 32, enough: 512, chunk: 128 },
  many: { file: "lib/tile_64x64", size: 64, steps: 16, enough: 768, chunk: 512 },
} as const;

/** Fewer workgroups than this of the large tile are too few for a large GPU: the small tile is taken. */
const ENOUGH_WORKGROUPS = 128;

/** Steps of K of the longest gradient that is not split however few its workgroups are. */
const SHORT = 1024;

/** What is multiplied: operands as they are, or rounded to f16. */
const operands = (half: boolean | undefined): string[] =>
  half ? ["lib/operand_f16", "lib/half"] : ["lib/operand_f32"];

/** Sums of a tile for hardware, on matrix units where the adapter has them, and what they add. */
const sums = ({ half, units }: Adapter): string[] =>
  units ? ["lib/matmul_units", ...units] : ["lib/matmul_sums", ...operands(half)];

/** Whether a kernel that touches whole groups of four elements only would do. */
function aligned(p: Numbers, constants: Numbers): boolean {
  const four = [
    p.N,
    p.lda,
    p.ldb,
    p.ldc,
    p.aOffset,
    p.bOffset,
    p.cOffset,
    p.aBatchStride,
    p.bBatchStride,
    p.cBatchStride,
    constants.TRANS_A === 1 ? p.M : p.K,
    constants.TRANS_B === 1 ? p.K : p.N,
  ];
  return four.every((value) => (value ?? 0) % 4 === 0);
}

/** Whether the last group of a matrix of halves ends at 16 bytes, as what the kernels load does. */
const wholeHalves = (p: Numbers, constants: Numbers): boolean =>
  (constants.B_DTYPE ?? 0) === 0 || (p.N * p.K) % 8 === 0;

const across = (m: number, n: number, size: number): number =>
  Math.ceil(m / size) * Math.ceil(n / size);

function chooseTile(m: number, n: number, batch: number) {
  const wide = m > 64 && across(m, n, TILES.many.size) * batch >= ENOUGH_WORKGROUPS;
  return wide ? TILES.many : TILES.few;
}

const registers = ({ software, subgroupSize }: Adapter): boolean =>
  software && [4, 8, 16].includes(subgroupSize);

/**
 * How many chunks K is split into, 1 for none: on hardware a product with a small grid fills the GPU only so. From the shape
 * alone, that all GPUs add in the same order. Microseconds of a prototype on an H200, by number of chunks, 32 x 32 tiles,
 * 32 rows:
 *
 * |     N |     K |    1 |    2 |    4 |    8 |   16 | taken |
 * | ----- | ----- | ---- | ---- | ---- | ---- | ---- | ----- |
 * |  1024 |  1024 |   28 |   18 | 12.5 | 10.7 | 12.1 |     8 |
 * |  1024 |  4096 |  103 |   56 |   31 | 20.9 | 20.3 |    16 |
 * |  1024 | 18432 |  459 |  234 |  121 |   68 |   60 |    16 |
 * |  3072 |  1024 |   28 | 19.3 | 16.9 | 18.3 | 20.0 |     4 |
 * |  4096 |  1024 |   28 | 19.7 | 17.7 | 22.2 | 23.1 |     4 |
 * | 18560 |  1024 |   59 |   64 |   61 |   64 |   76 |     1 |
 *
 * A product with TRANS_A is a matrix's gradient: where its K is short it stays whole, for one dispatch then squares it and sums its
 * left operand's columns too.
 */
export function matmulChunks(
  { M, N, K, batch }: Numbers,
  adapter: Adapter,
  { TRANS_A }: Numbers = {},
): number {
  if (batch !== 1 || registers(adapter)) return 1;
  if (TRANS_A === 1 && K <= SHORT) return 1;
  const tile = chooseTile(M, N, 1);
  const most = Math.min(tile.enough / across(M, N, tile.size), K / tile.chunk);
  if (most < 2) return 1;
  const wanted = 2 ** Math.floor(Math.log2(most));
  const tiles = Math.ceil(K / tile.steps);
  return Math.ceil(tiles / Math.ceil(tiles / wanted)); // none is empty
}

/**
 * Geometry of one matrix product, from its shape alone.
 *
 * `params`, in elements: M, N, K, lda, ldb, ldc, aOffset, bOffset, cOffset; batch = the number of
 * products, product z has its operands z * aBatchStride further (b and c alike); alpha scales the product.
 * `constants`: TRANS_A, TRANS_B, BIAS, ACTIVATION (1 = GELU, its input kept in `pre`), RESIDUAL,
 * ACCUMULATE, B_DTYPE (0 f32, 1 f16, 2 bf16); SPLIT (`batch` is the number of chunks of one product).
 */
export const chooseMatmul: ChooseGeometry = (params, constants, adapter) => {
  const { M, N, batch } = params;
  if (registers(adapter)) {
    const columns = COLUMNS_A_LANE * adapter.subgroupSize;
    const across = Math.ceil(N / columns);
    // a workgroup reads its columns of B whatever its rows, so it wants many; cores want workgroups
    const down = Math.max(1, Math.min(Math.floor(M / 128), Math.ceil(16 / (across * batch))));
    return {
      file: aligned(params, constants) ? "matmul_register4" : "matmul_register",
      uses: [
        ...[`lib/tile_lanes${adapter.subgroupSize}`, "lib/decode", "lib/gelu"],
        ...operands(adapter.half),
      ],
      constants,
      groups: [across, down, batch],
    };
  }
  const tile = chooseTile(M, N, constants.SPLIT === 1 ? 1 : batch);
  const fours = aligned(params, constants) && wholeHalves(params, constants);
  return {
    file: "matmul_tile",
    uses: [
      ...[tile.file, loads(fours), fours ? "lib/store_four" : "lib/store_one"],
      ...["lib/decode", "lib/gelu", ...sums(adapter)],
    ],
    constants,
    groups: [Math.ceil(N / tile.size), Math.ceil(M / tile.size), batch],
  };
};

const loads = (fours: boolean): string => (fours ? "lib/matmul_four" : "lib/matmul_one");

/** Workgroups of a product whose K is not split. */
export const tilesOf = (M: number, N: number): number => across(M, N, chooseTile(M, N, 1).size);

/** Geometry of a matrix's gradient with sums of what it has at hand. */
export const chooseGradient: ChooseGeometry<
  Numbers & { readonly M: number; readonly N: number }
> = (params, constants, adapter) => {
  const { M, N } = params;
  const tile = chooseTile(M, N, 1);
  return {
    file: "matmul_gradient",
    uses: [
      ...[tile.file, loads(aligned(params, { TRANS_A: 1, TRANS_B: 0 }))],
      ...["lib/decode", "lib/reduce", ...sums(adapter)],
    ],
    constants,
    groups: [Math.ceil(N / tile.size), Math.ceil(M / tile.size), 1],
  };
};

/** Geometry of one product, its K not split, with the end of a join. */
export const chooseEnd: ChooseGeometry<Numbers & { readonly M: number; readonly N: number }> = (
  params,
  constants,
  adapter,
) => {
  const { M, N } = params;
  const tile = chooseTile(M, N, 1);
  const fours = aligned(params, constants) && wholeHalves(params, constants);
  return {
    file: "matmul_end",
    uses: [
      ...[tile.file, loads(fours), fours ? "lib/end_four" : "lib/end_one"],
      ...["lib/decode", "lib/gelu", "lib/nan", "lib/philox", "lib/dropout", ...sums(adapter)],
    ],
    constants,
    groups: [Math.ceil(N / tile.size), Math.ceil(M / tile.size), 1],
  };
};

/** Chunks of each of `count` products of one shape that one launch makes; 1 or more. */
export function partsChunks(params: Numbers, count: number, adapter: Adapter): number {
  const chunks = matmulChunks({ ...params, batch: 1 }, adapter);
  return Math.max(1, Math.min(chunks, Math.ceil((2 * chunks) / count)));
}

/** Geometry of up to three products of one shape, whose parts a join adds up. */
export const chooseParts: ChooseGeometry<
  Numbers & {
    readonly M: number;
    readonly N: number;
    readonly products: number;
    readonly chunks: number;
  }
> = (params, constants, adapter) => {
  const { M, N, products, chunks } = params;
  const tile = chooseTile(M, N, 1);
  const fours = aligned(params, constants) && wholeHalves(params, constants);
  return {
    file: "matmul_parts",
    uses: [tile.file, loads(fours), "lib/decode", ...sums(adapter)],
    constants,
    groups: [Math.ceil(N / tile.size), Math.ceil(M / tile.size), products * chunks],
  };
};

/** Geometry of two or three products of one x, whose K is not split. */
export const chooseEach: ChooseGeometry<
  Numbers & { readonly M: number; readonly N: number; readonly products: number }
> = (params, constants, adapter) => {
  const { M, N, products } = params;
  const tile = chooseTile(M, N, products);
  const fours = aligned(params, constants) && wholeHalves(params, constants);
  return {
    file: "matmul_each",
    uses: [tile.file, loads(fours), "lib/decode", ...sums(adapter)],
    constants,
    groups: [Math.ceil(N / tile.size), Math.ceil(M / tile.size), products],
  };
};

/** Outputs of a workgroup of table_attention_parts. */
const TABLE_TILE = { file: "lib/tile_32x128", rows: 32, columns: 128 } as const;

/** Tiles into which attention over a table of N rows cuts it. */
export const tableTiles = (N: number): number => Math.ceil(N / TABLE_TILE.columns);

/** Geometry of the first launch of attention over a table. */
export const chooseTableParts: ChooseGeometry<
  Numbers & { readonly M: number; readonly N: number }
> = (params, constants) => ({
  file: "table_attention_parts",
  uses: [
    ...[TABLE_TILE.file, loads(aligned(params, { TRANS_A: 0, TRANS_B: 1 }))],
    ...["lib/decode", "lib/matmul_sums", ...operands(false)],
  ],
  constants,
  groups: [tableTiles(params.N), Math.ceil(params.M / TABLE_TILE.rows), 1],
});
