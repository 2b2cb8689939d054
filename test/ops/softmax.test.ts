import { softmax } from "../../engine/ops/softmax.ts";
import { opcheck } from "../opcheck.ts";

opcheck("softmax", ([x]) => softmax(x));
