import type { Activation } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { opcheck } from "../opcheck.ts";

type Parts = { bias: boolean; gelu: boolean; residual: boolean; activation?: Activation };

opcheck<Parts>("linear", ([x, w, ...rest], parts) => {
  const bias = parts.bias ? rest[0] : undefined;
  const activation = parts.gelu ? "gelu" : parts.activation;
  return linear(x, w, bias, {
    ...(activation ? { activation } : {}),
    ...(parts.residual ? { residual: rest[rest.length - 1] } : {}),
  });
});
