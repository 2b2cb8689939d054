import { add, div, maximum, minimum, mul, sub } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

const ops = { add, sub, mul, div, maximum, minimum };
opcheck<{ op: keyof typeof ops }>("integers", ([a, b], { op }) => ops[op](a, b));
