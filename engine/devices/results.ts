import { EngineError } from "../errors.ts";

/** Result slots of a plan: a result is readable until the second run after it. */
export const ringSlots = 2;

/** Throws when the slot that held the results of `run` holds those of `now`. */
export function assertCurrent(now: number, run: number): void {
  if (now === run) return;
  throw new EngineError(
    `[read] the result of run ${run} was reused by run ${now}; read it before the second run after it`,
  );
}
