import { std } from "../../engine/ops/variance.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean; correction?: number };
opcheck<Attrs>("std", ([x], { axis, keepdims = false, correction = 1 }) =>
  std(x, axis, { keepdims, correction }),
);
