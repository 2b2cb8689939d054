import { abs } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("abs", ([x]) => abs(x));
