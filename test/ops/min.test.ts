import { min } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean };
opcheck<Attrs>("min", ([x], { axis, keepdims = false }) => min(x, axis, { keepdims }));
