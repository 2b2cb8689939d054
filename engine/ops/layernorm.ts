/** Layer normalisation with its residual, and its gradient. */
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply, apply1, type Tensor } from "../tensor.ts";
import { add, div, mul, sqrt, square, sub } from "./elementwise.ts";
import { mean } from "./reduce.ts";
import { rowsOf } from "./softmax.ts";

/**
 * s = x + residual; xhat = (s - mean s) / sqrt(var s + eps), y = xhat * weight + bias, along the last axis.
 * Inputs: x, weight, bias, and maybe residual. Outputs: y, xhat, and 1 / sqrt(var s + eps) of each row.
 */
export const layerNormOp: Op = {
  name: "layerNorm",
  infer: (inputs) => {
    const [x, weight, bias, residual] = inputs;
    const { rows, cols } = rowsOf("layerNorm", x);
    for (const [name, t] of [["weight", weight] as const, ["bias", bias] as const]) {
      check(
        t.dtype === "f32" && sameShape(t.shape, [cols]),
        "layerNorm",
        () => `the ${name} ${t.dtype}${show(t.shape)} must be f32[${cols}], the last axis of x`,
      );
    }
    check(
      !residual || (residual.dtype === "f32" && sameShape(residual.shape, x.shape)),
      "layerNorm",
      () => `the residual ${residual} must have the shape of x, ${show(x.shape)}`,
    );
    const like = { shape: x.shape, dtype: "f32" as const };
    return [like, like, { shape: [rows], dtype: "f32" }];
  },
  grad: ({ inputs, outputs: [, xhat, rstd], upstream: [dy], needs }) => {
    if (!dy) return [];
    const [, weight] = inputs;
    const dx =
      needs[0] || needs[3] ? apply1(layerNormBackwardOp, [dy, xhat, rstd, weight]) : undefined;
    const group = "layerNorm";
    return [dx, { columns: dy, times: xhat, group }, { columns: dy, group }, dx];
  },
  launch: ({ node, inputs: [x, weight, bias, residual], outputs }) => [
    {
      kernel: "layernorm",
      constants: { HAS_RESIDUAL: residual ? 1 : 0 },
      params: { ...rowsOf("layerNorm", x), eps: node.attrs.eps as number },
      inputs: [x, residual ?? null, weight, bias],
      outputs,
    },
  ],
  twin: ([x, weight, bias, residual], attrs) => {
    const s = residual ? add(x, residual) : x;
    const rough = sub(s, mean(s, -1, { keepdims: true }));
    const centred = sub(rough, mean(rough, -1, { keepdims: true })); // what rounding took from a large mean
    const variance = mean(square(centred), -1, { keepdims: true });
    const xhat = div(centred, sqrt(add(variance, attrs.eps as number)));
    return [add(mul(xhat, weight), bias)];
  },
};

/** g = dy * weight; dx = rstd * (g - mean g - xhat * mean(g * xhat)). */
const layerNormBackwardOp: Op = {
  name: "layerNormBackward",
  infer: ([dy]) => [{ shape: dy.shape, dtype: "f32" }],
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ inputs: [dy, xhat, rstd, weight], outputs: [dx] }) => [
    {
      kernel: "layernorm_backward",
      params: rowsOf("layerNorm", dy),
      inputs: [dy, xhat, rstd, weight],
      outputs: [dx],
    },
  ],
};

/**
 * Layer normalisation of x + residual over the last axis, with the biased variance, as PyTorch.
 * @param x f32 [..., N]
 * @param weight f32 [N]
 * @param bias f32 [N]
 * @param eps added to the variance; positive
 * @param residual f32 [..., N]; its sum with x is what is normalised
 */
export const layerNorm = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  eps: number,
  residual?: Tensor,
): Tensor => {
  // below 1.2e-38 a GPU may see 0, and rows that do not vary become NaN
  check(eps >= 1.2e-38 && eps <= 3.4e38, "layerNorm", () => {
    return `eps = ${eps} is no positive number that f32 holds; use the checkpoint's, often 1e-5 or 1e-12`;
  });
  return apply(layerNormOp, residual ? [x, weight, bias, residual] : [x, weight, bias], { eps })[0];
};
