import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { opcheck } from "../opcheck.ts";

opcheck("crossEntropy", ([x, targets]) => crossEntropy(x, targets));
