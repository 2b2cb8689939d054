import { clamp } from "../../engine/ops/clamp.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ min?: number; max?: number }>("clamp", ([x], { min, max }) =>
  clamp(x, { ...(min !== undefined && { min }), ...(max !== undefined && { max }) }),
);
