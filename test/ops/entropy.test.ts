import { entropy } from "../../engine/ops/entropy.ts";
import { opcheck } from "../opcheck.ts";

opcheck("entropy", ([p]) => entropy(p));
