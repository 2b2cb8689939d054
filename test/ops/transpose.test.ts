import { transpose } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ a: number; b: number }>("transpose", ([x], { a, b }) => transpose(x, a, b));
