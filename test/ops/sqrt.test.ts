import { sqrt } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("sqrt", ([x]) => sqrt(x));
