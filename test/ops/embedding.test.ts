import { embedding, scatterAdd } from "../../engine/ops/embedding.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { readonly unique?: boolean };

opcheck<Attrs>("embedding", ([table, ids], attrs) => embedding(table, ids, attrs));
opcheck<Attrs>("scatterAdd", ([base, rows, ids], { unique = false }) =>
  scatterAdd(base, rows, ids, unique),
);
opcheck("tiedTable", ([table, a, b, order, x]) => [
  embedding(table, a),
  embedding(table, b),
  embedding(table, order, { unique: true }),
  linear(x, table),
]);
