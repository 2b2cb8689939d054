/** What a training takes: its seconds by what they went into, and an estimate of what is left. */

/** Wall-clock seconds. */
export type Seconds = {
  /** Of steps, plans that were made in them included. */
  readonly training: number;
  /** Of evaluations on the dev facts. */
  readonly evaluating: number;
};

/** What is still to do, and how long each of it takes. */
export type Estimate = {
  readonly steps: number;
  /** Seconds a step. */
  readonly step: number;
  readonly evaluations: number;
  /** Seconds an evaluation; undefined before the first. */
  readonly evaluation: number | undefined;
};

/** Steps before the rest is estimated. */
const ENOUGH = 10;

/** Seconds of everything that an estimate speaks of. */
export const secondsLeft = ({ steps, step, evaluations, evaluation = 0 }: Estimate): number =>
  steps * step + evaluations * evaluation;

/** A run's clock. */
export class Pace {
  #training = 0;
  #evaluating = 0;
  /** Steps of this process, and the seconds of those in which no plan was made. */
  #steps = 0;
  #measured = { steps: 0, seconds: 0 };
  #evaluation: number | undefined;

  /** Goes on from what an earlier process has taken. */
  resume({ training, evaluating }: Seconds): void {
    this.#training += training;
    this.#evaluating += evaluating;
  }

  /** @param first whether a plan was made in it */
  step(seconds: number, first: boolean): void {
    this.#training += seconds;
    this.#steps++;
    if (first) return;
    this.#measured.steps++;
    this.#measured.seconds += seconds;
  }

  evaluation(seconds: number): void {
    this.#evaluating += seconds;
    this.#evaluation = seconds;
  }

  get seconds(): Seconds {
    return { training: this.#training, evaluating: this.#evaluating };
  }

  /** What so many steps and evaluations will take, by the steps of this process; undefined before there are ten. */
  left(steps: number, evaluations: number): Estimate | undefined {
    const measured = this.#measured;
    if (this.#steps < ENOUGH || measured.steps === 0) return undefined;
    const step = measured.seconds / measured.steps;
    return { steps, step, evaluations, evaluation: this.#evaluation };
  }
}
