/** Rows that are added to those of a table, by their ids: the gradient of `embedding`. */
import { nondifferentiable, type Op } from "../op.ts";
import { apply1, type Tensor } from "../tensor.ts";

/** Inputs: base [V, D], rows [N, D], ids [N]. */
const scatterAddOp: Op = {
  name: "scatterAdd",
  infer: ([base]) => [{ shape: base.shape, dtype: "f32" }],
  grad: nondifferentiable("second derivatives are not built"),
  donates: () => ({ 0: 0 }),
  launch: ({ node, inputs: [, rows, ids], outputs: [y], temp }) => {
    const [count, dim] = rows.shape;
    const vocab = y.shape[0];
    const params = { n: rows.size, rows: count, dim, vocab, first: 0, count: vocab };
    if (node.attrs.unique === true) {
      const inputs = [rows, ids, null, null];
      return [
        {
          kernel: "scatter_add",
          constants: { UNIQUE: 1 },
          params,
          inputs,
          inouts: [y],
          outputs: [],
        },
      ];
    }
    const links = temp({ shape: [count], dtype: "u32" });
    const heads = temp({ shape: [count], dtype: "u32" });
    const inputs = [rows, ids, links, heads];
    return [
      { kernel: "scatter_links", params: { rows: count }, inputs: [ids], outputs: [links, heads] },
      { kernel: "scatter_add", constants: { UNIQUE: 0 }, params, inputs, inouts: [y], outputs: [] },
    ];
  },
};

/**
 * `base` [V, D] with base[ids[r]] += rows[r], in the order of the rows: deterministic, no sort. It is written over `base`
 * where nobody reads that later.
 * @param unique no id occurs twice
 */
export const scatterAdd = (base: Tensor, rows: Tensor, ids: Tensor, unique: boolean): Tensor =>
  apply1(scatterAddOp, [base, rows, ids], { unique });
