import { sum } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean };
opcheck<Attrs>("sum", ([x], { axis, keepdims = false }) => sum(x, axis, { keepdims }));
