import { mean } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis?: number[]; keepdims?: boolean };
opcheck<Attrs>("mean", ([x], { axis, keepdims = false }) => mean(x, axis, { keepdims }));
