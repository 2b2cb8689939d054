/**
 * The plans that are loaded on a device: whose turn it is to run, and which of them give their memory back when it is wanted.
 * Knows no kind of memory.
 */
import type { Executable, Run } from "../device.ts";
import { check, fail, OutOfMemoryError } from "../errors.ts";
import type { AnyLaunch, AnyPlan, Plan, PlanLaunch } from "../plan.ts";
import type { TypedArray } from "../tensor.ts";
import { RUNS_UNDER_WAY } from "./results.ts";

/** A software driver dies near 65,000 bind groups. */
export const SOFTWARE_LAUNCHES = 30_000;

/** Elsewhere memory decides, and the host's is memory too: at about 2 kB a launch these are 1 GiB. */
export const HOST_LAUNCHES = 2 ** 19;

/** A plan without a launch weighs as much as this many. */
const EMPTY_PLAN = 4;

/** What a device makes of a plan. */
export type Resident = {
  readonly launches: number;
  /** What its next run has to wait for: somebody reads the results that it will overwrite. */
  busy(): Promise<unknown> | undefined;
  /** Starts a run. */
  start(inputs: readonly TypedArray[]): Run;
  /** Gives its memory back. Results that are readable stay so. */
  release(): void;
};

/** A plan without the launches that write nothing because their results are empty. */
export function withoutEmpty<L extends AnyLaunch>(plan: Plan<L>): Plan<L> {
  const writes = ({ inouts, outputs }: L): boolean =>
    [...inouts, ...outputs].some((r) => r !== null && r.byteLength > 0);
  return { ...plan, launches: plan.launches.filter(writes) };
}

/** The plan, for a device that has the shared kernels alone. */
export function withoutJoins(plan: AnyPlan): Plan {
  const launches = plan.launches.map(
    (l): PlanLaunch =>
      "products" in l || "wgsl" in l ? fail("load", `this device has no ${l.kernel}`) : l,
  );
  return { ...plan, launches };
}

class Loaded implements Executable {
  gone = false;
  /** Calls that wait for their turn; whoever loaded the plan is the first, and has not called yet. */
  waiting = 1;
  #called = false;
  readonly resident: Resident;
  readonly drop: () => void;
  readonly #plans: LoadedPlans;
  constructor(plans: LoadedPlans, resident: Resident, drop: () => void) {
    this.#plans = plans;
    this.resident = resident;
    this.drop = drop;
  }
  get weight(): number {
    return this.resident.launches + EMPTY_PLAN;
  }
  run<T>(inputs: readonly TypedArray[], begin: (run: Run) => T): Promise<T> {
    check(!this.gone, "run", () => "the plan was let go; load it again");
    if (this.#called) this.waiting++;
    this.#called = true;
    return this.#plans.run(this, inputs, begin);
  }
}

/** All plans of one device. */
export class LoadedPlans {
  /** Least recently called first. */
  #plans = new Set<Loaded>();
  #weight = 0;
  readonly #most: number;
  readonly #assertHealthy: () => void;
  /** Settles when the last load that was asked for has ended. */
  #loading: Promise<void> = Promise.resolve();
  /** Settles when the last turn that was asked for has ended. */
  #turn: Promise<void> = Promise.resolve();
  /** The ends of the runs under way, oldest first. */
  #underWay: Promise<unknown>[] = [];
  /** Counts plans that nobody waits for any more. */
  #idled = 0;
  /** Who waits for memory until the next plan is idle. */
  #wanting: (() => void)[] = [];

  /** @param most launches of all plans, as far as idle ones can make room */
  constructor(most: number, assertHealthy: () => void) {
    this.#most = most;
    this.#assertHealthy = assertHealthy;
  }

  /** Resolves when no plan that was asked for so far is being loaded. */
  get loading(): Promise<void> {
    return this.#loading;
  }

  /**
   * Loads plans one at a time: what one has begun to upload, the next one finds. `make` takes memory, or throws having given
   * back what it took.
   */
  load(launches: number, make: () => Promise<Resident>, drop: () => void): Promise<Executable> {
    const made = this.#loading.then(() =>
      this.retried(async () => {
        this.#assertHealthy();
        while (this.#weight + launches + EMPTY_PLAN > this.#most && this.letGo());
        if (this.#weight + launches + EMPTY_PLAN > this.#most && this.#anyAwaited()) {
          throw new OutOfMemoryError(`[load] too many plans at once; await some calls first`);
        }
        const plan = new Loaded(this, await make(), drop);
        this.#plans.add(plan);
        this.#weight += plan.weight;
        return plan;
      }),
    );
    this.#loading = made.then(
      () => undefined,
      () => undefined,
    );
    return made;
  }

  /** Does work that takes memory; where it is refused, again when a plan that somebody waited for could go. */
  async retried<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.#idled;
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        if (this.#idled !== before) continue;
        if (!this.#anyAwaited()) throw error;
        await new Promise<void>((resolve) => this.#wanting.push(resolve));
      }
    }
  }

  /** Whether no plan is loaded. Slots are as large as every loaded plan wants them: they can go only then. */
  get empty(): boolean {
    return this.#plans.size === 0;
  }

  #anyAwaited(): boolean {
    return [...this.#plans].some((p) => p.waiting > 0);
  }

  /** Lets go the least recently called plan of those that nobody waits for; false where there is none. */
  letGo(): boolean {
    for (const plan of this.#plans) {
      if (plan.waiting > 0) continue;
      this.#release(plan);
      return true;
    }
    return false;
  }

  #release(plan: Loaded): void {
    this.#plans.delete(plan);
    this.#weight -= plan.weight;
    plan.gone = true;
    plan.drop();
    plan.resident.release();
  }

  /** Does `work` while no run starts. */
  async exclusively<T>(work: () => Promise<T> | T): Promise<T> {
    const before = this.#turn;
    let done = (): void => undefined;
    this.#turn = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      done();
    }
  }

  /** Runs a plan when its turn has come and few enough runs are under way: a fast host must not pile up work without end. */
  async run<T>(plan: Loaded, inputs: readonly TypedArray[], begin: (run: Run) => T): Promise<T> {
    this.#plans.delete(plan);
    this.#plans.add(plan);
    try {
      const { value } = await this.exclusively(async () => {
        for (let wait = this.#wait(plan); wait; wait = this.#wait(plan)) await wait;
        return { value: begin(plan.resident.start(inputs)) }; // what it promises is not awaited here
      });
      return value;
    } finally {
      if (--plan.waiting === 0) this.#idle(plan);
    }
  }

  #wait(plan: Loaded): Promise<unknown> | undefined {
    this.#assertHealthy();
    return this.#underWay.length >= RUNS_UNDER_WAY ? this.#underWay[0] : plan.resident.busy();
  }

  /** A plan that becomes idle while memory is wanted goes before its next call can hold it again. */
  #idle(plan: Loaded): void {
    this.#idled++;
    if (this.#wanting.length === 0) return;
    this.#release(plan);
    for (const wake of this.#wanting.splice(0)) wake();
  }

  /** Notes a run until it is done. */
  submitted(run: Promise<unknown>): void {
    const done = run
      .catch(() => undefined)
      .then(() => {
        this.#underWay = this.#underWay.filter((d) => d !== done);
      });
    this.#underWay.push(done);
  }
}
