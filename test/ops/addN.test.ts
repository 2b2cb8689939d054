import { addN } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("addN", (tensors) => addN(tensors));
