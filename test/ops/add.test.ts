import { add } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("add", ([a, b], { left, right }) =>
  add(left ?? a, right ?? (left === undefined ? b : a)),
);
