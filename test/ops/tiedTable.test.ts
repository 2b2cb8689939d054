import { embedding } from "../../engine/ops/embedding.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { opcheck } from "../opcheck.ts";

opcheck("tiedTable", ([table, a, b, order, x]) => [
  embedding(table, a),
  embedding(table, b),
  embedding(table, order, { unique: true }),
  linear(x, table),
]);
