import { reciprocal } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("reciprocal", ([x]) => reciprocal(x));
