import { embedding } from "../../engine/ops/embedding.ts";
import { opcheck } from "../opcheck.ts";

opcheck("embedding", ([table, ids, inverse]) => embedding(table, ids, inverse ? { inverse } : {}));
