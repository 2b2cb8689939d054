/** What devices promise of results and of runs under way, and what they say when they are gone. */
import type { BytePart } from "../device.ts";
import { check, EngineError } from "../errors.ts";
import { show } from "../shape.ts";
import { initialPieces, stateName, type Tensor, type TypedArray, valueBytes } from "../tensor.ts";

/** Result slots of a plan: a result is readable until the second run after it. */
export const RING_SLOTS = 2;

/** Runs that may be queued on a device at once. */
export const RUNS_UNDER_WAY = 3;

/** What every call on a device that was destroyed is answered with. */
export const destroyed = (kind: string): EngineError =>
  new EngineError(`[${kind}] the device was destroyed; open another one with openDevice`);

/** The first values of a state, or those bytes of them, in one piece. */
export async function initialBytes(t: Tensor, part?: BytePart): Promise<ArrayBuffer> {
  const whole = new Uint8Array(valueBytes(t));
  let end = 0;
  for await (const piece of initialPieces(t)) {
    whole.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), end);
    end += piece.byteLength;
  }
  return part ? whole.buffer.slice(part.begin, part.end) : whole.buffer;
}

/** Hands pieces that fill a state to `put`, with the byte at which each begins; throws for too few or too many values. */
export async function filled(
  t: Tensor,
  pieces: AsyncIterable<TypedArray>,
  put: (piece: TypedArray, offset: number) => Promise<void>,
): Promise<void> {
  let values = 0;
  const fits = (good: boolean) =>
    check(good, "fill", () => `${values} values do not fill ${stateName(t)} ${show(t.shape)}`);
  for await (const piece of pieces) {
    const offset = values * piece.BYTES_PER_ELEMENT;
    values += piece.length;
    fits(values <= t.size);
    await put(piece, offset);
  }
  fits(values === t.size);
}

/** Throws when the slot that held the results of `run` holds those of `now`. */
export function assertCurrent(now: number, run: number): void {
  if (now === run) return;
  throw new EngineError(
    `[read] the result of run ${run} was reused by run ${now}; read it before the second run after it`,
  );
}
