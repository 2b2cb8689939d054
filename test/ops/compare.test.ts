import {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  notEqual,
} from "../../engine/ops/elementwise.ts";
import { opcheck } from "../opcheck.ts";

const ops = { equal, greater, greaterEqual, less, lessEqual, notEqual };
type Attrs = { op: keyof typeof ops; right?: number };
opcheck<Attrs>("compare", ([a, b], { op, right }) => ops[op](a, right ?? b));
