import { entropy } from "../../engine/ops/reduce.ts";
import { opcheck } from "../opcheck.ts";

opcheck("entropy", ([p]) => entropy(p));
