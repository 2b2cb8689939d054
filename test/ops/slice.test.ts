import { slice } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

type Attrs = { axis: number; start: number; end: number };
opcheck<Attrs>("slice", ([x], { axis, start, end }) => slice(x, axis, start, end));
