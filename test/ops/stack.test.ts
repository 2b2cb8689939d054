import { stack } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ axis: number }>("stack", (xs, { axis }) => stack(xs, axis));
