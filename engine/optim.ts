/** What changes parameters: AdamW, SGD, sums over micro-batches, and the schedule of the learning rate. */
import { check } from "./errors.ts";
import { adamw, gradNorm } from "./ops/adamw.ts";
import { add, div, equal, greater, minimum, mul, sub, where } from "./ops/elementwise.ts";
import { concat, expand, reshape, slice } from "./ops/shape.ts";
import { scalar, state, stateName, type Tensor, tensor, zeroState } from "./tensor.ts";
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
  /** Whether gradients are of a loss that is scaled, `scaled(loss)`, for products in f16; default false. */
  lossScale?: boolean;
  /** What differs for the parameter of this name. */
  rules?: (name: string) => ParameterRule | undefined;
};

/** How one parameter is trained. */
export type ParameterRule = {
  /** Multiplies the learning rate; default 1. */
  readonly rate?: number | undefined;
  /** Its weight decay, whatever `decays` says; default: as the other parameters. */
  readonly weightDecay?: number | undefined;
};

/** Throws for a parameter that cannot be trained. */
function checkTrainable(op: string, parameter: Tensor): void {
  check(parameter.dtype === "f32", op, () => {
    return `${stateName(parameter)} is ${parameter.dtype}; only f32 weights can be trained`;
  });
}

/** Throws unless there is a gradient for each parameter. */
function checkCount(op: string, gradients: readonly Tensor[], parameters: readonly Tensor[]): void {
  check(gradients.length === parameters.length, op, () => {
    return `${gradients.length} gradients for ${parameters.length} parameters`;
  });
}

/** The loss scale at the start, and the steps in a row that have to be taken before it doubles: those of PyTorch's GradScaler. */
const FIRST_SCALE = 65536;
const GROWTH_INTERVAL = 2000;

const zeros = (name: string, like: Tensor): Tensor => zeroState(name, like.shape);

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2019), in place on the device. The learning rate and the
 * bias corrections are an input of the run (`scalars`), so a schedule re-traces nothing.
 */
export class AdamW {
  readonly parameters: readonly Tensor[];
  /** First and second moments, in the order of the parameters: what a checkpoint must keep. */
  readonly moments: readonly { readonly m: Tensor; readonly v: Tensor }[];
  /**
   * f32[2]: the loss scale, a power of two, and the steps that were taken with it; a checkpoint must keep it. A step that is not taken
   * halves the scale, 2000 taken ones double it, as PyTorch's GradScaler does. Undefined without `lossScale`.
   */
  readonly scale: Tensor | undefined;
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #weightDecay: number;
  readonly #decays: (name: string) => boolean;
  readonly #maxNorm: number;
  readonly #rules: (name: string) => ParameterRule | undefined;

  constructor(parameters: readonly Tensor[], options: AdamWOptions = {}) {
    this.parameters = parameters;
    this.#rules = options.rules ?? (() => undefined);
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    const { decays, weightDecay } = options;
    check(decays !== undefined || !weightDecay, "AdamW", () => {
      return `weightDecay is ${weightDecay} without a rule; pass decays, the model's own or () => true for all parameters`;
    });
    this.#weightDecay = weightDecay ?? 0.01;
    this.#decays = decays ?? (() => false);
    this.#maxNorm = options.maxNorm ?? 3e38;
    this.scale = options.lossScale ? state("loss.scale", firstScale(), [2]) : undefined;
    this.moments = parameters.map((p) => {
      checkTrainable("AdamW", p);
      const name = stateName(p);
      return { m: zeros(`${name}.exp_avg`, p), v: zeros(`${name}.exp_avg_sq`, p) };
    });
  }

  /** Inside `compile`: the loss of which the gradients are to be taken. */
  scaled(loss: Tensor): Tensor {
    return this.scale ? mul(loss, reshape(slice(this.scale, 0, 0, 1), [])) : loss;
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
   * @returns f32[4]: clip coefficient, 1 if the step was taken (else 0), the gradient norm before clipping, the loss scale (else 0)
   */
  update(gradients: readonly Tensor[], scalars: Tensor, finite: readonly Tensor[]): Tensor {
    checkCount("AdamW", gradients, this.parameters);
    const control = this.scale
      ? unscaled(gradNorm(gradients, finite, 0), this.scale, this.#maxNorm)
      : gradNorm(gradients, finite, this.#maxNorm);
    const updates = new Map<number, Tensor>();
    const at = (rate: number): Tensor => {
      const factors = [rate, ...new Array<number>(scalars.size - 1).fill(1)];
      const own = rate === 1 ? scalars : mul(scalars, tensor(factors));
      const made = updates.get(rate) ?? concat([control, own], 0);
      updates.set(rate, made);
      return made;
    };
    this.parameters.forEach((p, i) => {
      const { m, v } = this.moments[i];
      const { rate = 1, weightDecay } = this.#rules(stateName(p)) ?? {};
      const [nextP, nextM, nextV] = adamw(p, m, v, gradients[i], at(rate), {
        beta1: this.#betas[0],
        beta2: this.#betas[1],
        eps: this.#eps,
        weightDecay: weightDecay ?? (this.#decays(stateName(p)) ? this.#weightDecay : 0),
      });
      assign(p, nextP);
      assign(m, nextM);
      assign(v, nextV);
    });
    return control;
  }
}

/** What `AdamW.scale` is before the first step. */
export const firstScale = (): Float32Array => Float32Array.of(FIRST_SCALE, 0);

/** The control of gradients of a scaled loss, whose coefficient takes the scale out of them; assigns the next scale. */
function unscaled(control: Tensor, state: Tensor, maxNorm: number): Tensor {
  const at = (t: Tensor, i: number): Tensor => slice(t, 0, i, i + 1);
  const [scale, steps] = [at(state, 0), add(at(state, 1), 1)];
  const taken = at(control, 1);
  const norm = div(at(control, 2), scale);
  const clip = div(minimum(div(tensor([maxNorm]), add(norm, 1e-6)), 1), scale);
  const isTaken = greater(taken, 0);
  const grows = equal(steps, GROWTH_INTERVAL);
  const kept = (grown: Tensor | number, same: Tensor, halved: Tensor | number): Tensor =>
    where(isTaken, where(grows, grown, same), halved);
  assign(state, concat([kept(mul(scale, 2), scale, mul(scale, 0.5)), kept(0, steps, 0)], 0));
  return concat([where(isTaken, clip, 0), taken, norm, scale], 0);
}

export type SGDOptions = {
  /** How much of the last change stays; default 0. */
  momentum?: number;
  /** Nesterov's look ahead, which takes a momentum; default false. */
  nesterov?: boolean;
  /** Added to the gradient, times the parameter, of those that `decays` names; default 0. */
  weightDecay?: number;
  /** As for AdamW; without it all decay. */
  decays?: (name: string) => boolean;
  /** The largest global gradient norm; default: no clipping. */
  maxNorm?: number;
};

/** Stochastic gradient descent with momentum, as PyTorch computes it (no dampening), in place on the device. */
export class SGD {
  readonly parameters: readonly Tensor[];
  /** What a checkpoint must keep, in the order of the parameters; empty without momentum. */
  readonly buffers: readonly Tensor[];
  readonly #options: Required<SGDOptions>;

  constructor(parameters: readonly Tensor[], options: SGDOptions = {}) {
    const { momentum = 0, nesterov = false, weightDecay = 0, decays = () => true } = options;
    this.#options = { momentum, nesterov, weightDecay, decays, maxNorm: options.maxNorm ?? 3e38 };
    this.parameters = parameters;
    check(momentum >= 0 && momentum < 1, "SGD", () => `the momentum ${momentum} is not in [0, 1)`);
    check(weightDecay >= 0, "SGD", () => `weightDecay = ${weightDecay} must be 0 or more`);
    check(!nesterov || momentum > 0, "SGD", () => "nesterov takes a momentum above 0");
    for (const p of parameters) checkTrainable("SGD", p);
    this.buffers =
      momentum > 0 ? parameters.map((p) => zeros(`${stateName(p)}.momentum_buffer`, p)) : [];
  }

  /** The input `scalars` of a step at learning rate `lr`: f32[1]. */
  scalars(lr: number): Float32Array {
    check(Number.isFinite(lr), "SGD", () => `the rate is ${lr}; it must be a finite number`);
    return Float32Array.of(lr);
  }

  /**
   * Inside `compile`: one step on every parameter. Nothing is written when the gradient norm or a value of `finite` is
   * not finite.
   * @param gradients one for each parameter, of its shape
   * @param scalars f32[1], see `scalars()`
   * @param finite f32 tensors (the loss terms) that must be finite
   * @returns f32[4]: clip coefficient, 1 if the step was taken (else 0), the gradient norm before clipping, 0
   */
  update(gradients: readonly Tensor[], scalars: Tensor, finite: readonly Tensor[]): Tensor {
    checkCount("SGD", gradients, this.parameters);
    const { momentum, nesterov, weightDecay, decays, maxNorm } = this.#options;
    const control = gradNorm(gradients, finite, maxNorm);
    const clip = slice(control, 0, 0, 1);
    const taken = greater(slice(control, 0, 1, 2), 0);
    this.parameters.forEach((p, i) => {
      const like = (t: Tensor): Tensor =>
        expand(
          reshape(
            t,
            p.shape.map(() => 1),
          ),
          p.shape,
        );
      let g = mul(gradients[i], like(clip));
      if (weightDecay > 0 && decays(stateName(p))) g = add(g, mul(p, weightDecay));
      const keep = (next: Tensor, old: Tensor): Tensor => where(like(taken), next, old);
      if (momentum > 0) {
        const buffer = this.buffers[i];
        const next = add(mul(buffer, momentum), g);
        assign(buffer, keep(next, buffer));
        g = nesterov ? add(g, mul(next, momentum)) : next;
      }
      assign(p, keep(sub(p, mul(g, like(scalars))), p));
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

/** Warm-up in equal parts to `peak`, then `peak` times what `falling` makes of the steps that are left and those of the fall. */
function warmed(
  step: number,
  total: number,
  warmup: number,
  peak: number,
  falling: (left: number, steps: number) => number,
): number {
  const rise = Math.round(total * warmup);
  if (step <= rise) return (peak * step) / Math.max(1, rise);
  return peak * falling(Math.max(0, total - step + 1), Math.max(1, total - rise));
}

/** Linear warm-up to `peak`, then linear decay to 0 at `total`. `step` counts from 1. */
export const linearSchedule = (step: number, total: number, warmup: number, peak: number): number =>
  warmed(step, total, warmup, peak, (left, steps) => left / steps);

/** Linear warm-up to `peak`, which then stays. `step` counts from 1, as for `linearSchedule`. */
export const constantSchedule = (
  step: number,
  total: number,
  warmup: number,
  peak: number,
): number => warmed(step, total, warmup, peak, () => 1);

/** Linear warm-up to `peak`, then half a cosine down to 0 (Loshchilov and Hutter, 2017). `step` counts from 1, as for `linearSchedule`. */
export const cosineSchedule = (step: number, total: number, warmup: number, peak: number): number =>
  warmed(step, total, warmup, peak, (left, steps) => {
    return (1 + Math.cos((Math.PI * (steps - left)) / steps)) / 2;
  });
