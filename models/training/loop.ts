/**
 * The training loop: batches, schedule, clipped AdamW steps, evaluations, checkpoints, exact resume. It knows no model;
 * `fit` makes a problem for it of a model and a loss, PromptGen and the pre-training of its two models are others.
 *
 * Everything random is a function of (seed, epoch) or (seed, step), so a run that was stopped after any step goes on with the same bits.
 */
import type { Input } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { seedWords } from "../../engine/philox.ts";
import { sameShape, show } from "../../engine/shape.ts";
import { stateName, type Tensor } from "../../engine/tensor.ts";
import { readFloat32 } from "../formats/safetensors.ts";
import { epochGroups, type Group, groups } from "./buckets.ts";
import { isAhead, Learner, type LearnerSettings, type Part, type Task } from "./learner.ts";
import { type Estimate, Pace } from "./pace.ts";
import { dropoutState, Random } from "./random.ts";
import type { JsonObject, LogRow, RunFolder } from "./run-folder.ts";
import { Schedule, type ScheduleSettings } from "./schedule.ts";

/** Items in memory. */
export type Items<Item> = {
  /** The items of an epoch (from 0); the same list each time it is asked for the same epoch. */
  items(epoch: number): readonly Item[];
  width(item: Item): number;
  /** Bucket widths, ascending; see `bucketWidths`. */
  readonly buckets: readonly number[];
};

/** Items that are too many for the memory: the batches of an epoch one by one, each when it is its turn. */
export type Stored<Item> = {
  /** Groups of up to `size` items that an epoch has, the same in all of them. */
  groupsOf(size: number): number;
  /** One of them, from 0; each item is in one group of an epoch, which (seed, epoch) decides. */
  group(
    size: number,
    seed: number,
    epoch: number,
    position: number,
  ): Group<Item> | Promise<Group<Item>>;
};

/** What is trained, on what. */
export type Problem<Item, Batch> = Task<Item, Batch> & Items<Item>;

/** A problem whose items are read as they are needed. */
export type StoredProblem<Item, Batch> = Task<Item, Batch> & Stored<Item>;

/** The options that decide the weights. */
export type LoopSettings = ScheduleSettings &
  LearnerSettings & {
    readonly batchSize: number;
    readonly seed: number;
  };

/** What an evaluation found. */
export type Evaluation = {
  /** The larger the better. */
  readonly score: number;
  /** Goes into the log. */
  readonly figures: JsonObject;
};

/** One finished step. */
export type StepReport = {
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  /** Items of its batches, without padding. */
  readonly items: number;
  /** That it took: training alone, no evaluation and no save. */
  readonly seconds: number;
  /** Whether it was the first of its width in this process, in which a plan is made. */
  readonly first: boolean;
  /** What is still to do; from the tenth step of this process on. */
  readonly left: Estimate | undefined;
  readonly terms: Readonly<Record<string, number>>;
  /** Further figures of the step, where there are some. */
  readonly watched?: Readonly<Record<string, number>> | undefined;
  /** That the step was taken with; undefined where there is none. */
  readonly learningRate?: number | undefined;
  /** Before clipping; undefined where no gradient was taken, or one that is not finite. */
  readonly gradientNorm?: number | undefined;
  /** That the loss was multiplied by, at precision f16. */
  readonly lossScale?: number | undefined;
};

export type LoopOptions<Item, Batch> = {
  readonly device: Device;
  readonly problem: Problem<Item, Batch> | StoredProblem<Item, Batch>;
  readonly settings: LoopSettings;
  /** One that an earlier run of an equal problem has left; it starts anew. One of its own when left out. */
  readonly learner?: Learner<Batch> | undefined;
  /** Where checkpoints and the log go; without it nothing is written. */
  readonly folder?: RunFolder | undefined;
  /** A fingerprint of the configuration: a checkpoint with another one is refused. */
  readonly identity?: string | undefined;
  /** Fingerprints that it had before it was extended: a checkpoint with one of them is that of a run with fewer epochs, which ended. */
  readonly earlier?: readonly string[] | undefined;
  /** Goes on from the folder's last checkpoint. */
  readonly resume?: boolean | undefined;
  /** Steps between two saves of the last checkpoint, beside those at evaluations. Default 50. */
  readonly saveEvery?: number | undefined;
  /** Stops after the running step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Gives undefined when the signal stopped it. */
  evaluate?(): Promise<Evaluation | undefined>;
  /** Called with the weights of a new best evaluation on the device. */
  saveBest?(): Promise<void>;
  onStep?(report: StepReport): void;
  onEvaluation?(row: LogRow): void;
};

export type Outcome = {
  /** Steps taken, those before a resume included. */
  readonly step: number;
  readonly steps: number;
  /** False when the signal stopped the run. */
  readonly finished: boolean;
  readonly best: Best | undefined;
  /** Trainings that patience ended before their last step. */
  readonly early?: number;
};

export type Best = {
  readonly step: number;
  readonly score: number;
};

/** A loss term or the gradient was not finite. The weights are those before the step. */
export class NotFiniteError extends Error {
  override name = "NotFiniteError";
  readonly step: number;
  readonly term: string;
  constructor(step: number, term: string, what: string) {
    // the rate of a step counts only in the steps behind it
    const remedy =
      step === 1
        ? "nothing was trained before it, so the models' files or the data are the cause"
        : "try a smaller learning rate (lr, --lr), or DEBUG=nan, which names the op";
    super(`[train] step ${step}: ${what}; ${remedy}`);
    this.step = step;
    this.term = term;
  }
}

const COLLATE = 3; // purpose of the seed

/** Where a run stands; what a checkpoint holds beside tensors. */
type Progress = {
  step: number;
  epoch: number;
  /** Batches of the epoch that are done. */
  position: number;
  /** The last step after which an evaluation ran; -1 before the first. */
  evaluated: number;
  best: Best | null;
  /** Sums since the last evaluation. */
  window: { steps: number; sums: number[]; norm: number; largestNorm: number };
  /** The last step before the run was extended. */
  extended?: number;
  /** Steps that were not taken, each of which halved the loss scale. */
  skipped?: number;
};

/** A step that the device was given. */
type Flight = {
  readonly step: number;
  readonly done: Omit<Taken<never>, "parts">;
  readonly lr: number;
  readonly begun: number;
  readonly report: Promise<ArrayLike<number>>;
};

/** The batches of a step, and where it stands in its epoch. */
type Taken<Batch> = {
  readonly parts: readonly Part<Batch>[];
  readonly items: number;
  readonly width: number;
  readonly epoch: number;
  readonly position: number;
};

const emptyWindow = (figures: number): Progress["window"] => ({
  steps: 0,
  sums: new Array<number>(figures).fill(0),
  norm: 0,
  largestNorm: 0,
});

/**
 * Trains until the last epoch is done or the signal comes.
 * @throws NotFiniteError when a loss term or the gradient is not finite; the checkpoints stay as they are
 */
export async function train<Item, Batch>(options: LoopOptions<Item, Batch>): Promise<Outcome> {
  return new Loop(options).run();
}

class Loop<Item, Batch> {
  readonly #o: LoopOptions<Item, Batch>;
  readonly #learner: Learner<Batch>;
  readonly #schedule: Schedule;
  /** Names of what a step reports: terms, then watched figures. */
  readonly #names: readonly string[];
  readonly #pace = new Pace();
  readonly #widths = new Set<number>();
  /** When the last report came. */
  #landed = 0;
  #progress: Progress;
  /** The loss scale of the last step. */
  #scale: number | undefined;
  #epochs = new Map<number, Group<Item>[]>();

  constructor(options: LoopOptions<Item, Batch>) {
    this.#o = options;
    const { device, problem, settings } = options;
    this.#learner = options.learner ?? new Learner(device, problem, settings);
    let items: readonly Item[] | undefined;
    let steps = 0;
    this.#schedule = new Schedule(settings, (epoch) => {
      if ("group" in problem) return problem.groupsOf(this.#itemsAStep());
      const own = problem.items(epoch);
      if (own !== items) steps = this.#count(own, problem); // the same list makes as many batches
      items = own;
      return steps;
    });
    this.#names = [...problem.terms, ...(problem.watched ?? [])];
    const window = emptyWindow(this.#names.length);
    this.#progress = { step: 0, epoch: 0, position: 0, evaluated: -1, best: null, window };
  }

  async run(): Promise<Outcome> {
    const { device, folder, resume, saveEvery = 50, signal } = this.#o;
    this.#learner.begin();
    if (folder && resume) await this.#restore(folder);
    else await folder?.cutLog(-1);
    const p = this.#progress;
    const schedule = this.#schedule;
    const { total } = schedule;
    const isAt = (step: number) => schedule.evaluations.has(step) || step === total;
    // a step in which a plan is made is timed alone
    const isNew = ({ width }: { width: number }) => !this.#widths.has(width);
    let flight: Flight | undefined; // the last step, while its report is not read
    let next = p.step < total ? await this.#batch(p.step) : undefined;
    while (next && !signal?.aborted) {
      if (!(await this.#evaluateIfDue()) || schedule.isOut(p)) break;
      const step: number = (flight?.step ?? p.step) + 1;
      const lr = schedule.rate(step, p.extended);
      const begun = performance.now();
      const { parts, ...done }: Taken<Batch> = next;
      const scalars = this.#learner.optimizer.scalars(step - (p.skipped ?? 0), lr);
      const running = await this.#learner.take(parts, scalars);
      const report = running.report.read();
      const coming = step < total ? this.#batch(step) : undefined; // while the device works
      // what fails is told below, when the step that was taken is saved
      for (const later of [report, coming]) later?.catch(() => undefined);
      if (flight) await this.#land(flight);
      flight = { step, done, lr, begun, report };
      const saves = step % saveEvery === 0 && !isAt(step);
      if (saves || isAt(step) || isNew(done) || !isAhead(device)) {
        flight = void (await this.#land(flight));
      }
      if (saves) await this.#save();
      next = await coming;
      if (flight && next && isNew(next)) flight = void (await this.#land(flight));
    }
    if (flight) await this.#land(flight);
    const stopped = signal?.aborted === true || !(await this.#evaluateIfDue());
    if (stopped) await this.#save();
    const early = schedule.isOut(p) ? { early: 1 } : {};
    return { step: p.step, steps: total, finished: !stopped, best: p.best ?? undefined, ...early };
  }

  #count(items: readonly Item[], problem: Items<Item>): number {
    const width = (item: Item) => problem.width(item);
    return groups(items, width, problem.buckets, this.#itemsAStep()).length;
  }

  /** As in one batch of that size: a step has the same items, whatever the number of batches that it is made in. */
  #itemsAStep(): number {
    const { batchSize, accumulate = 1 } = this.#o.settings;
    return batchSize * accumulate;
  }

  /** The batches of the step after `step` steps. */
  async #batch(step: number): Promise<Taken<Batch>> {
    const { problem, settings } = this.#o;
    const { batchSize, seed } = settings;
    const epoch = this.#schedule.epochAt(step);
    const position = step - this.#schedule.starts[epoch];
    const group = this.#group(epoch, position);
    const { items, width } = group instanceof Promise ? await group : group;
    const count = Math.ceil(items.length / batchSize);
    const parts = Array.from({ length: count }, (_, i): Part<Batch> => {
      const own = items.slice(i * batchSize, (i + 1) * batchSize);
      const random = new Random(seed, COLLATE, step, i);
      return {
        batch: problem.collate(own, width, batchSize, random) as Input<Batch>,
        rng: dropoutState(seed, step + 1, i),
        share: own.length / items.length,
      };
    });
    return { parts, items: items.length, width, epoch, position };
  }

  /** The items of a step of an epoch. */
  #group(epoch: number, position: number): Group<Item> | Promise<Group<Item>> {
    const { problem, settings } = this.#o;
    const size = this.#itemsAStep();
    if ("group" in problem) return problem.group(size, settings.seed, epoch, position);
    let made = this.#epochs.get(epoch);
    if (!made) {
      const width = (item: Item) => problem.width(item);
      made = epochGroups(problem.items(epoch), width, problem.buckets, size, settings.seed, epoch);
      this.#epochs = new Map([[epoch, made]]);
    }
    return made[position];
  }

  /** Waits for a step and takes it into the account, or throws when it was not taken. */
  async #land({ step, done, lr, begun, report }: Flight): Promise<void> {
    const { problem, folder, onStep } = this.#o;
    const p = this.#progress;
    const { total } = this.#schedule;
    const [, taken, norm, scale, ...figures] = Array.from(await report);
    const now = performance.now();
    const seconds = (now - Math.max(begun, this.#landed)) / 1000;
    this.#landed = now;
    const terms = figures.slice(0, problem.terms.length);
    // a smaller scale is of no use to a term, nor is one below 1 to a gradient
    const skips = taken !== 1 && scale > 1 && terms.every(Number.isFinite);
    if (taken !== 1 && !skips) {
      const bad = terms.findIndex((value) => !Number.isFinite(value));
      const what =
        bad < 0
          ? "a gradient is not finite"
          : `the loss term ${problem.terms[bad]} is ${terms[bad]}`;
      const kept = folder ? `, the last good checkpoint is ${folder.last}` : "";
      throw new NotFiniteError(
        step,
        problem.terms[bad] ?? "gradient",
        `${what}; the weights were left as they were${kept}`,
      );
    }
    p.step = step;
    p.epoch = done.epoch;
    p.position = done.position + 1;
    if (skips) p.skipped = (p.skipped ?? 0) + 1;
    else {
      p.window.steps++;
      figures.forEach((value, i) => {
        p.window.sums[i] += value;
      });
      p.window.norm += norm;
      p.window.largestNorm = Math.max(p.window.largestNorm, norm);
    }
    if (scale > 0) this.#scale = scale;
    const first = !this.#widths.has(done.width);
    this.#widths.add(done.width);
    this.#pace.step(seconds, first);
    const named = Object.fromEntries(this.#names.map((name, i) => [name, figures[i]]));
    const { watched = [] } = problem;
    onStep?.({
      step,
      steps: total,
      epoch: done.epoch,
      items: done.items,
      seconds,
      first,
      left: this.#pace.left(total - step, this.#schedule.evaluationsLeft(p)),
      terms: Object.fromEntries(problem.terms.map((name) => [name, named[name]])),
      watched: Object.fromEntries(watched.map((name) => [name, named[name]])),
      learningRate: lr,
      gradientNorm: skips ? undefined : norm,
      ...(scale > 0 ? { lossScale: scale } : {}),
    });
  }

  /** Evaluates, logs and saves where that is due; false when the signal stopped it. */
  async #evaluateIfDue(): Promise<boolean> {
    if (!this.#schedule.isDue(this.#progress)) return true;
    const { folder, evaluate, saveBest, onEvaluation } = this.#o;
    const p = this.#progress;
    const begun = performance.now();
    const evaluation = await evaluate?.();
    this.#pace.evaluation((performance.now() - begun) / 1000);
    if (evaluate && !evaluation) return false;
    const { steps, sums, norm, largestNorm } = p.window;
    const means = this.#names.map((name, i) => [name, steps > 0 ? sums[i] / steps : null]);
    const better = evaluation !== undefined && evaluation.score > (p.best?.score ?? -Infinity);
    if (evaluation && better) {
      p.best = { step: p.step, score: evaluation.score };
      await saveBest?.();
    }
    p.evaluated = p.step;
    p.window = emptyWindow(this.#names.length);
    const row: LogRow = {
      step: p.step,
      epoch: p.epoch,
      ...Object.fromEntries(means),
      gradientNorm: steps > 0 ? norm / steps : null,
      largestGradientNorm: steps > 0 ? largestNorm : null,
      ...(this.#scale === undefined ? {} : { lossScale: this.#scale, skipped: p.skipped ?? 0 }),
      ...evaluation?.figures,
      best: better,
      ...(this.#schedule.isOut(p) ? { stopped: "patience" } : {}),
    };
    await folder?.appendLog(row);
    await this.#save();
    onEvaluation?.(row);
    return true;
  }

  #states(): Tensor[] {
    const { moments, scale } = this.#learner.optimizer;
    const own = [...moments.flatMap(({ m, v }) => [m, v]), ...(scale ? [scale] : [])];
    return [...this.#o.problem.parameters, ...own];
  }

  async #save(): Promise<void> {
    const { device, folder, settings, identity = "" } = this.#o;
    if (!folder) return;
    const { step } = this.#progress;
    const rng = [...seedWords(settings.seed), step, 0];
    const state = { ...this.#progress, steps: this.#schedule.total, rng, identity };
    await folder.saveLast(device, this.#states(), state as unknown as JsonObject);
    await folder.writeSeconds(this.#pace.seconds);
  }

  async #restore(folder: RunFolder): Promise<void> {
    await folder.tidy();
    const { tensors, state } = await folder.loadLast();
    const { identity = "", earlier = [] } = this.#o;
    const isExtended = state.identity !== identity && earlier.includes(String(state.identity));
    if (state.identity !== identity && !isExtended) {
      throw new Error(
        `[resume] ${folder.last} was written with other options, data or models; resume with those it was started with`,
      );
    }
    const states = this.#states();
    const wrong = states.filter((t) => {
      const held = tensors.get(stateName(t));
      return held === undefined || !sameShape(held.shape, t.shape);
    });
    if (wrong.length > 0 || tensors.size !== states.length) {
      const name = wrong.length > 0 ? `${stateName(wrong[0])} ${show(wrong[0].shape)}` : "";
      throw new Error(
        `[resume] ${folder.last} does not fit the model (${wrong.length} tensors, ${name}); resume with the model it was started with`,
      );
    }
    const progress = this.#checked(folder, state);
    if (isExtended) progress.extended = progress.step;
    for (const t of states) {
      const held = tensors.get(stateName(t));
      if (!held) continue;
      const values = await readFloat32(held);
      if (!values.every(Number.isFinite)) {
        throw new Error(
          `[resume] ${folder.last}: ${stateName(t)} holds values that are not finite; start another run`,
        );
      }
      this.#o.device.write(t, values);
      await this.#o.device.synchronize(); // what is on its way takes memory too
    }
    this.#progress = progress;
    const seconds = await folder.readSeconds();
    if (seconds) this.#pace.resume(seconds);
    await folder.cutLog(progress.evaluated);
  }

  /** The progress that a checkpoint's metadata tell; throws for what no run of this problem can have. */
  #checked(folder: RunFolder, state: JsonObject): Progress {
    const { step, epoch, position, evaluated, best, window, extended, skipped } = Object(state);
    const { total, starts } = this.#schedule;
    const within = (value: unknown, least: number, most: number): boolean =>
      Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most;
    const { steps, sums, norm, largestNorm } = Object(window);
    const isSum = (value: unknown) => typeof value === "number" && Number.isFinite(value);
    const fits =
      within(step, 0, total) &&
      within(epoch, 0, starts.length - 2) &&
      starts[epoch] + position === step &&
      within(evaluated, -1, step) &&
      (best === null || (within(Object(best).step, 0, step) && isSum(Object(best).score))) &&
      (extended === undefined || within(extended, 0, step)) &&
      (skipped === undefined || within(skipped, 0, step)) &&
      within(steps, 0, step) &&
      Array.isArray(sums) &&
      sums.length === this.#names.length &&
      [...sums, norm, largestNorm].every(isSum);
    if (fits) return { step, epoch, position, evaluated, best, window, extended, skipped };
    throw new Error(
      `[resume] ${folder.last} says that the run stands where it cannot stand (step ${JSON.stringify(step)} of ${total}); start another run`,
    );
  }
}
