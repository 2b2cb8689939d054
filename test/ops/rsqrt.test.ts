import { rsqrt } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

opcheck("rsqrt", ([x]) => rsqrt(x));
