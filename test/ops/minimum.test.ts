import { minimum } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { left?: number; right?: number };
opcheck<Attrs>("minimum", ([a, b], { left, right }) =>
  minimum(left ?? a, right ?? (left === undefined ? b : a)),
);
