import { tanh } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("tanh", ([x]) => tanh(x));
