import { linear } from "../../engine/ops/matmul.ts";
import { opcheck } from "../opcheck.ts";

type Parts = { bias: boolean; gelu: boolean; residual: boolean };

opcheck<Parts>("linear", ([x, w, ...rest], parts) => {
  const bias = parts.bias ? rest[0] : undefined;
  return linear(x, w, bias, {
    ...(parts.gelu ? { activation: "gelu" } : {}),
    ...(parts.residual ? { residual: rest[rest.length - 1] } : {}),
  });
});
