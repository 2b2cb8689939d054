import { embedding } from "../../engine/ops/embedding.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { readonly unique?: boolean };

opcheck<Attrs>("embedding", ([table, ids], attrs) => embedding(table, ids, attrs));
