import { log } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("log", ([x]) => log(x));
