import { logicalAnd, logicalNot, logicalOr } from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

const ops = { logicalAnd, logicalOr };
type Attrs = { op: keyof typeof ops | "logicalNot" };
opcheck<Attrs>("logic", ([a, b], { op }) => (op === "logicalNot" ? logicalNot(a) : ops[op](a, b)));
