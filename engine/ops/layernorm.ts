/** Layer normalisation with its residual and dropout, and its gradient. */
import { check } from "../errors.ts";
import { nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply, apply1, type Tensor } from "../tensor.ts";
import {
  type DropoutAttrs,
  dropoutOp,
  dropoutParams,
  type InnerDropout,
  innerDropout,
  splitRandomState,
} from "./dropout.ts";
import { add, div, mul, sqrt, square, sub } from "./elementwise.ts";
import { mean } from "./reduce.ts";
import { rowsOf } from "./softmax.ts";

type LayerNormAttrs = DropoutAttrs & { readonly eps: number };

/**
 * s = x + residual, x after dropout; xhat = (s - mean s) / sqrt(var s + eps), y = xhat * weight + bias, along the last axis.
 * Inputs: x, weight, bias, maybe residual, maybe rng. Outputs: y, xhat, and 1 / sqrt(var s + eps) of each row.
 */
export const layerNormOp: Op = {
  name: "layerNorm",
  infer: ([x, weight, bias, ...extras], attrs) => {
    const { other: residual } = splitRandomState(extras, attrs as LayerNormAttrs);
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
  grad: ({ node, inputs: [, weight, , ...extras], outputs: [, xhat, rstd], upstream, needs }) => {
    const [dy] = upstream;
    if (!dy) return [];
    const attrs = node.attrs as LayerNormAttrs;
    const { other: residual, rng } = splitRandomState(extras, attrs);
    // without dropout x and the residual have one gradient
    const [ds, dx = ds] =
      needs[0] || (residual && needs[3])
        ? apply(layerNormBackwardOp, [dy, xhat, rstd, weight, ...(rng ? [rng] : [])], attrs)
        : [];
    const group = "layerNorm";
    const sums = [
      { columns: dy, times: xhat, group },
      { columns: dy, group },
    ];
    return [dx, ...sums, residual && ds];
  },
  launch: ({ node, inputs: [x, weight, bias, ...extras], outputs }) => {
    const attrs = node.attrs as LayerNormAttrs;
    const { other: residual = null, rng = null } = splitRandomState(extras, attrs);
    return [
      {
        kernel: "layernorm",
        constants: { HAS_RESIDUAL: residual ? 1 : 0, DROPOUT: rng ? 1 : 0 },
        params: { ...rowsOf("layerNorm", x), eps: attrs.eps, firstRow: 0, ...dropoutParams(attrs) },
        inputs: [x, residual, weight, bias],
        outputs,
        uniform: rng,
      },
    ];
  },
  twin: ([x, weight, bias, ...extras], attrs) => {
    const { p, index, eps } = attrs as LayerNormAttrs;
    const { other: residual, rng } = splitRandomState(extras, attrs as LayerNormAttrs);
    const left = rng ? apply1(dropoutOp, [x, rng], { p, index }) : x;
    const s = residual ? add(left, residual) : left;
    const rough = sub(s, mean(s, -1, { keepdims: true }));
    const centred = sub(rough, mean(rough, -1, { keepdims: true })); // what rounding took from a large mean
    const variance = mean(square(centred), -1, { keepdims: true });
    const xhat = div(centred, sqrt(add(variance, eps)));
    return [add(mul(xhat, weight), bias)];
  },
};

/**
 * g = dy * weight; ds = rstd * (g - mean g - xhat * mean(g * xhat)); dx is ds after dropout.
 * Inputs: dy, xhat, rstd, weight, maybe rng. Outputs: ds, and where there was dropout dx.
 */
const layerNormBackwardOp: Op = {
  name: "layerNormBackward",
  infer: ([dy], { p }) => {
    const like = { shape: dy.shape, dtype: "f32" as const };
    return p === 0 ? [like] : [like, like];
  },
  grad: nondifferentiable("second derivatives are not built"),
  launch: ({ node, inputs: [dy, xhat, rstd, weight, rng = null], outputs: [ds, dx = null] }) => [
    {
      kernel: "layernorm_backward",
      constants: { DROPOUT: rng ? 1 : 0 },
      params: {
        ...rowsOf("layerNorm", dy),
        firstRow: 0,
        ...dropoutParams(node.attrs as LayerNormAttrs),
      },
      inputs: [dy, xhat, rstd, weight],
      outputs: [ds, dx],
      uniform: rng,
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
 * @param dropout of x, before the sum
 */
export const layerNorm = (
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  eps: number,
  residual?: Tensor,
  dropout?: InnerDropout,
): Tensor => {
  // below 1.2e-38 a GPU may see 0, and rows that do not vary become NaN
  check(eps >= 1.2e-38 && eps <= 3.4e38, "layerNorm", () => {
    return `eps = ${eps} is no positive number that f32 holds; use the checkpoint's, often 1e-5 or 1e-12`;
  });
  const drop = innerDropout("layerNorm", dropout);
  const inputs = [x, weight, bias, ...(residual ? [residual] : []), ...drop.inputs];
  return apply(layerNormOp, inputs, { eps, ...drop.attrs })[0];
};
