/** What devices promise of results and of runs under way. */
import { EngineError } from "../errors.ts";

/** Result slots of a plan: a result is readable until the second run after it. */
export const RING_SLOTS = 2;

/** Runs that may be queued on a device at once. */
export const RUNS_UNDER_WAY = 3;

/** Throws when the slot that held the results of `run` holds those of `now`. */
export function assertCurrent(now: number, run: number): void {
  if (now === run) return;
  throw new EngineError(
    `[read] the result of run ${run} was reused by run ${now}; read it before the second run after it`,
  );
}
