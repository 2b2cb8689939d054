import { pow } from "../../engine/ops/pow.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ exponent: number }>("pow", ([x], { exponent }) => pow(x, exponent));
