import { sigmoid } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("sigmoid", ([x]) => sigmoid(x));
