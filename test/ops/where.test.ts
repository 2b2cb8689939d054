import { where } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { a?: number; b?: number };
opcheck<Attrs>("where", ([condition, ...rest], { a, b }) =>
  where(condition, a ?? rest[0], b ?? rest[a === undefined ? 1 : 0]),
);
