import { silu } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("silu", ([x]) => silu(x));
