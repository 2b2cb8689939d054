/** When a training takes which rate, and when it asks the dev facts: all of it follows from the settings and the steps of each epoch. */
import { constantSchedule, cosineSchedule, linearSchedule } from "../../engine/optim.ts";

/** What the rate does behind the warm-up, in the words of transformers. */
export type Shape = "linear" | "cosine" | "constant";

const SHAPES: Readonly<Record<Shape, typeof linearSchedule>> = {
  linear: linearSchedule,
  cosine: cosineSchedule,
  constant: constantSchedule,
};

export type ScheduleSettings = {
  readonly epochs: number;
  /** The most steps; the schedule is laid over those that are taken. 0, the default: those of all epochs. */
  readonly maxSteps?: number;
  /** Peak learning rate. */
  readonly lr: number;
  /** Share of the steps in which the rate rises from 0. */
  readonly warmup: number;
  /** Behind it: falls to 0 in a line, in half a cosine, or stays. Default linear. */
  readonly schedule?: Shape;
  /** Evaluations of each epoch, beside that before the first step. */
  readonly evaluationsPerEpoch: number;
  /** Steps between two evaluations, in place of `evaluationsPerEpoch`; the last step is evaluated too. 0, the default: none. */
  readonly evalEvery?: number;
  /** Evaluations without a better one after which the training ends. 0, the default: it goes to its last step. */
  readonly patience?: number;
};

/** Where a training stands, as far as its schedule asks. */
export type Stand = {
  readonly step: number;
  /** The last step that was evaluated. */
  readonly evaluated: number;
  readonly best: { readonly step: number } | null;
  /** The last step before the training was extended, if it was. */
  readonly extended?: number | undefined;
};

/** The steps of a training. */
export class Schedule {
  readonly settings: ScheduleSettings;
  /** Steps before each epoch that is begun, and behind the last of them. */
  readonly starts: readonly number[];
  /** Steps of all. */
  readonly total: number;
  /** The numbers of steps after which the dev facts are asked. */
  readonly evaluations: ReadonlySet<number>;

  /** @param stepsOf the steps that an epoch has, from 0 */
  constructor(settings: ScheduleSettings, stepsOf: (epoch: number) => number) {
    const { epochs, evaluationsPerEpoch, evalEvery = 0, maxSteps = 0 } = settings;
    const most = maxSteps > 0 ? maxSteps : Number.POSITIVE_INFINITY;
    const starts = [0];
    const evaluations = new Set<number>([0]);
    for (let epoch = 0; epoch < epochs && starts[epoch] < most; epoch++) {
      const steps = stepsOf(epoch);
      for (let k = 1; k <= evaluationsPerEpoch && evalEvery === 0; k++) {
        evaluations.add(
          Math.min(most, starts[epoch] + Math.ceil((k * steps) / evaluationsPerEpoch)),
        );
      }
      starts.push(starts[epoch] + steps);
    }
    this.settings = settings;
    this.starts = starts;
    this.total = Math.min(most, starts[starts.length - 1]);
    for (let at = evalEvery; evalEvery > 0 && at < this.total; at += evalEvery) evaluations.add(at);
    if (evalEvery > 0) evaluations.add(this.total);
    this.evaluations = evaluations;
  }

  /** The epoch of the step after `step` steps. */
  epochAt(step: number): number {
    return this.starts.findLastIndex((start) => start <= step);
  }

  /**
   * The learning rate of a step, from 1.
   * @param extended the last step before an extension: the rate then falls anew from its peak behind it, without a warm-up
   */
  rate(step: number, extended?: number): number {
    const { lr, warmup, schedule = "linear" } = this.settings;
    const rate = SHAPES[schedule];
    return extended === undefined
      ? rate(step, this.total, warmup, lr)
      : rate(step - extended, this.total - extended, 0, lr);
  }

  isDue({ step, evaluated }: Stand): boolean {
    return this.evaluations.has(step) && evaluated < step;
  }

  /** Evaluations that are still to come. */
  evaluationsLeft({ evaluated }: Stand): number {
    return [...this.evaluations].filter((at) => at > evaluated).length;
  }

  /** Whether patience has ended it before its last step; an extension counts anew. */
  isOut({ step, evaluated, best, extended = -1 }: Stand): boolean {
    const { patience = 0 } = this.settings;
    if (patience === 0 || step >= this.total) return false;
    const since = Math.max(best?.step ?? -1, extended);
    return [...this.evaluations].filter((at) => at > since && at <= evaluated).length >= patience;
  }
}
