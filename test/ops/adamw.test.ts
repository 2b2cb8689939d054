import { type AdamWOptions, adamw } from "../../engine/ops/adamw.ts";
import { concat } from "../../engine/ops/shape.ts";
import { opcheck } from "../opcheck.ts";

opcheck<AdamWOptions>("adamw", ([p, m, v, grad, scalars, control], options) =>
  adamw(p, m, v, grad, concat([control, scalars], 0), options),
);
