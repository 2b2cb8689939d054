/**
 * A compiled training step: gradients of a loss, AdamW, and a report of what happened. The loop gives it batches; it knows no items,
 * no epochs and no files.
 */
import { compile, type Input, type Result } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { grad } from "../../engine/grad.ts";
import { add, greater, mul, where } from "../../engine/ops/elementwise.ts";
import { concat, expand, reshape, slice } from "../../engine/ops/shape.ts";
import { AdamW, firstScale, GradientAccumulator, type ParameterRule } from "../../engine/optim.ts";
import { scalar, type Tensor, type TypedArray, tensor, zeroState } from "../../engine/tensor.ts";
import { assign } from "../../engine/trace.ts";
import type { Random } from "./random.ts";

/** What is trained, by items whatever they are. `Batch` is a record of tensors. */
export type Task<Item, Batch> = {
  readonly parameters: readonly Tensor[];
  /** Whether weight decay shrinks the parameter of this name: the model's `decays`. */
  readonly decays: (name: string) => boolean;
  /** What differs for the parameter of this name: its rate, its weight decay. */
  readonly rules?: (name: string) => ParameterRule | undefined;
  /** The host's side of a batch of `rows` rows; those behind `items` are padding and must weigh nothing. */
  collate(items: readonly Item[], width: number, rows: number, random: Random): Batch;
  /** Names of the loss terms. */
  readonly terms: readonly string[];
  /** Names of further figures that are logged as means. */
  readonly watched?: readonly string[];
  /**
   * Inside `compile`: the loss [], its terms f32 [terms.length] and the figures f32 [watched.length]; dropout draws from `rng`. All are
   * means over the items: where gradients are accumulated, batches weigh as their items.
   */
  loss(batch: Batch, rng: Tensor): { loss: Tensor; terms: Tensor; watched?: Tensor };
};

/** What of a run's options a step depends on. */
export type LearnerSettings = {
  /** Batches of one width whose gradients make a step together, fewer at the end of a width. Default 1. */
  readonly accumulate?: number;
  readonly weightDecay: number;
  /** Largest global gradient norm. */
  readonly clip: number;
  /** Of AdamW; default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Of AdamW; default 1e-8. */
  readonly eps?: number;
};

/** A batch of a step. */
export type Part<Batch> = {
  readonly batch: Input<Batch>;
  /** What dropout draws from, see `dropoutState`. */
  readonly rng: TypedArray;
  /** Its share of the step's items, 0 to 1. */
  readonly share: number;
};

/**
 * Whether a device goes on with the next step while the host still waits for the report of the last one. Only WebGPU does: the CPU's
 * threads are the host's own. At precision f16 it has to know whether a step was skipped before it gives the next its bias corrections.
 */
export const isAhead = ({ kind, precision }: Device): boolean =>
  kind === "webgpu" && precision !== "f16";

/**
 * What holds a device back that is ahead: not finite once a step was not taken, so that no later one is either until the host has
 * heard of it.
 */
class Latch {
  /** One of the values that must be finite; none where the host hears of each step before the next. */
  readonly state: readonly Tensor[];
  constructor(device: Device) {
    this.state = isAhead(device) ? [zeroState("latch", [1])] : [];
  }
  /** Inside `compile`, with the control of an update. */
  hold(control: Tensor): void {
    const taken = greater(slice(control, 0, 1, 2), 0);
    for (const t of this.state) assign(t, where(taken, t, tensor([Number.NaN])));
  }
}

/** A compiled training step with its optimiser. Kept between runs, its plans and moments are made once. */
export class Learner<Batch> {
  readonly optimizer: AdamW;
  /** A step on one batch. `report` f32: the optimiser's control [4], the loss terms, the watched figures. */
  readonly step: (
    batch: Input<Batch>,
    rng: TypedArray,
    scalars: TypedArray,
  ) => Promise<{ readonly report: Result }>;
  readonly #several: Several<Batch> | undefined;
  readonly #device: Device;
  readonly #latch: Latch;
  #used = false;

  /** @param settings the decay, the largest norm of the gradient, and how many batches make a step */
  constructor(
    device: Device,
    problem: Pick<
      Task<unknown, Batch>,
      "parameters" | "decays" | "rules" | "terms" | "watched" | "loss"
    >,
    { weightDecay, clip, accumulate = 1, betas = [0.9, 0.999], eps = 1e-8 }: LearnerSettings,
  ) {
    const { parameters, decays, rules = () => undefined } = problem;
    const lossScale = device.precision === "f16";
    const options = { weightDecay, decays, rules, betas, eps, maxNorm: clip, lossScale };
    const optimizer = new AdamW(parameters, options);
    const latch = new Latch(device);
    this.optimizer = optimizer;
    this.#device = device;
    this.#latch = latch;
    this.step = compile(device, (batch: Batch, rng: Tensor, scalars: Tensor) => {
      const { loss, terms, watched } = problem.loss(batch, rng);
      const gradients = grad(optimizer.scaled(loss), [...parameters]);
      const control = optimizer.update(gradients, scalars, [terms, ...latch.state]);
      latch.hold(control);
      return { report: concat([control, terms, ...(watched ? [watched] : [])], 0) };
    });
    this.#several = accumulate > 1 ? new Several(device, problem, optimizer, latch) : undefined;
  }

  /** A step on the items of all parts; `report` as of `step`, the means over them. */
  async take(
    parts: readonly Part<Batch>[],
    scalars: TypedArray,
  ): Promise<{ readonly report: Result }> {
    const [{ batch, rng }] = parts;
    return this.#several?.step(parts, scalars) ?? this.step(batch, rng, scalars);
  }

  /** Moments of zero, and the first loss scale, as at the start. */
  begin(): void {
    const { moments: all, scale } = this.optimizer;
    const moments = all.flatMap(({ m, v }) => [m, v]);
    const states = [...moments, ...this.#latch.state, ...(this.#several?.states ?? [])];
    if (this.#used && scale) this.#device.write(scale, firstScale());
    for (const t of this.#used ? states : []) this.#device.write(t, new Float32Array(t.size));
    this.#used = true;
  }
}

/** A step whose gradients are sums over batches, each a run of its own: one buffer a parameter, zero between two steps. */
class Several<Batch> {
  /** The sums. */
  readonly states: readonly Tensor[];
  readonly #collect: (
    batch: Input<Batch>,
    rng: TypedArray,
    share: TypedArray,
  ) => Promise<Readonly<Record<string, never>>>;
  readonly #update: (scalars: TypedArray) => Promise<{ readonly report: Result }>;

  constructor(
    device: Device,
    problem: Pick<Task<unknown, Batch>, "parameters" | "terms" | "watched" | "loss">,
    optimizer: AdamW,
    latch: Latch,
  ) {
    const { parameters, terms: names, watched: more = [] } = problem;
    const sums = new GradientAccumulator(parameters);
    const figures = zeroState("loss.sum", [names.length + more.length]);
    this.states = [...sums.sums, figures];
    this.#collect = compile(device, (batch: Batch, rng: Tensor, share: Tensor) => {
      const { loss, terms, watched } = problem.loss(batch, rng);
      const own = watched ? concat([terms, watched], 0) : terms;
      const scaled = optimizer.scaled(mul(loss, reshape(share, [])));
      sums.add(grad(scaled, [...parameters]));
      assign(figures, add(figures, mul(own, share)));
      return {};
    });
    this.#update = compile(device, (scalars: Tensor) => {
      const control = optimizer.update(sums.sums, scalars, [figures, ...latch.state]);
      latch.hold(control);
      for (const t of this.states) assign(t, expand(scalar(0), t.shape));
      return { report: concat([control, figures], 0) };
    });
  }

  async step(
    parts: readonly Part<Batch>[],
    scalars: TypedArray,
  ): Promise<{ readonly report: Result }> {
    for (const { batch, rng, share } of parts) {
      await this.#collect(batch, rng, Float32Array.of(share));
    }
    return this.#update(scalars);
  }
}
