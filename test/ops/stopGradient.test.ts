import { mul } from "../../engine/ops/elementwise.ts";
import { stopGradient } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck("stopGradient", ([x]) => mul(x, stopGradient(x)));
