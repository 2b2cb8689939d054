import { exp } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("exp", ([x]) => exp(x));
