import { cast } from "../../engine/ops/elementwise.ts";
import type { DType } from "../../engine/tensor.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ to: DType }>("cast", ([x], { to }) => cast(x, to));
