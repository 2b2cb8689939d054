/** Every WebGPU kernel: from a launch to its files, override constants and workgroup counts. */
import { chooseMatmul } from "./matmul.ts";

/** What a geometry may depend on besides the launch: facts of the adapter, never a clock. */
export type Adapter = {
  /** lavapipe, SwiftShader, ...: registers are fast there, workgroup memory is the slowest choice. */
  readonly software: boolean;
  /** 0 where the device lacks subgroups. */
  readonly subgroupSize: number;
  readonly maxWorkgroupStorage: number;
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
export type ChooseGeometry = (params: Numbers, constants: Numbers, adapter: Adapter) => Geometry;

/** One thread an item, 64 a workgroup; the count is the parameter `n`. */
const flat =
  (file: string, uses: readonly string[] = []): ChooseGeometry =>
  (params, constants) => ({ file, uses, constants, groups: Math.ceil(params.n / 64) });

/** As `flat`, but four items a thread: half the time of one item a thread on lavapipe. */
const flat4 =
  (file: string, uses: readonly string[] = []): ChooseGeometry =>
  (params, constants) => ({ file, uses, constants, groups: Math.ceil(params.n / 256) });

/** A row is shared by LANES threads on hardware; on a software adapter each thread has a row of its own. */
const rows =
  (file: string, uses: readonly string[] = ["lib/reduce"]): ChooseGeometry =>
  (params, constants, adapter) => {
    const lanes = adapter.software ? 1 : 64;
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
  (file: string, count: "cols" | "n" = "cols"): ChooseGeometry =>
  (params, constants, adapter) =>
    rows(file, ["lib/reduce", valuesOf(params[count])])(params, constants, adapter);

/**
 * Queries (or keys) along a workgroup, as many (batch, head) pairs beside each other as fill it; on a software adapter with
 * subgroups, a subgroup for several queries of one pair (2.5 to 5 times as fast on lavapipe).
 */
const attention =
  (file: string, items: "queries" | "keys"): ChooseGeometry =>
  (params, constants, { software, subgroupSize }) => {
    const count = params[items];
    const z = items === "keys" ? Math.ceil(params.chunks / 4) : 1;
    if (software && [4, 8, 16].includes(subgroupSize) && 2 * params.queries >= subgroupSize) {
      return {
        file: `${file}_register`,
        uses: [`lib/tile_lanes${subgroupSize}`],
        constants,
        groups: [Math.ceil(count / subgroupSize), params.pairs, z],
      };
    }
    const size = software ? 8 : 64;
    const lanes = Math.min(size, 2 ** Math.ceil(Math.log2(count)));
    return {
      file,
      uses: [],
      constants: { ...constants, LANES: lanes, PAIRS: size / lanes },
      groups: [Math.ceil(count / lanes), Math.ceil((params.pairs * lanes) / size), z],
    };
  };

/** Kernel name -> geometry. The engine knows the names only. */
export const kernels: Readonly<Record<string, ChooseGeometry>> = {
  fill: flat4("fill"),
  copy: flat4("copy", ["lib/index5"]),
  binary: flat4("binary", ["lib/index5", "lib/nan"]),
  unary: flat4("unary", ["lib/gelu", "lib/nan"]),
  unary_grad: flat4("unary_grad", ["lib/gelu", "lib/nan"]),
  where: flat4("where", ["lib/index5"]),
  cast: flat4("cast", ["lib/decode", "lib/nan"]),
  add_n: flat4("add_n"),
  reduce_rows: rows("reduce_rows", ["lib/nan"]),
  reduce_columns: (params, constants) => ({
    file: "reduce_columns",
    uses: ["lib/nan"],
    constants,
    groups: Math.ceil((params.outer * params.parts * params.inner) / 64),
  }),
  embedding: flat4("embedding", ["lib/decode"]),
  scatter_links: (params, constants) => ({
    file: "scatter_links",
    uses: [],
    constants,
    groups: Math.ceil(params.rows / 64),
  }),
  scatter_add: flat("scatter_add"),
  dropout: flat4("dropout", ["lib/philox"]),
  random_bits: flat("random_bits", ["lib/philox"]),
  topk: rows("topk", ["lib/nan"]),
  copy_flat: flat4("copy_flat"),
  matmul: chooseMatmul,
  softmax: valueRows("softmax"),
  softmax_backward: valueRows("softmax_backward"),
  layernorm: valueRows("layernorm"),
  layernorm_backward: valueRows("layernorm_backward"),
  cross_entropy: valueRows("cross_entropy"),
  cross_entropy_backward: valueRows("cross_entropy_backward"),
  column_sums: (params, constants) => ({
    file: "column_sums",
    uses: [valuesOf(params.cols)],
    constants,
    groups: [
      Math.ceil(params.cols / (params.cols % 4 === 0 ? 256 : 64)),
      Math.ceil(params.rows / params.chunk),
      1,
    ],
  }),
  attention: attention("attention", "queries"),
  attention_dq: attention("attention_dq", "queries"),
  attention_dkv: (params, constants, adapter) =>
    params.queries > 1
      ? attention("attention_dkv", "keys")(params, constants, adapter)
      : {
          file: "attention_dkv_step",
          uses: [],
          constants,
          groups: Math.ceil((params.pairs * params.chunks) / 64),
        },
  adamw: (params, constants) => ({
    file: "adamw",
    uses: [valuesOf(params.n)],
    constants,
    groups: Math.ceil(params.n / (params.n % 4 === 0 ? 256 : 64)),
  }),
  square_sums: valueRows("square_sums", "n"),
  grad_norm: rows("grad_norm"),
};
