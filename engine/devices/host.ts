/** What devices may know of the program around them: Node or a page, its DEBUG, its event loop. */
import type { DeviceOptions } from "../device.ts";

export const inNode = (): boolean =>
  typeof process !== "undefined" && process.versions?.node !== undefined;

/**
 * The option, else the environment's DEBUG: 1 prints each launch with its time, and commands add the stack to an error; 2 shapes and
 * bytes too; 3 also the WGSL. What is no number, as other programs take it, is 0.
 */
export const debugLevel = (options: DeviceOptions): number =>
  options.debug ?? (Number(inNode() && process.env.DEBUG) || 0);

/** The option, else whether the environment's DEBUG is nan. */
export const checksFinite = (options: DeviceOptions): boolean =>
  options.checkFinite ?? (inNode() && process.env.DEBUG === "nan");

let pending = 0;
let ticking = false;
const nap = inNode() ? new Int32Array(new SharedArrayBuffer(4)) : undefined;

/**
 * Waits for a promise of the device. Dawn's Node binding polls without pause while one is pending and starves a
 * software adapter of the core; a nap of 0.2 ms between polls gives it back.
 */
export async function paced<T>(promise: Promise<T>): Promise<T> {
  if (!nap) return promise;
  pending++;
  if (!ticking) {
    ticking = true;
    const tick = (): void => {
      if (pending === 0) {
        ticking = false;
        return;
      }
      Atomics.wait(nap, 0, 0, 0.2);
      setImmediate(tick);
    };
    setImmediate(tick);
  }
  try {
    return await promise;
  } finally {
    pending--;
  }
}
