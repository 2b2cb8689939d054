import { maximum } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("maximum", ([a, b], { left, right }) =>
  maximum(left ?? a, right ?? (left === undefined ? b : a)),
);
