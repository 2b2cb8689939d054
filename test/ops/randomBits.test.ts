import { randomBits } from "../../engine/ops/dropout.ts";
import { opcheck } from "../opcheck.ts";

opcheck("randomBits", ([counter, key]) => randomBits(counter, key));
