import { relu } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("relu", ([x]) => relu(x));
