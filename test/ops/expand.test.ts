import { expand } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ shape: number[] }>("expand", ([x], { shape }) => expand(x, shape));
