import { div } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("div", ([a, b], { left, right }) =>
  div(left ?? a, right ?? (left === undefined ? b : a)),
);
