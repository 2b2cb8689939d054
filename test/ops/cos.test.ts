import { cos } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("cos", ([x]) => cos(x));
