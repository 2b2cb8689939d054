import { reshape } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ shape: number[] }>("reshape", ([x], { shape }) => reshape(x, shape));
