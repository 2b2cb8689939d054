import { scatterAdd } from "../../engine/ops/scatter-add.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { readonly unique?: boolean };

opcheck<Attrs>("scatterAdd", ([base, rows, ids], { unique = false }) =>
  scatterAdd(base, rows, ids, unique),
);
