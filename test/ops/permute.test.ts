import { permute } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ axes: number[] }>("permute", ([x], { axes }) => permute(x, axes));
