import { sin } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("sin", ([x]) => sin(x));
