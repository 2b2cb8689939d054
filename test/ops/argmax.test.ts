import { argmax } from "../../engine/ops/argmax.ts";
import { opcheck } from "../opcheck.ts";

opcheck("argmax", ([x]) => argmax(x));
