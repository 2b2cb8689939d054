/** What a training step does after the gradients: their global norm, and AdamW in place. */
import { SQUARES_CHUNK } from "../../kernels/manifest.ts";
import { check } from "../errors.ts";
import { type Launch, nondifferentiable, type Op } from "../op.ts";
import { sameShape, show } from "../shape.ts";
import { apply, apply1, type Tensor } from "../tensor.ts";

export type AdamWOptions = {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled: param -= lr * weightDecay * param. */
  readonly weightDecay: number;
};

/** Inputs: param, m, v, grad, update. Outputs: the new param, m and v, in the memory of the old ones. */
export const adamwOp: Op = {
  name: "adamw",
  infer: (inputs) => {
    const [param, m, v, grad, update] = inputs;
    for (const t of [param, m, v, grad]) {
      check(
        t.dtype === "f32" && sameShape(t.shape, param.shape),
        "adamw",
        () => `${t} must be f32${show(param.shape)}, as the parameter`,
      );
    }
    check(
      update.dtype === "f32" && update.size === 12,
      "adamw",
      () => `${update} must be f32[12], the control of gradNorm and the scalars of the step`,
    );
    return [param, m, v].map((t) => ({ shape: t.shape, dtype: t.dtype }));
  },
  grad: nondifferentiable("an update is not differentiated"),
  donates: () => ({ 0: 0, 1: 1, 2: 2 }),
  launch: ({ node, inputs: [, , , grad, update], outputs }) => {
    const { beta1, beta2, eps, weightDecay } = node.attrs as AdamWOptions;
    return [
      {
        kernel: "adamw",
        params: { n: grad.size, beta1, beta2, eps, weightDecay },
        inputs: [grad, update],
        inouts: outputs,
        outputs: [],
      },
    ];
  },
};

/**
 * One step of AdamW (Loshchilov and Hutter, 2019), as PyTorch computes it: g = grad * clip; m, v are the moving averages of g
 * and g^2; param -= lr * weightDecay * param; param -= lr * mhat / (sqrt(vhat) + eps).
 * @param update f32[12]: the control of `gradNorm`, [clip, ok, norm, 0], where nothing changes if ok is 0; then
 * [lr, 1 / (1 - beta1^t), 1 / (1 - beta2^t), ...]
 * @returns the new [param, m, v], written in place where nobody reads the old values later
 */
export const adamw = (
  param: Tensor,
  m: Tensor,
  v: Tensor,
  grad: Tensor,
  update: Tensor,
  options: AdamWOptions,
): [Tensor, Tensor, Tensor] => {
  const { beta1, beta2, eps, weightDecay } = options;
  for (const beta of [beta1, beta2]) {
    check(beta >= 0 && beta < 1, "adamw", () => `the beta ${beta} is not in [0, 1)`);
  }
  for (const [name, value] of Object.entries({ eps, weightDecay })) {
    check(value >= 0 && value <= 3.4e38, "adamw", () => `${name} = ${value} must be 0 or more`);
  }
  const inputs = [param, m, v, grad, update];
  const [p1, m1, v1] = apply(adamwOp, inputs, { beta1, beta2, eps, weightDecay });
  return [p1, m1, v1];
};

/** Inputs: the gradients, then what else must be finite. Output: control f32[4] = [clip, ok, norm, 0]. */
export const gradNormOp: Op = {
  name: "gradNorm",
  infer: (inputs) => {
    for (const t of inputs) check(t.dtype === "f32", "gradNorm", () => `${t} must be f32`);
    return [{ shape: [4], dtype: "f32" }];
  },
  grad: nondifferentiable("an update is not differentiated"),
  launch: ({ node, inputs, outputs, temp }) => {
    const chunks = inputs.map((t) => Math.ceil(t.size / SQUARES_CHUNK));
    const count = chunks.reduce((a, b) => a + b, 0);
    const partials = temp({ shape: [count, 2], dtype: "f32" });
    let at = 0;
    const sums = inputs.map((t, i): Launch => {
      const params = { n: t.size, rows: chunks[i], at };
      at += chunks[i];
      return {
        kernel: "square_sums",
        constants: { SQUARES: i < (node.attrs.grads as number) ? 1 : 0 },
        params,
        inputs: [t],
        outputs: [partials],
      };
    });
    const params = { rows: 1, count, maxNorm: node.attrs.maxNorm as number };
    return [...sums, { kernel: "grad_norm", params, inputs: [partials], outputs }];
  },
};

/**
 * The global norm of all gradients together, and whether a step may be taken.
 * @param grads f32, any shapes
 * @param finite f32 tensors (loss terms) whose elements must be finite as well
 * @param maxNorm gradients are to be scaled to this norm where theirs is larger; Infinity or 0 for no clipping
 * @returns control f32[4] = [min(1, maxNorm / (norm + 1e-6)), 1 if everything is finite else 0, norm, 0]; the norm leaves out
 * what is not finite
 */
export const gradNorm = (
  grads: readonly Tensor[],
  finite: readonly Tensor[],
  maxNorm: number,
): Tensor => {
  check(maxNorm >= 0, "gradNorm", () => `the largest norm ${maxNorm} must not be negative`);
  const attrs = { grads: grads.length, maxNorm: Number.isFinite(maxNorm) ? maxNorm : 0 };
  return apply1(gradNormOp, [...grads, ...finite], attrs);
};
