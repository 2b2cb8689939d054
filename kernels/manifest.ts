/**
 * Every kernel, once: what a launch of it gives and on which devices it runs. Read this first. `softmax` here is
 * `webgpu/softmax.wgsl` and `cpu/softmax.ts`; how WebGPU splits its work is `softmax` in `webgpu/table.ts`.
 *
 * Ops and devices take all names from here by type. `npm run check` holds the sources to it.
 */
import { BINARY, DTYPE, NUMBER, REDUCE, SLOPES, TYPE, UNARY, WORD } from "./codes.ts";

type Scalar = "u32" | "i32" | "f32";

/** A flag is 0 or 1, a count any number; else one of the codes of `codes.ts`, under their prefix in the sources. */
export type Selector =
  | "flag"
  | "count"
  | Readonly<Record<string, Readonly<Record<string, number>>>>;

type Choice<S> = S extends "flag"
  ? 0 | 1
  : S extends "count"
    ? number
    : { [Prefix in keyof S]: S[Prefix][keyof S[Prefix]] }[keyof S];

type NumbersOf<P> = { readonly [N in keyof P]: number };
type ChoicesOf<S> = { readonly [N in keyof S]: Choice<S[N]> };
type Bare<Operand> = Operand extends `${infer Name}?` ? Name : Operand;

/**
 * How a launch may be cut where an operand is larger than one binding; `engine/devices/webgpu/windows.ts` cuts.
 * elements: all operands of n words, at the same places. rows: between rows, but for the operands that all rows share; each
 * window's `firstRow`, where the kernel has it, counts on. gathered: between the rows of the result, and between those of
 * the table, where a launch serves the ids in its window. scattered: likewise, between the rows that are added where no id
 * occurs twice. chunks: at multiples of a chunk. product: along N, M or K.
 */
type Windows<P, S, O> =
  | ("n" extends keyof P ? { readonly by: "elements"; where?(s: ChoicesOf<S>): boolean } : never)
  | ("rows" extends keyof P ? { readonly by: "rows"; readonly shared: readonly Bare<O>[] } : never)
  | ("first" | "count" | "vocab" extends keyof P
      ? { readonly by: "gathered" | "scattered"; readonly table: Bare<O> }
      : never)
  | ("n" | "rows" | "at" extends keyof P
      ? { readonly by: "chunks"; readonly chunk: number }
      : never)
  | ("M" | "N" | "K" extends keyof P ? { readonly by: "product" } : never);

type Description<P, S, O, U, D> = {
  /** In the order of the sources. */
  readonly params: P;
  /** What a launch chooses a variant by. A GPU's geometry (LANES, ...) is not among them. */
  readonly selectors?: S;
  /** Operands in the order in which they are bound. One that a launch may leave out (null) ends in "?". */
  readonly inputs?: readonly O[];
  readonly inouts?: readonly O[];
  readonly outputs?: readonly O[];
  /**
   * A small operand that is bound as a uniform, last; with "?" a launch may leave it out (null). rng is random state: u32[4], seed low,
   * seed high, step, micro-step; update is f32[12] of `adamw`.
   */
  readonly uniform?: U;
  /** Numbers that TypeScript and the sources share, each a `const` of that name there. */
  readonly fixed?: Readonly<Record<string, number>>;
  /** None: a launch with an operand larger than one binding is refused. */
  readonly windows?: Windows<P, S, O>;
  /** Of this operand a launch touches no more than the rows that its ids name. */
  readonly sparse?: Bare<O>;
  /** Floating-point work of a launch; an elementary function or a comparison counts as one. */
  flops(params: NumbersOf<P>, selectors: ChoicesOf<S>): number;
  /** Operands that the CPU device adds behind the launch's own. */
  readonly cpu?: readonly string[];
  /**
   * The only device that has the kernel. Why, by the words beside it:
   * parts of products: a GPU splits the K of a product with few workgroups, and whoever joins the parts can go on with them; the CPU's
   * threads have enough tasks.
   * one pass: a table that is larger than a GPU's caches is read once instead of twice; the CPU's threads wait for their products.
   * sums in registers: a large gradient goes through a GPU's memory once less where its product squares it; the CPU's threads sum it
   * from the same memory that they wait for anyway.
   * small launches: one costs a GPU more than its work; the CPU shares them out without barriers.
   * rows of a table: a table's gradient that is zero but for some rows goes through a GPU's memory several times.
   * keys of many steps: their gradients need not go to memory and back for each; the CPU's caches hold them.
   * halves: a GPU reads them in half the time; a CPU's products in WebAssembly are f32.
   * panels: the CPU device keeps parameters packed; a GPU reads them as they lie.
   */
  readonly only?: D;
};

/** Gives a description its types. */
const kernel = <
  const P extends Readonly<Record<string, Scalar>>,
  const S extends Readonly<Record<string, Selector>> = Record<never, never>,
  const O extends string = never,
  const U extends string = "",
  const D extends "cpu" | "webgpu" | "both" = "both",
>(
  description: Description<P, S, O, U, D>,
) => description;

/** Elements of which square_sums makes one sum. */
export const SQUARES_CHUNK = 2048;
/** Columns of a panel, the form in which the CPU multiplies by a right operand. */
export const PANEL = 8;

/** The sizes d1 to d4 of a shape of five axes (that of the first is not needed). */
const SIZES = { d1: "u32", d2: "u32", d3: "u32", d4: "u32" } as const;

/** The strides of an operand along five axes, `a0` to `a4`. */
const strides = <const Letter extends string>(letter: Letter) =>
  Object.fromEntries([0, 1, 2, 3, 4].map((axis) => [`${letter}${axis}`, "u32"])) as {
    readonly [Name in `${Letter}${0 | 1 | 2 | 3 | 4}`]: "u32";
  };

/** A number for each of seven tensors, `n0` to `n6`. */
const seven = <const Name extends string>(name: Name) =>
  Object.fromEntries([0, 1, 2, 3, 4, 5, 6].map((i) => [`${name}${i}`, "u32"])) as {
    readonly [N in `${Name}${0 | 1 | 2 | 3 | 4 | 5 | 6}`]: "u32";
  };

/** Dropout inside another kernel: which stream of random numbers, 1 - p, and 1 / (1 - p). */
const DROPOUT = { op: "u32", keep: "f32", rescale: "f32" } as const;

/** What the three attention kernels share: strides and `chunks` (the size of a head) count groups of four channels. */
const HEADS = {
  queries: "u32",
  keys: "u32",
  heads: "u32",
  pairs: "u32",
  chunks: "u32",
  qBatch: "u32",
  qRow: "u32",
  kBatch: "u32",
  kRow: "u32",
} as const;
const MASK = { maskBatch: "u32", maskRow: "u32", offset: "i32", scale: "f32" } as const;

type Heads = { pairs: number; queries: number; keys: number; chunks: number };

/** `products` products of a query with a key (or of a weight with a row), and `more` of each of their scores. */
const attended = ({ pairs, queries, keys, chunks }: Heads, products: number, more: number) =>
  pairs * queries * keys * (products * 2 * 4 * chunks + more);

export const manifest = {
  // elementwise
  fill: kernel({
    params: { n: "u32", bits: "u32" },
    outputs: ["y"],
    windows: { by: "elements" },
    flops: () => 0,
  }),
  copy: kernel({
    params: {
      n: "u32",
      ...SIZES,
      xfrom: "u32",
      ...strides("s"),
      yfrom: "u32",
      ...strides("t"),
    },
    selectors: { RANK: "count" },
    inputs: ["x"],
    outputs: ["y"],
    flops: () => 0,
  }),
  copy_flat: kernel({
    params: { n: "u32" },
    inputs: ["x"],
    outputs: ["y"],
    windows: { by: "elements" },
    flops: () => 0,
  }),
  copy_many: kernel({
    params: { n: "u32", yfrom: "u32", ...seven("end") },
    inputs: ["x0", "x1?", "x2?", "x3?", "x4?", "x5?", "x6?"],
    outputs: ["y"],
    flops: () => 0,
    only: "webgpu", // small launches
  }),
  binary: kernel({
    params: {
      n: "u32",
      ...SIZES,
      ...strides("a"),
      ...strides("b"),
      value: "u32",
    },
    selectors: { OP: { BINARY }, TYPE: { TYPE: WORD }, RANK: "count", NUMBER: { NUMBER } },
    inputs: ["a", "b?"],
    outputs: ["y"],
    windows: { by: "elements", where: ({ RANK }) => RANK === 0 },
    flops: ({ n }) => n,
  }),
  unary: kernel({
    params: { n: "u32" },
    selectors: { OP: { UNARY } },
    inputs: ["x"],
    outputs: ["y"],
    windows: { by: "elements" },
    flops: ({ n }) => n,
  }),
  unary_backward: kernel({
    params: { n: "u32" },
    selectors: { OP: { UNARY: SLOPES } },
    inputs: ["dy", "r"],
    outputs: ["dx"],
    windows: { by: "elements" },
    flops: ({ n }) => 2 * n,
  }),
  where: kernel({
    params: {
      n: "u32",
      ...SIZES,
      ...strides("c"),
      ...strides("a"),
      ...strides("b"),
      avalue: "u32",
      bvalue: "u32",
    },
    selectors: { RANK: "count", A_NUMBER: "flag", B_NUMBER: "flag" },
    inputs: ["c", "a?", "b?"],
    outputs: ["y"],
    windows: { by: "elements", where: ({ RANK }) => RANK === 0 },
    flops: ({ n }) => n,
  }),
  cast: kernel({
    params: { n: "u32" },
    selectors: { FROM: { TYPE }, TO: { TYPE: WORD } },
    inputs: ["x"],
    outputs: ["y"],
    windows: { by: "elements", where: ({ FROM }) => FROM <= WORD.u32 }, // halves are not cut
    flops: ({ n }) => n,
  }),
  add_n: kernel({
    params: { n: "u32" },
    selectors: { COUNT: "count" },
    inputs: ["x0", "x1", "x2?", "x3?", "x4?", "x5?"],
    outputs: ["y"],
    windows: { by: "elements" },
    flops: ({ n }, { COUNT }) => n * (COUNT - 1),
  }),
  dropout: kernel({
    params: { n: "u32", op: "u32", keep: "f32", scale: "f32" },
    inputs: ["x"],
    outputs: ["y"],
    uniform: "rng",
    flops: ({ n }) => 2 * n,
  }),
  random_bits: kernel({
    params: { n: "u32" },
    inputs: ["counter", "key"],
    outputs: ["y"],
    flops: () => 0,
  }),

  // along rows and columns
  reduce_rows: kernel({
    params: { rows: "u32", n: "u32", parts: "u32", chunk: "u32", scale: "f32" },
    selectors: { OP: { REDUCE }, ENTROPY: "flag" },
    inputs: ["x"],
    outputs: ["y"],
    flops: ({ rows, n, parts }, { ENTROPY }) => (rows / parts) * n * (1 + 2 * ENTROPY),
  }),
  reduce_columns: kernel({
    params: { outer: "u32", n: "u32", inner: "u32", parts: "u32", chunk: "u32", scale: "f32" },
    selectors: { OP: { REDUCE }, TIMES: "flag" },
    inputs: ["x", "w?"],
    outputs: ["y"],
    flops: ({ outer, n, inner }, { TIMES }) => outer * n * inner * (1 + TIMES),
  }),
  reduce_columns_many: kernel({
    params: { count: "u32", n: "u32", inner: "u32", parts: "u32", chunk: "u32" },
    selectors: { TIMES: "flag", BOTH: "flag" },
    inputs: ["x0", "x1?", "x2?", "x3?"],
    outputs: ["y0", "y1?", "y2?", "y3?"],
    flops: ({ count, n, inner }, { TIMES, BOTH }) => count * n * inner * (1 + TIMES + BOTH),
    only: "webgpu", // small launches
  }),
  topk: kernel({
    params: { rows: "u32", cols: "u32", k: "u32" },
    selectors: { HAS_VALUES: "flag" },
    inputs: ["x"],
    outputs: ["indices", "values?"],
    flops: ({ rows, cols, k }) => rows * cols * k,
  }),
  softmax: kernel({
    params: { rows: "u32", cols: "u32" },
    inputs: ["x"],
    outputs: ["y"],
    windows: { by: "rows", shared: [] },
    flops: ({ rows, cols }) => 5 * rows * cols,
  }),
  softmax_backward: kernel({
    params: { rows: "u32", cols: "u32" },
    inputs: ["y", "dy"],
    outputs: ["dx"],
    windows: { by: "rows", shared: [] },
    flops: ({ rows, cols }) => 4 * rows * cols,
  }),
  layernorm: kernel({
    params: { rows: "u32", cols: "u32", eps: "f32", firstRow: "u32", ...DROPOUT },
    selectors: { HAS_RESIDUAL: "flag", DROPOUT: "flag" },
    inputs: ["x", "residual?", "weight", "bias"],
    outputs: ["y", "xhat", "rstd"],
    uniform: "rng?",
    windows: { by: "rows", shared: ["weight", "bias"] },
    flops: ({ rows, cols }, s) => (10 + s.HAS_RESIDUAL + 2 * s.DROPOUT) * rows * cols,
  }),
  layernorm_backward: kernel({
    params: { rows: "u32", cols: "u32", firstRow: "u32", ...DROPOUT },
    selectors: { DROPOUT: "flag" },
    inputs: ["dy", "xhat", "rstd", "weight"],
    outputs: ["dx", "left?"],
    uniform: "rng?",
    windows: { by: "rows", shared: ["weight"] },
    flops: ({ rows, cols }, s) => (8 + 2 * s.DROPOUT) * rows * cols,
  }),
  cross_entropy: kernel({
    params: { rows: "u32", cols: "u32" },
    inputs: ["x", "targets"],
    outputs: ["loss", "stats"],
    windows: { by: "rows", shared: [] },
    flops: ({ rows, cols }) => 4 * rows * cols,
  }),
  cross_entropy_backward: kernel({
    params: { rows: "u32", cols: "u32" },
    inputs: ["x", "targets", "stats", "dloss"],
    outputs: ["dx"],
    windows: { by: "rows", shared: [] },
    flops: ({ rows, cols }) => 5 * rows * cols,
  }),

  // tables of rows
  embedding: kernel({
    params: { n: "u32", dim: "u32", vocab: "u32", first: "u32", count: "u32" },
    selectors: { FORMAT: { DTYPE } },
    inputs: ["table", "ids"],
    outputs: ["y"],
    windows: { by: "gathered", table: "table" },
    sparse: "table",
    flops: () => 0,
  }),
  scatter_links: kernel({
    params: { rows: "u32" },
    inputs: ["ids"],
    outputs: ["links", "heads"],
    flops: () => 0,
  }),
  scatter_add: kernel({
    params: { n: "u32", rows: "u32", dim: "u32", vocab: "u32", first: "u32", count: "u32" },
    selectors: { UNIQUE: "flag" },
    inputs: ["dy", "ids", "links?", "heads?"],
    inouts: ["table"],
    windows: { by: "scattered", table: "table" },
    sparse: "table",
    flops: ({ n }) => n,
  }),
  table_places: kernel({
    params: { rows: "u32" },
    inputs: ["ids"],
    inouts: ["places"],
    flops: () => 0,
    only: "webgpu", // rows of a table
  }),
  table_rows: kernel({
    params: { rows: "u32", dim: "u32", vocab: "u32", first: "u32" },
    inputs: ["dy", "ids", "links", "heads"],
    inouts: ["places", "grad"],
    flops: ({ rows, dim }) => rows * dim,
    only: "webgpu", // rows of a table
  }),

  // matrix products
  matmul: kernel({
    params: {
      M: "u32",
      N: "u32",
      K: "u32",
      lda: "u32",
      ldb: "u32",
      ldc: "u32",
      aOffset: "u32",
      bOffset: "u32",
      cOffset: "u32",
      batch: "u32",
      aBatchStride: "u32",
      bBatchStride: "u32",
      cBatchStride: "u32",
      alpha: "f32",
    },
    selectors: {
      TRANS_A: "flag",
      TRANS_B: "flag",
      BIAS: "flag",
      ACTIVATION: "flag",
      RESIDUAL: "flag",
      ACCUMULATE: "flag",
      B_DTYPE: { DTYPE },
    },
    inputs: ["a", "b", "bias?", "residual?"],
    outputs: ["c", "pre?"],
    windows: { by: "product" },
    flops: ({ M, N, K, batch }) => 2 * M * N * K * batch,
    cpu: ["panels"],
  }),
  matmul_gradient: kernel({
    params: {
      M: "u32",
      N: "u32",
      K: "u32",
      K1: "u32",
      lda: "u32",
      ldb: "u32",
      rows: "u32",
      at: "u32",
    },
    selectors: { SQUARES: "flag", SUMS: "flag", PAIR: "flag" },
    inputs: ["a", "b", "a1?", "b1?"],
    outputs: ["c", "partials?", "sums?"],
    flops: ({ M, N, K, K1 }, { SQUARES, SUMS }) =>
      2 * M * N * (K + K1) + 2 * SQUARES * M * N + SUMS * M * K,
    only: "webgpu", // sums in registers
  }),
  matmul_parts: kernel({
    params: {
      M: "u32",
      N: "u32",
      K: "u32",
      lda: "u32",
      ldb: "u32",
      products: "u32",
      chunks: "u32",
    },
    selectors: { TRANS_B: "flag", B_DTYPE: { DTYPE } },
    inputs: ["a0", "b0", "a1?", "b1?", "a2?", "b2?"],
    outputs: ["parts"],
    flops: ({ M, N, K, products }) => 2 * M * N * K * products,
    only: "webgpu", // parts of products
  }),
  matmul_join: kernel({
    params: {
      M: "u32",
      N: "u32",
      ldc: "u32",
      cOffset: "u32",
      chunks: "u32",
      alpha: "f32",
      ...DROPOUT,
    },
    selectors: {
      BIAS: "flag",
      ACTIVATION: "flag",
      DROPOUT: "flag",
      SLOPE: "flag",
      RESIDUAL: "flag",
      ACCUMULATE: "flag",
    },
    inputs: ["parts", "bias?", "residual?", "r?"],
    outputs: ["c", "pre?"],
    uniform: "rng?",
    flops: ({ M, N, chunks }) => M * N * chunks,
    only: "webgpu", // parts of products
  }),
  matmul_end: kernel({
    params: {
      M: "u32",
      N: "u32",
      K: "u32",
      lda: "u32",
      ldb: "u32",
      ldc: "u32",
      cOffset: "u32",
      alpha: "f32",
      ...DROPOUT,
    },
    selectors: {
      TRANS_B: "flag",
      B_DTYPE: { DTYPE },
      BIAS: "flag",
      ACTIVATION: "flag",
      DROPOUT: "flag",
      SLOPE: "flag",
      RESIDUAL: "flag",
    },
    inputs: ["a", "b", "bias?", "residual?", "r?"],
    outputs: ["c", "pre?"],
    uniform: "rng?",
    flops: ({ M, N, K }) => 2 * M * N * K,
    only: "webgpu", // parts of products
  }),
  matmul_each: kernel({
    params: { M: "u32", N: "u32", K: "u32", lda: "u32", ldb: "u32", products: "u32" },
    selectors: { TRANS_B: "flag", B_DTYPE: { DTYPE }, BIAS: "flag" },
    inputs: ["a", "b0", "b1", "b2?", "bias0?", "bias1?", "bias2?"],
    outputs: ["c0", "c1", "c2?"],
    flops: ({ M, N, K, products }) => 2 * M * N * K * products,
    only: "webgpu", // products that are joined
  }),
  matmul_join_each: kernel({
    params: { M: "u32", N: "u32", products: "u32", chunks: "u32" },
    selectors: { BIAS: "flag" },
    inputs: ["parts", "bias0?", "bias1?", "bias2?"],
    outputs: ["c0", "c1", "c2?"],
    flops: ({ M, N, products, chunks }) => products * M * N * chunks,
    only: "webgpu", // parts of products
  }),
  layernorm_join: kernel({
    params: { rows: "u32", cols: "u32", chunks: "u32", eps: "f32", ...DROPOUT },
    selectors: { BIAS: "flag", HAS_RESIDUAL: "flag", DROPOUT: "flag" },
    inputs: ["parts", "bias?", "residual?", "weight", "shift"],
    outputs: ["y", "xhat", "rstd"],
    uniform: "rng?",
    flops: ({ rows, cols, chunks }, s) =>
      (10 + chunks + s.HAS_RESIDUAL + 2 * s.DROPOUT) * rows * cols,
    only: "webgpu", // parts of products
  }),
  layernorm_backward_join: kernel({
    params: { rows: "u32", cols: "u32", chunks: "u32", ...DROPOUT },
    selectors: { HAS_RESIDUAL: "flag", DROPOUT: "flag" },
    inputs: ["parts", "residual?", "xhat", "rstd", "weight"],
    outputs: ["dy", "dx", "left?"],
    uniform: "rng?",
    flops: ({ rows, cols, chunks }, s) =>
      (8 + chunks + s.HAS_RESIDUAL + 2 * s.DROPOUT) * rows * cols,
    only: "webgpu", // parts of products
  }),
  table_attention_parts: kernel({
    params: { M: "u32", N: "u32", K: "u32", lda: "u32", ldb: "u32" },
    selectors: { BIAS: "flag", RESIDUAL: "flag", GRADIENT: "flag" },
    inputs: ["a", "b", "bias?", "residual?", "y?"],
    outputs: ["scores", "parts", "stats"],
    flops: ({ M, N, K }) => 4 * M * N * K + 3 * M * N,
    only: "webgpu", // one pass
  }),
  table_attention: kernel({
    params: { M: "u32", N: "u32", K: "u32", tiles: "u32" },
    inputs: ["parts", "stats"],
    outputs: ["scores", "y", "mean"],
    flops: ({ M, N, K, tiles }) => 2 * M * K * tiles + 3 * M * N,
    only: "webgpu", // one pass
  }),
  table_attention_backward: kernel({
    params: { M: "u32", N: "u32", K: "u32", tiles: "u32" },
    inputs: ["parts", "stats", "y", "mean"],
    outputs: ["dscores", "dx"],
    flops: ({ M, N, K, tiles }) => M * K * tiles + 2 * M * N,
    only: "webgpu", // one pass
  }),
  pack_panels: kernel({
    params: { K: "u32", N: "u32", ldb: "u32", bOffset: "u32" },
    selectors: { TRANS_B: "flag" },
    inputs: ["b"],
    outputs: ["panels"],
    fixed: { PANEL },
    flops: () => 0,
    only: "cpu", // panels
  }),

  // attention
  attention: kernel({
    params: { ...HEADS, ...MASK, ...DROPOUT },
    selectors: { MASK: "flag", CAUSAL: "flag", DROPOUT: "flag" },
    inputs: ["q", "k", "v", "mask?"],
    outputs: ["o", "stats", "weights"],
    uniform: "rng?",
    flops: (p, s) => attended(p, 2, 5 + 2 * s.DROPOUT), // q . k, w v
  }),
  attention_dq: kernel({
    params: { ...HEADS, ...MASK, ...DROPOUT },
    selectors: { MASK: "flag", CAUSAL: "flag", DROPOUT: "flag" },
    inputs: ["q", "k", "v", "mask?", "stats", "dout"],
    outputs: ["dq", "weights"],
    uniform: "rng?",
    flops: (p, s) => attended(p, 3, 9 + 3 * s.DROPOUT), // q . k, do . v, ds k
  }),
  attention_dkv: kernel({
    params: HEADS,
    selectors: { ACCUMULATE_K: "flag", ACCUMULATE_V: "flag" },
    inputs: ["q", "dout", "weights"],
    inouts: ["dk", "dv"],
    flops: (p) => attended(p, 2, 0), // ds q, w do
  }),
  attention_dkv_steps: kernel({
    params: {
      steps: "u32",
      keys: "u32",
      grow: "u32",
      first: "u32",
      count: "u32",
      heads: "u32",
      pairs: "u32",
      chunks: "u32",
      kBatch: "u32",
      kRow: "u32",
    },
    selectors: { ACCUMULATE_K: "flag", ACCUMULATE_V: "flag" },
    inputs: ["q", "dout", "weights"],
    inouts: ["dk", "dv"],
    flops: ({ pairs, steps, count, chunks }) =>
      attended({ pairs, queries: steps, keys: count, chunks }, 2, 0),
    only: "webgpu", // keys of many steps
  }),

  // training
  adamw: kernel({
    params: { n: "u32", beta1: "f32", beta2: "f32", eps: "f32", weightDecay: "f32" },
    inputs: ["grad", "update"],
    inouts: ["param", "m", "v"],
    windows: { by: "elements" },
    flops: ({ n }) => 17 * n,
  }),
  adamw_half: kernel({
    params: { n: "u32", beta1: "f32", beta2: "f32", eps: "f32", weightDecay: "f32" },
    inputs: ["grad", "update"],
    inouts: ["param", "m", "v"],
    outputs: ["half"],
    flops: ({ n }) => 18 * n,
    only: "webgpu", // halves
  }),
  adamw_pair: kernel({
    params: {
      n0: "u32",
      n1: "u32",
      beta1: "f32",
      beta2: "f32",
      eps: "f32",
      weightDecay0: "f32",
      weightDecay1: "f32",
    },
    inputs: ["grad0", "grad1"],
    inouts: ["param0", "m0", "v0", "param1", "m1", "v1"],
    uniform: "update",
    flops: ({ n0, n1 }) => 17 * (n0 + n1),
    only: "webgpu", // small launches
  }),
  adamw_table: kernel({
    params: {
      n: "u32",
      dim: "u32",
      beta1: "f32",
      beta2: "f32",
      eps: "f32",
      weightDecay: "f32",
    },
    selectors: { HALF: "flag" },
    inputs: ["grad", "places", "update"],
    inouts: ["param", "m", "v"],
    outputs: ["half?"],
    flops: ({ n }, { HALF }) => (17 + HALF) * n,
    only: "webgpu", // rows of a table
  }),
  halve: kernel({
    params: { n: "u32" },
    inputs: ["x"],
    outputs: ["half"],
    flops: ({ n }) => n,
    only: "webgpu", // halves
  }),
  square_sums: kernel({
    params: { n: "u32", rows: "u32", at: "u32" },
    selectors: { SQUARES: "flag" },
    inputs: ["x"],
    outputs: ["partials"],
    fixed: { CHUNK: SQUARES_CHUNK },
    windows: { by: "chunks", chunk: SQUARES_CHUNK },
    flops: ({ n }, { SQUARES }) => n * (1 + 2 * SQUARES),
  }),
  square_sums_many: kernel({
    params: {
      rows: "u32",
      ...seven("at"),
      ...seven("n"),
      ...seven("end"),
    },
    selectors: { SQUARES: "flag" },
    inputs: ["x0", "x1?", "x2?", "x3?", "x4?", "x5?", "x6?"],
    outputs: ["partials"],
    fixed: { CHUNK: SQUARES_CHUNK },
    flops: ({ rows }, { SQUARES }) => rows * SQUARES_CHUNK * (1 + 2 * SQUARES),
    only: "webgpu", // small launches
  }),
  grad_norm: kernel({
    params: { rows: "u32", count: "u32", maxNorm: "f32" },
    inputs: ["partials"],
    outputs: ["control"],
    flops: ({ count }) => 2 * count,
  }),
};

/** Files of `cpu/` that hold no kernel, and why they are there. */
export const CPU_HELPERS: Readonly<Record<string, string>> = {
  not_finite: "looks for a value that is no number, of a state that was read from a file",
  peek: "reads a word for a worker whose own view of the memory is too short",
};

type Manifest = typeof manifest;
export type KernelName = keyof Manifest;

/** Kernels that a device has. */
type NamesOn<Device> = {
  [K in KernelName]: NonNullable<Manifest[K]["only"]> extends "both" | Device ? K : never;
}[KernelName];

export type CPUKernel = NamesOn<"cpu">;
export type WebGPUKernel = NamesOn<"webgpu">;
/** Kernels that every device has: what ops launch. */
export type SharedKernel = CPUKernel & WebGPUKernel;

/** A launch's parameters by name, and its selectors. */
export type Params<K extends KernelName> = NumbersOf<Manifest[K]["params"]>;
export type Selected<K extends KernelName> = ChoicesOf<NonNullable<Manifest[K]["selectors"]>>;

type UniformOf<K extends KernelName> = NonNullable<Manifest[K]["uniform"]>;

/** Kernels that take a uniform operand, and those that take it where they are asked to. */
export type UniformKernel = {
  [K in KernelName]: UniformOf<K> extends "" | `${string}?` ? never : K;
}[KernelName];
export type MaybeUniformKernel = {
  [K in KernelName]: UniformOf<K> extends `${string}?` ? K : never;
}[KernelName];

/** A kernel as data, for whoever walks over all of them. */
export type AnyKernel = Description<
  Readonly<Record<string, Scalar>>,
  Readonly<Record<string, Selector>>,
  string,
  string,
  "cpu" | "webgpu" | "both"
>;

/** All kernels by name. */
export const kernels: Readonly<Record<KernelName, AnyKernel>> = manifest;

export const kernelNames = Object.keys(kernels) as KernelName[];

const hasDevice = (name: KernelName, device: "cpu" | "webgpu"): boolean =>
  (kernels[name].only ?? device) === device;

/** The kernels that the CPU has. */
export const cpuKernels = kernelNames.filter((name): name is CPUKernel => hasDevice(name, "cpu"));
/** The kernels that WebGPU has. */
export const webgpuKernels = kernelNames.filter((name): name is WebGPUKernel =>
  hasDevice(name, "webgpu"),
);

export type KernelOperand = {
  readonly name: string;
  readonly optional: boolean;
  readonly list: "inputs" | "inouts" | "outputs";
  /** Its place in that list. */
  readonly index: number;
};

/** A launch's operands in the order in which they are bound; random state comes behind them. */
export function kernelOperands(name: KernelName): KernelOperand[] {
  const lists = ["inputs", "inouts", "outputs"] as const;
  return lists.flatMap((list) =>
    (kernels[name][list] ?? []).map((operand, index) => ({
      name: operand.replace("?", ""),
      optional: operand.endsWith("?"),
      list,
      index,
    })),
  );
}
