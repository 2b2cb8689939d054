import { square } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("square", ([x]) => square(x));
