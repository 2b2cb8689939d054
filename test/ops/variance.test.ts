import { variance } from "../../engine/ops/variance.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean; correction?: number };
opcheck<Attrs>("variance", ([x], { axis, keepdims = false, correction = 1 }) =>
  variance(x, axis, { keepdims, correction }),
);
