import { max } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean };
opcheck<Attrs>("max", ([x], { axis, keepdims = false }) => max(x, axis, { keepdims }));
