/** Rows of a table by their ids, and their gradient, which adds rows up. */
import { DTYPE } from "../../kernels/codes.ts";
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { show } from "../shape.ts";
import { apply1, type Tensor } from "../tensor.ts";
import { reshape } from "./shape.ts";
import { addressable } from "./strided.ts";

/** How a table is stored; integers are words like f32. */
const FORMATS = { ...DTYPE, i32: DTYPE.f32, u32: DTYPE.f32 } as const;

/** Inputs: table [V, D], ids [...], and maybe the inverse of ids, [V]. */
export const embeddingOp: Op = {
  name: "embedding",
  infer: (inputs) => {
    const [table, ids, inverse] = inputs;
    check(
      table.shape.length === 2,
      "embedding",
      () => `the table ${show(table.shape)} must be [vocabulary, dimension]`,
    );
    check(ids.dtype === "u32", "embedding", () => `the ids ${ids} must be u32; use cast()`);
    const [vocab, dim] = table.shape;
    if (inverse) {
      check(
        inverse.dtype === "u32" && inverse.shape.length === 1 && inverse.shape[0] === vocab,
        "embedding",
        () => `the inverse ${inverse} must be u32[${vocab}], one entry for each row of the table`,
      );
    }
    const dtype = table.dtype === "f16" || table.dtype === "bf16" ? "f32" : table.dtype;
    return [addressable("embedding", { shape: [...ids.shape, dim], dtype })];
  },
  // d table[v] = the sum of dy over the places where ids = v
  grad: ({ inputs: [table, ids, inverse], upstream: [dy] }) => {
    if (!dy || table.dtype !== "f32") return [];
    const rows = reshape(dy, [ids.size, table.shape[1]]);
    if (inverse) return [apply1(embeddingOp, [rows, inverse], { zeroMissing: true })];
    return [apply1(scatterAddOp, [rows, reshape(ids, [-1])], { vocab: table.shape[0] })];
  },
  launch: ({ node, inputs: [table, ids], outputs: [y] }) => {
    const [vocab, dim] = table.shape;
    return [
      {
        kernel: "embedding",
        constants: { FORMAT: FORMATS[table.dtype], ZERO_MISSING: node.attrs.zeroMissing ? 1 : 0 },
        params: { n: y.size, dim, vocab, first: 0, count: vocab },
        inputs: [table, ids],
        outputs: [y],
      },
    ];
  },
};

/**
 * table [V, D] with table[ids[r]] += rows[r] from zero, in the order of the rows: deterministic, no
 * sort.
 */
export const scatterAddOp: Op = {
  name: "scatterAdd",
  infer: ([rows], { vocab }) => [{ shape: [vocab as number, rows.shape[1]], dtype: "f32" }],
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs: [rows, ids], outputs: [y], temp }) => {
    const [count, dim] = rows.shape;
    const vocab = y.shape[0];
    const links = temp({ shape: [count], dtype: "u32" });
    const heads = temp({ shape: [count], dtype: "u32" });
    return [
      { kernel: "fill", params: { n: y.size, bits: 0 }, inputs: [], outputs: [y] },
      { kernel: "scatter_links", params: { rows: count }, inputs: [ids], outputs: [links, heads] },
      {
        kernel: "scatter_add",
        params: { n: rows.size, rows: count, dim, vocab, first: 0, count: vocab },
        inputs: [rows, ids, links, heads],
        outputs: [y],
      },
    ];
  },
};

/** No place: the entry of an `inverse` for a row that no id names. */
export const NO_ROW = 0xffffffff;

/**
 * Rows of a table: [V, D] and ids u32 [...] give [..., D]. A table of f16 or bf16 is frozen and
 * decoded to f32. An id of V or more gives a row of NaN (of 0x7fc00000 in a
 * table of integers). For a constant index without repetitions,
 * `inverse` [V] (where each row went, `NO_ROW` for nowhere) makes the gradient a gather too.
 */
export const embedding = (
  table: Tensor,
  ids: Tensor,
  { inverse }: { readonly inverse?: Tensor } = {},
): Tensor => apply1(embeddingOp, inverse ? [table, ids, inverse] : [table, ids]);
