/** How WebGPU splits the work of each kernel of manifest.ts: files, override constants, workgroups. */
import { type Params, type Selected, SQUARES_CHUNK, type WebGPUKernel } from "../manifest.ts";
import {
  chooseEach,
  chooseEnd,
  chooseGradient,
  chooseMatmul,
  chooseParts,
  chooseTableParts,
} from "./matmul.ts";

/** What a geometry may depend on besides the launch: facts of the adapter, never a clock. */
export type Adapter = {
  /** lavapipe, SwiftShader, ...: registers are fast there, workgroup memory is the slowest choice. */
  readonly software: boolean;
  /** 0 where the device lacks subgroups. */
  readonly subgroupSize: number;
  readonly maxWorkgroupStorage: number;
  /** Storage buffers that one launch may bind: 8 or more. */
  readonly maxStorageBuffers: number;
  /** Whether products round their operands to f16. */
  readonly half?: boolean | undefined;
  /** With `half`: the files behind lib/matmul_units by which products run on matrix units; absent where they do not. */
  readonly units?: readonly string[] | undefined;
};

/** How one launch runs on WebGPU: which files, which override constants, how many workgroups. */
export type Geometry = {
  readonly file: string;
  readonly uses: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  /** One number is folded to two dimensions when it passes 65535. */
  readonly groups: number | readonly [number, number, number];
};

export type Numbers = Readonly<Record<string, number>>;
/** The geometry of a launch; `P` is what it needs of the parameters. */
export type ChooseGeometry<P = Numbers, C = Numbers> = (
  params: P,
  constants: C,
  adapter: Adapter,
) => Geometry;

/** Override constants that a geometry sets itself: no launch has them. */
export const GEOMETRY_CONSTANTS: ReadonlySet<string> = new Set([
  "LANES",
  "ROWS",
  "PAIRS",
  "QUAD",
  "SPLIT",
]);

/** One thread an item, 64 a workgroup; the count is the parameter `n`. */
const flat =
  (file: string, uses: readonly string[] = []): ChooseGeometry<{ readonly n: number }> =>
  (params, constants) => ({ file, uses, constants, groups: Math.ceil(params.n / 64) });

/** As `flat`, but four items a thread: half the time of one item a thread on lavapipe. */
const flat4 =
  (file: string, uses: readonly string[] = []): ChooseGeometry<{ readonly n: number }> =>
  (params, constants) => ({ file, uses, constants, groups: Math.ceil(params.n / 256) });

type Strided = ChooseGeometry<
  { readonly n: number; readonly d4: number },
  Numbers & { readonly RANK: number }
>;

/** As `flat4` for strided operands; QUAD: where rows are a multiple of four long, a thread takes neighbours. */
const strided4 =
  (file: string, uses: readonly string[] = []): Strided =>
  (params, constants, adapter) => {
    const QUAD = constants.RANK > 1 && params.d4 % 4 === 0 ? 1 : 0;
    const all = ["lib/index5", ...uses];
    return flat4(file, all)(params, { ...constants, QUAD }, adapter);
  };

/** Rows of so many columns are long: a few of them, 64 lanes each, would leave most of a GPU idle. */
const LONG_ROW = 4096;

/**
 * A row of `columns` elements is shared by LANES threads on hardware, a matter of the shape alone; on a software adapter each
 * thread has a row of its own.
 */
const rows =
  <P extends { readonly rows: number }>(
    file: string,
    columns: (params: P) => number,
    uses: readonly string[] = ["lib/reduce"],
  ): ChooseGeometry<P> =>
  (params, constants, adapter) => {
    const lanes = adapter.software ? 1 : columns(params) >= LONG_ROW ? 256 : 64;
    const perGroup = adapter.software ? 8 : 1;
    return {
      file,
      uses,
      constants: { ...constants, LANES: lanes, ROWS: perGroup },
      groups: Math.ceil(params.rows / perGroup),
    };
  };

/** Elements four at a time where they come in fours. */
const valuesOf = (count: number): string => (count % 4 === 0 ? "lib/value4" : "lib/value1");

/** As `rows` for kernels whose elements are Values. */
const valueRows =
  (
    file: string,
    uses: readonly string[] = [],
  ): ChooseGeometry<{ readonly rows: number; readonly cols: number }> =>
  (params, constants, adapter) =>
    rows(file, () => params.cols, ["lib/reduce", valuesOf(params.cols), ...uses])(
      params,
      constants,
      adapter,
    );

/**
 * Queries (or keys) along a workgroup, as many (batch, head) pairs beside each other as fill it; on a software adapter with
 * subgroups, a subgroup for several queries of one pair (2.5 to 5 times as fast on lavapipe).
 */
const attention =
  (
    file: string,
    items: "queries" | "keys",
    uses: readonly string[] = [],
  ): ChooseGeometry<Params<"attention_dkv">> =>
  (params, constants, { software, subgroupSize }) => {
    const count = params[items];
    const z = items === "keys" ? Math.ceil(params.chunks / 4) : 1;
    if (software && [4, 8, 16].includes(subgroupSize) && 2 * params.queries >= subgroupSize) {
      return {
        file: `${file}_register`,
        uses: [`lib/tile_lanes${subgroupSize}`, ...uses],
        constants,
        groups: [Math.ceil(count / subgroupSize), params.pairs, z],
      };
    }
    const size = software ? 8 : 64;
    const lanes = Math.min(size, 2 ** Math.ceil(Math.log2(count)));
    return {
      file,
      uses,
      constants: { ...constants, LANES: lanes, PAIRS: size / lanes },
      groups: [Math.ceil(count / lanes), Math.ceil((params.pairs * lanes) / size), z],
    };
  };

/** What draws the random numbers of dropout inside other kernels. */
const DROPOUT = ["lib/philox", "lib/dropout"];

/** The same for kernels whose elements are Values. */
const DROPPED = [...DROPOUT, "lib/dropped"];

/** As `valueRows` where each element is a sum of parts: a row that would keep 64 threads waiting for memory has 256. */
const joinRows =
  (
    file: string,
  ): ChooseGeometry<{ readonly rows: number; readonly cols: number; readonly chunks: number }> =>
  (params, constants, adapter) => {
    const geometry = valueRows(file, ["lib/parts", ...DROPPED])(params, constants, adapter);
    const wide = !adapter.software && params.cols >= 512;
    return wide ? { ...geometry, constants: { ...geometry.constants, LANES: 256 } } : geometry;
  };

/** A row, and columns of it as lib/over_tiles says. */
const overTiles =
  (file: string): ChooseGeometry<{ readonly M: number; readonly N: number; readonly K: number }> =>
  ({ M, N, K }, constants) => {
    const width = N % 4 === 0 && K % 4 === 0 ? 4 : 1;
    return {
      file,
      uses: ["lib/over_tiles", "lib/reduce", `lib/value${width}`],
      constants,
      groups: [Math.ceil(K / width / 64) + Math.ceil(N / width / 1024), M, 1],
    };
  };

/** Every kernel that WebGPU has. */
const geometries: { readonly [K in WebGPUKernel]: ChooseGeometry<Params<K>, Selected<K>> } = {
  fill: flat4("fill"),
  copy: strided4("copy"),
  binary: strided4("binary", ["lib/codes", "lib/nan"]),
  unary: flat4("unary", ["lib/activation", "lib/codes", "lib/gelu", "lib/nan", "lib/wave"]),
  unary_backward: flat4("unary_backward", [
    "lib/activation",
    "lib/codes",
    "lib/gelu",
    "lib/nan",
    "lib/wave",
  ]),
  where: strided4("where"),
  cast: flat4("cast", ["lib/codes", "lib/decode", "lib/nan"]),
  add_n: flat4("add_n"),
  reduce_rows: rows("reduce_rows", (p) => Math.min(p.n, p.chunk), ["lib/codes", "lib/nan"]),
  reduce_columns: (params, constants) => ({
    file: "reduce_columns",
    uses: ["lib/codes", valuesOf(params.inner)],
    constants,
    groups: Math.ceil(
      (params.outer * params.parts * params.inner) / (params.inner % 4 === 0 ? 256 : 64),
    ),
  }),
  reduce_columns_many: (params, constants) => ({
    file: "reduce_columns_many",
    uses: [valuesOf(params.inner)],
    constants,
    groups: Math.ceil(
      (params.count * params.parts * params.inner) / (params.inner % 4 === 0 ? 256 : 64),
    ),
  }),
  embedding: flat4("embedding", ["lib/decode"]),
  scatter_links: (params, constants) => ({
    file: "scatter_links",
    uses: [],
    constants,
    groups: Math.ceil(params.rows / 64),
  }),
  scatter_add: flat("scatter_add"),
  table_places: (params, constants) => ({
    file: "table_places",
    uses: [],
    constants,
    groups: Math.ceil(params.rows / 64),
  }),
  table_rows: (params, constants, adapter) =>
    rows("table_rows", ({ dim }: typeof params) => dim, [valuesOf(params.dim)])(
      params,
      constants,
      adapter,
    ),
  dropout: flat4("dropout", ["lib/philox"]),
  random_bits: flat("random_bits", ["lib/philox"]),
  topk: rows("topk", ({ cols }) => cols, ["lib/nan"]),
  copy_flat: flat4("copy_flat"),
  copy_many: flat4("copy_many"),
  matmul: chooseMatmul,
  matmul_gradient: chooseGradient,
  matmul_parts: chooseParts,
  matmul_end: chooseEnd,
  matmul_each: chooseEach,
  matmul_join: (params, constants) => ({
    file: "matmul_join",
    uses: ["lib/parts", "lib/value1", "lib/gelu", "lib/nan", ...DROPOUT],
    constants,
    groups: Math.ceil((params.M * params.N) / 64),
  }),
  matmul_join_each: (params, constants) => ({
    file: "matmul_join_each",
    uses: ["lib/parts", valuesOf(params.N)],
    constants,
    groups: Math.ceil((params.M * params.N) / (params.N % 4 === 0 ? 256 : 64)),
  }),
  table_attention_parts: chooseTableParts,
  table_attention: overTiles("table_attention"),
  table_attention_backward: overTiles("table_attention_backward"),
  softmax: valueRows("softmax"),
  softmax_backward: valueRows("softmax_backward"),
  layernorm: valueRows("layernorm", DROPPED),
  layernorm_backward: valueRows("layernorm_backward", DROPPED),
  layernorm_join: joinRows("layernorm_join"),
  layernorm_backward_join: joinRows("layernorm_backward_join"),
  cross_entropy: valueRows("cross_entropy"),
  cross_entropy_backward: valueRows("cross_entropy_backward"),
  attention: (params, constants, adapter) =>
    params.queries > 1 || adapter.software
      ? attention("attention", "queries", DROPOUT)(params, constants, adapter)
      : {
          file: "attention_step",
          uses: ["lib/reduce", ...DROPOUT],
          constants: { ...constants, LANES: 64, ROWS: 1 },
          groups: params.pairs,
        },
  attention_dq: (params, constants, adapter) =>
    params.queries > 1 || adapter.software
      ? attention("attention_dq", "queries", DROPOUT)(params, constants, adapter)
      : {
          file: "attention_dq_step",
          uses: DROPOUT,
          constants: { ...constants, LANES: 64 },
          groups: params.pairs,
        },
  attention_dkv: (params, constants, adapter) =>
    params.queries > 1
      ? attention("attention_dkv", "keys")(params, constants, adapter)
      : {
          file: "attention_dkv_step",
          uses: [],
          constants,
          groups: Math.ceil((params.pairs * params.chunks) / 64),
        },
  attention_dkv_steps: ({ count, pairs, chunks }, constants) => ({
    file: "attention_dkv_steps",
    uses: [],
    constants,
    groups: Math.ceil((count * pairs * chunks) / 64),
  }),
  adamw: (params, constants) => ({
    file: "adamw",
    uses: [valuesOf(params.n), "lib/adamw"],
    constants,
    groups: Math.ceil(params.n / (params.n % 4 === 0 ? 256 : 64)),
  }),
  adamw_half: ({ n }, constants) => ({
    file: "adamw_half",
    uses: [valuesOf(n), "lib/adamw", "lib/half"],
    constants,
    groups: Math.ceil(n / 256),
  }),
  adamw_pair: ({ n0, n1 }, constants) => ({
    file: "adamw_pair",
    uses: [valuesOf(n0), "lib/adamw"],
    constants,
    groups: Math.ceil(n0 / 256) + Math.ceil(n1 / 256),
  }),
  adamw_table: ({ n, dim }, constants) => ({
    file: "adamw_table",
    uses: [valuesOf(dim), "lib/adamw", "lib/half"],
    constants,
    groups: Math.ceil(n / (dim % 4 === 0 ? 256 : 64)),
  }),
  halve: ({ n }, constants) => ({
    file: "halve",
    uses: ["lib/half"],
    constants,
    groups: Math.ceil(n / 256),
  }),
  square_sums: (params, constants, adapter) =>
    rows("square_sums", () => SQUARES_CHUNK, ["lib/reduce", valuesOf(params.n)])(
      params,
      constants,
      adapter,
    ),
  square_sums_many: (params, constants, adapter) => {
    const { n0, n1, n2, n3, n4, n5, n6 } = params;
    const fours = [n0, n1, n2, n3, n4, n5, n6].every((n) => n % 4 === 0);
    const uses = ["lib/reduce", fours ? "lib/value4" : "lib/value1"];
    return rows("square_sums_many", () => SQUARES_CHUNK, uses)(params, constants, adapter);
  },
  grad_norm: rows("grad_norm", (p) => p.count),
};

/** How a launch runs on this adapter; its numbers fit its kernel by the type of a plan's launches. */
export const geometryOf = (
  kernel: WebGPUKernel,
  params: Numbers,
  constants: Numbers,
  adapter: Adapter,
): Geometry => (geometries[kernel] as unknown as ChooseGeometry)(params, constants, adapter);
