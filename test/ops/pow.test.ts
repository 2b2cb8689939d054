import { pow } from "../../engine/ops/composed.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ exponent: number }>("pow", ([x], { exponent }) => pow(x, exponent));
