/** Products whose K is split, and joins: where one launch of a plan becomes two on WebGPU, but for a join of one product whose K is not. */
import { kernelOperands, type WebGPUKernel } from "../../../kernels/manifest.ts";
import { matmulChunks, partsChunks, tableTiles, tilesOf } from "../../../kernels/webgpu/matmul.ts";
import type { Adapter } from "../../../kernels/webgpu/table.ts";
import { type JoinRules, withJoins } from "../../joins.ts";
import { withSharedSteps } from "../../key-gradients.ts";
import { ALIGNMENT, type CustomLaunch } from "../../op.ts";
import type { AnyLaunch, JoinedLaunch, Memory, Region } from "../../plan.ts";
import { withTableAttention } from "../../table-attention.ts";
import { withTableRows } from "../../table-gradients.ts";
import type { Tensor } from "../../tensor.ts";

/** A window of a plan's memory or of the one scratch buffer that a device has. */
export type StepRegion = Omit<Region, "memory"> & {
  readonly memory: Memory | { readonly kind: "scratch" };
};

/** A launch as WebGPU runs it. */
export type StepLaunch = {
  readonly op: string;
  readonly line?: string;
  readonly kernel: string;
  readonly constants: Readonly<Record<string, number>>;
  readonly params: Readonly<Record<string, number>>;
  readonly inputs: readonly (StepRegion | null)[];
  readonly inouts: readonly StepRegion[];
  readonly outputs: readonly (StepRegion | null)[];
  readonly uniform?: Region | null;
} & (
  | { readonly kernel: WebGPUKernel; readonly wgsl?: never }
  | Pick<CustomLaunch, "kernel" | "wgsl" | "groups">
);

/** `count` sums of a product's M x N, in the scratch. */
const partsOf = (count: number, { M, N }: { M: number; N: number }): StepRegion => ({
  memory: { kind: "scratch" },
  byteOffset: 0,
  byteLength: count * M * N * 4,
  spec: { shape: [count, M, N], dtype: "f32" },
});

/** Two launches for a matrix product whose K is split: sums of each chunk, into scratch, then the sums of those. Two for most joins. */
export function chunked(launch: AnyLaunch, adapter: Adapter): readonly StepLaunch[] {
  if ("products" in launch) return unfolded(launch, adapter);
  if ("wgsl" in launch || launch.kernel !== "matmul") return [launch];
  const { params, constants, inputs } = launch;
  const chunks = matmulChunks(params, adapter, constants);
  if (chunks === 1) return [launch];
  const { M, N, ldc, cOffset, alpha } = params;
  const parts = partsOf(chunks, params);
  const { BIAS, ACTIVATION, RESIDUAL, ACCUMULATE, ...operands } = constants;
  return [
    {
      ...launch,
      constants: { ...operands, SPLIT: 1 },
      params: { ...params, batch: chunks, alpha: 1, ldc: N, cOffset: 0, cBatchStride: M * N },
      inputs: [inputs[0], inputs[1], null, null],
      outputs: [parts, null],
    },
    {
      ...launch,
      kernel: "matmul_join",
      constants: { BIAS, ACTIVATION, DROPOUT: 0, SLOPE: 0, RESIDUAL, ACCUMULATE },
      params: { M, N, ldc, cOffset, chunks, alpha, op: 0, keep: 1, rescale: 1 },
      inputs: [parts, inputs[2], inputs[3], null],
      uniform: null,
    },
  ];
}

/** The parts of a join's products, into scratch, and the join that reads them. */
function unfolded(join: JoinedLaunch, adapter: Adapter): StepLaunch[] {
  const { products, ...launch } = join;
  if (products.length === 0) return [launch];
  if (join.kernel === "table_attention" || join.kernel === "table_attention_backward") {
    return overTable(join);
  }
  const [{ params, constants }] = products;
  const { M, N, K, lda, ldb } = params;
  const count = products.length;
  const chunks = partsChunks(params, count, adapter);
  if (launch.kernel === "matmul_join" && count * chunks === 1) return [ended(products[0], launch)];
  if (launch.kernel === "matmul_join_each" && chunks === 1) {
    if (count <= mostOfOne(adapter, launch.constants.BIAS)) return [each(products, launch)];
  }
  const parts = partsOf(count * chunks, params);
  const operands = products.flatMap(({ inputs }) => inputs.slice(0, 2));
  const unused = new Array<null>(MOST_OPERANDS - operands.length).fill(null);
  const isEach = launch.kernel === "matmul_join_each"; // the others add all of them up
  return [
    {
      op: join.op,
      ...(join.line === undefined ? {} : { line: join.line }),
      kernel: "matmul_parts",
      constants: { TRANS_B: constants.TRANS_B, B_DTYPE: constants.B_DTYPE },
      params: { M, N, K, lda, ldb, products: count, chunks },
      inputs: [...operands, ...unused],
      inouts: [],
      outputs: [parts],
    },
    {
      ...launch,
      params: { ...launch.params, chunks: isEach ? chunks : count * chunks },
      inputs: [parts, ...launch.inputs.slice(1)],
    },
  ];
}

/** Attention over a table: what each tile of the table gives, into scratch, and what reads it. */
function overTable(
  join: JoinedLaunch & { readonly kernel: "table_attention" | "table_attention_backward" },
): StepLaunch[] {
  const { products, ...launch } = join;
  const [{ params, constants, inputs }] = products;
  const { M, N, K, lda, ldb } = params;
  const [a, b, bias, residual] = inputs;
  const tiles = tableTiles(N);
  const backward = join.kernel === "table_attention_backward";
  const parts = partsOf(tiles, { M, N: K });
  const stats: StepRegion = {
    ...partsOf(backward ? tiles : 2 * tiles, { M, N: 1 }),
    byteOffset: Math.ceil(parts.byteLength / ALIGNMENT) * ALIGNMENT,
  };
  const [, , y = null] = join.inputs;
  const { BIAS, RESIDUAL } = constants;
  return [
    {
      op: join.op,
      ...(join.line === undefined ? {} : { line: join.line }),
      kernel: "table_attention_parts",
      constants: { BIAS, RESIDUAL, GRADIENT: backward ? 1 : 0 },
      params: { M, N, K, lda, ldb },
      inputs: [a, b, bias, residual, y],
      inouts: [],
      outputs: [join.outputs[0], parts, stats],
    },
    {
      ...launch,
      params: { ...launch.params, tiles },
      inputs: [parts, stats, ...launch.inputs.slice(2)],
    },
  ];
}

/** A product and its end in one: its K is not split. */
function ended(
  { params, constants, inputs: [a, b] }: JoinedLaunch["products"][number],
  join: Omit<JoinedLaunch & { readonly kernel: "matmul_join" }, "products">,
): StepLaunch {
  const { M, N, K, lda, ldb } = params;
  const { ACCUMULATE: _, ...end } = join.constants;
  const { chunks: __, ...rest } = join.params;
  return {
    ...join,
    kernel: "matmul_end",
    constants: { TRANS_B: constants.TRANS_B, B_DTYPE: constants.B_DTYPE, ...end },
    params: { ...rest, M, N, K, lda, ldb },
    inputs: [a, b, ...join.inputs.slice(1)],
  };
}

const MOST_OPERANDS = kernelOperands("matmul_parts").filter((o) => o.list === "inputs").length;

/** Products of one x that one launch may make: of each it binds B, C and the bias if there is one. */
const mostOfOne = ({ maxStorageBuffers }: Adapter, BIAS: number): number =>
  Math.floor((maxStorageBuffers - 1) / (2 + BIAS));

/** Products of one x in one launch: their K is not split. */
function each(
  products: JoinedLaunch["products"],
  join: Omit<JoinedLaunch & { readonly kernel: "matmul_join_each" }, "products">,
): StepLaunch {
  const [{ params, constants, inputs }] = products;
  const { M, N, K, lda, ldb } = params;
  const [b0, b1, b2 = null] = products.map((product) => product.inputs[1]);
  return {
    ...join,
    kernel: "matmul_each",
    constants: { TRANS_B: constants.TRANS_B, B_DTYPE: constants.B_DTYPE, ...join.constants },
    params: { M, N, K, lda, ldb, products: products.length },
    inputs: [inputs[0], b0, b1, b2, ...join.inputs.slice(1)],
  };
}

/** Rows of the smallest table over which attention reads it once: smaller ones stay in a GPU's caches. */
const TABLE_ROWS = 4096;

/**
 * What a plan may join for an adapter; a software one runs products in registers, without parts. Where products round their
 * operands to f16, attention over a table stays as ops launch it.
 */
export const joinRules = (adapter: Adapter, largest: number): JoinRules | undefined =>
  adapter.software
    ? undefined
    : {
        largest,
        splits: ({ params, constants }) => matmulChunks(params, adapter, constants) > 1,
        tiles: ({ params, constants }) =>
          matmulChunks(params, adapter, constants) > 1 ? undefined : tilesOf(params.M, params.N),
        each: ({ constants }) => mostOfOne(adapter, constants.BIAS),
        partsBytes: (params, count) =>
          partsOf(count * partsChunks(params, count, adapter), params).byteLength,
        tableRows: adapter.half ? Number.POSITIVE_INFINITY : TABLE_ROWS,
        tableBytes: ({ M, N, K }) => partsOf(tableTiles(N), { M, N: K }).byteLength,
        join: (planned, context) =>
          withJoins(
            withTableAttention(withTableRows(withSharedSteps(planned, context), context), context),
            context,
          ),
      };

/** What makes an f16 copy of a state. */
export function halving(state: Tensor, copy: Tensor): StepLaunch {
  const whole = (t: Tensor): Region => ({
    memory: { kind: "state", state: t },
    byteOffset: 0,
    byteLength: t.bytes,
    spec: { shape: t.shape, dtype: t.dtype },
  });
  const [inputs, outputs] = [[whole(state)], [whole(copy)]];
  const params = { n: state.size };
  return { op: "copy in f16", kernel: "halve", params, constants: {}, inputs, inouts: [], outputs };
}

/** Bytes of scratch that a launch binds. */
export const scratchBytes = ({ inputs, outputs }: StepLaunch): number =>
  Math.max(
    0,
    ...[...inputs, ...outputs].map((r) =>
      r?.memory.kind === "scratch" ? r.byteOffset + r.byteLength : 0,
    ),
  );
