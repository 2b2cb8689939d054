import { layerNorm } from "../../engine/ops/layernorm.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ eps: number }>("layerNorm", ([x, w, b, residual], { eps }) =>
  layerNorm(x, w, b, eps, residual),
);
