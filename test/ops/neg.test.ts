import { neg } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("neg", ([x]) => neg(x));
