import { gelu } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("gelu", ([x]) => gelu(x));
