import { logSoftmax } from "../../engine/ops/log-softmax.ts";
import { opcheck } from "../opcheck.ts";

opcheck("logSoftmax", ([x]) => logSoftmax(x));
