import { sub } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("sub", ([a, b], { left, right }) =>
  sub(left ?? a, right ?? (left === undefined ? b : a)),
);
