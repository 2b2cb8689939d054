/** What devices promise of results and of runs under way, and what they say when they are gone. */
import { EngineError } from "../errors.ts";
import { initialPieces, type Tensor, valueBytes } from "../tensor.ts";

/** Result slots of a plan: a result is readable until the second run after it. */
export const RING_SLOTS = 2;

/** Runs that may be queued on a device at once. */
export const RUNS_UNDER_WAY = 3;

/** What every call on a device that was destroyed is answered with. */
export const destroyed = (kind: string): EngineError =>
  new EngineError(`[${kind}] the device was destroyed; open another one with openDevice`);

/** The first values of a state, in one piece. */
export async function initialBytes(t: Tensor): Promise<ArrayBuffer> {
  const whole = new Uint8Array(valueBytes(t));
  let end = 0;
  for await (const piece of initialPieces(t)) {
    whole.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), end);
    end += piece.byteLength;
  }
  return whole.buffer;
}

/** Throws when the slot that held the results of `run` holds those of `now`. */
export function assertCurrent(now: number, run: number): void {
  if (now === run) return;
  throw new EngineError(
    `[read] the result of run ${run} was reused by run ${now}; read it before the second run after it`,
  );
}
