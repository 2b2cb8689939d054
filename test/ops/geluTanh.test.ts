import { geluTanh } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("geluTanh", ([x]) => geluTanh(x));
