/** What changes parameters: AdamW, sums over micro-batches, and the schedule of the learning rate. */
import { check } from "./errors.ts";
import { adamw, gradNorm } from "./ops/adamw.ts";
import { add, mul } from "./ops/elementwise.ts";
import { expand } from "./ops/shape.ts";
import { scalar, stateName, type Tensor, zeroState } from "./tensor.ts";
import { assign } from "./trace.ts";

export type AdamWOptions = {
  /** Decay rates of the two moments; default 0.9 and 0.999. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay of the parameters that `decays` names; default 0.01. */
  weightDecay?: number;
  /**
   * Whether weight decay shrinks the parameter of this name: a model's own rule, `model.decays`, or `() => true`. Without
   * a rule nothing decays, and a `weightDecay` above 0 is refused.
   */
  decays?: (name: string) => boolean;
  /** The largest global gradient norm; default: no clipping. */
  maxNorm?: number;
};

const zeros = (name: string, like: Tensor): Tensor => zeroState(name, like.shape);

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2019), in place on the device. The learning rate and the
 * bias corrections are an input of the run (`scalars`), so a schedule re-traces nothing.
 */
export class AdamW {
  readonly parameters: readonly Tensor[];
  /** First and second moments, in the order of the parameters: what a checkpoint must keep. */
  readonly moments: readonly { readonly m: Tensor; readonly v: Tensor }[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #weightDecay: number;
  readonly #decays: (name: string) => boolean;
  readonly #maxNorm: number;

  constructor(parameters: readonly Tensor[], options: AdamWOptions = {}) {
    this.parameters = parameters;
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    const { decays, weightDecay } = options;
    check(decays !== undefined || !weightDecay, "AdamW", () => {
      return `weightDecay is ${weightDecay} without a rule; pass decays, the model's own or () => true for all parameters`;
    });
    this.#weightDecay = weightDecay ?? 0.01;
    this.#decays = decays ?? (() => false);
    this.#maxNorm = options.maxNorm ?? 3e38;
    this.moments = parameters.map((p) => {
      const name = stateName(p);
      check(
        p.dtype === "f32",
        "AdamW",
        () => `${name} is ${p.dtype}; only f32 weights can be trained`,
      );
      return { m: zeros(`${name}.exp_avg`, p), v: zeros(`${name}.exp_avg_sq`, p) };
    });
  }

  /** The input `scalars` of the step numbered `step` (from 1) at learning rate `lr`: f32[8]. */
  scalars(step: number, lr: number): Float32Array {
    check(
      Number.isInteger(step) && step > 0 && Number.isFinite(lr),
      "AdamW",
      () => `step ${step} at the rate ${lr}: steps count from 1, and the rate is a finite number`,
    );
    const [b1, b2] = this.#betas;
    return Float32Array.of(lr, 1 / (1 - b1 ** step), 1 / (1 - b2 ** step), 0, 0, 0, 0, 0);
  }

  /**
   * Inside `compile`: one step on every parameter. Nothing is written when the gradient norm or a value of `finite` is
   * not finite.
   * @param gradients one for each parameter, of its shape
   * @param scalars f32[8], see `scalars()`
   * @param finite f32 tensors (the loss terms) that must be finite
   * @returns f32[4]: clip coefficient, 1 if the step was taken (else 0), the gradient norm before clipping, 0
   */
  update(gradients: readonly Tensor[], scalars: Tensor, finite: readonly Tensor[]): Tensor {
    check(
      gradients.length === this.parameters.length,
      "AdamW",
      () => `${gradients.length} gradients for ${this.parameters.length} parameters`,
    );
    const control = gradNorm(gradients, finite, this.#maxNorm);
    this.parameters.forEach((p, i) => {
      const { m, v } = this.moments[i];
      const [nextP, nextM, nextV] = adamw(p, m, v, gradients[i], scalars, control, {
        beta1: this.#betas[0],
        beta2: this.#betas[1],
        eps: this.#eps,
        weightDecay: this.#decays(stateName(p)) ? this.#weightDecay : 0,
      });
      assign(p, nextP);
      assign(m, nextM);
      assign(v, nextV);
    });
    return control;
  }
}

/** Sums gradients over micro-batches, on the device. */
export class GradientAccumulator {
  readonly sums: readonly Tensor[];
  constructor(parameters: readonly Tensor[]) {
    this.sums = parameters.map((p) => zeros(`${stateName(p)}.grad`, p));
  }
  /** Inside `compile`: adds the gradients of one micro-batch. */
  add(gradients: readonly Tensor[]): void {
    gradients.forEach((g, i) => {
      assign(this.sums[i], add(this.sums[i], g));
    });
  }
  /** Inside `compile`: the sums with the last micro-batch, times `scale`; the sums start again at zero. */
  take(gradients: readonly Tensor[], scale: number): Tensor[] {
    return gradients.map((g, i) => {
      const sum = mul(add(this.sums[i], g), scale);
      assign(this.sums[i], expand(scalar(0), this.sums[i].shape));
      return sum;
    });
  }
}

/** Linear warm-up to `peak`, then linear decay to 0 at `total`. `step` counts from 1. */
export function linearSchedule(step: number, total: number, warmup: number, peak: number): number {
  const rise = Math.round(total * warmup);
  if (step <= rise) return (peak * step) / Math.max(1, rise);
  return peak * Math.max(0, (total - step + 1) / Math.max(1, total - rise));
}
