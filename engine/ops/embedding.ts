/** Rows of a table by their ids. */
import { DTYPE } from "../../kernels/codes.ts";
import { check } from "../errors.ts";
import type { Op } from "../op.ts";
import { show } from "../shape.ts";
import { apply1, constantOp, hostData, type Tensor } from "../tensor.ts";
import { reshape } from "./shape.ts";
import { addressable } from "./strided.ts";

/** How a table is stored; integers are words like f32. */
const FORMATS = { ...DTYPE, i32: DTYPE.f32, u32: DTYPE.f32 } as const;

/** Inputs: table [V, D], ids [...]. */
export const embeddingOp: Op = {
  name: "embedding",
  infer: ([table, ids]) => {
    check(
      table.shape.length === 2,
      "embedding",
      () => `the table ${show(table.shape)} must be [vocabulary, dimension]`,
    );
    check(ids.dtype === "u32", "embedding", () => `the ids ${ids} must be u32; use cast()`);
    const dtype = table.dtype === "f16" || table.dtype === "bf16" ? "f32" : table.dtype;
    return [addressable("embedding", { shape: [...ids.shape, table.shape[1]], dtype })];
  },
  // d table[v] = the sum of dy over the places where ids = v
  grad: ({ node, inputs: [table, ids], upstream: [dy] }) => {
    if (!dy || table.dtype !== "f32") return [];
    const rows = reshape(dy, [ids.size, table.shape[1]]);
    return [{ rows, ids: reshape(ids, [-1]), unique: node.attrs.unique === true }];
  },
  launch: ({ inputs: [table, ids], outputs: [y] }) => {
    const [vocab, dim] = table.shape;
    return [
      {
        kernel: "embedding",
        constants: { FORMAT: FORMATS[table.dtype] },
        params: { n: y.size, dim, vocab, first: 0, count: vocab },
        inputs: [table, ids],
        outputs: [y],
      },
    ];
  },
};

/**
 * Rows of a table by their ids: [V, D] and ids u32 [...] give [..., D]. A table of f16 or bf16 is frozen and
 * decoded to f32. An id of V or more gives a row of NaN (of 0x7fc00000 in a
 * table of integers).
 * @param options.unique the ids are a constant without repetitions: their gradient needs no search for equal ids
 */
export function embedding(
  table: Tensor,
  ids: Tensor,
  { unique = false }: { readonly unique?: boolean } = {},
): Tensor {
  if (unique) {
    check(
      ids.node.op === constantOp,
      "embedding",
      () => `unique ids must be a constant, got ${ids}`,
    );
    const seen = new Set<number>();
    for (const id of hostData(ids)) {
      check(!seen.has(id), "embedding", () => `unique ids must not repeat, but ${id} does`);
      seen.add(id);
    }
  }
  return apply1(embeddingOp, [table, ids], { unique });
}
