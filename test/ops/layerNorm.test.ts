import { layerNorm } from "../../engine/ops/layernorm.ts";
import { opcheck } from "../opcheck.ts";

opcheck<{ eps: number; p?: number }>("layerNorm", ([x, w, b, ...extras], { eps, p }) => {
  if (p === undefined) return layerNorm(x, w, b, eps, ...extras);
  const [residual, rng] = extras.length > 1 ? extras : [undefined, extras[0]];
  return layerNorm(x, w, b, eps, residual, { p, rng });
});
