import { binaryCrossEntropyWithLogits } from "../../engine/ops/binary-cross-entropy.ts";
import { opcheck } from "../opcheck.ts";

opcheck("binaryCrossEntropyWithLogits", ([x, targets]) => binaryCrossEntropyWithLogits(x, targets));
