import { mul } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("mul", ([a, b], { left, right }) =>
  mul(left ?? a, right ?? (left === undefined ? b : a)),
);
