/** Lives of devices, one after the other, with random numbers of one seed; memory must stay flat over all of them. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Device } from "../../../engine/device.ts";
import { type Counts, Life, noCounts, SoakError } from "./life.ts";
import { Draws } from "./programs.ts";

/** Bytes that a device may use: little, so that plans have to go. */
const BUDGETS = [1.6e6, 3e6, 2e7];
/** Devices after which the process has taken what it needs. */
const SETTLED = 4;
/** What the resident memory may grow by from there. */
const MOST_GROWTH = 500e6;

export type Soaked = Counts & {
  /** Resident bytes when the process had settled, and at the most. */
  readonly resident: { readonly settled: number; readonly most: number };
};

/**
 * Works until `ended` says so after a step. Throws SoakError, with seed and step, at the first value that is wrong, call that
 * hangs, or growth of memory.
 *
 * @param life steps of a device's life
 */
export async function soak({
  open,
  seed,
  life,
  ended,
  onStep = () => {},
}: {
  readonly open: (memoryBudget: number) => Promise<Device>;
  readonly seed: number;
  readonly life: number;
  readonly ended: (counts: Counts) => boolean;
  readonly onStep?: (counts: Counts) => void;
}): Promise<Soaked> {
  // what is measured is what is held, not what nobody has collected yet
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const draws = new Draws(seed);
  const counts = noCounts();
  const seen = new Set<string>();
  let settled = 0;
  let most = 0;
  try {
    while (!ended(counts)) {
      const budget = draws.pick(BUDGETS);
      const one = new Life(await open(budget), budget, draws, counts, seen);
      counts.devices++;
      const end = counts.steps + Math.ceil(life / 2) + draws.below(life);
      while (counts.steps < end && !ended(counts)) {
        await one.step();
        counts.shapes = seen.size;
        onStep(counts);
      }
      await one.end();
      collect();
      const { rss } = process.memoryUsage();
      most = Math.max(most, rss);
      if (counts.devices <= SETTLED) settled = most;
      else if (rss > settled + MOST_GROWTH) {
        throw new SoakError(
          `the process takes ${rss} bytes after ${counts.devices} devices, ${settled} after ${SETTLED}`,
        );
      }
    }
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new SoakError(`seed ${seed}, step ${counts.steps}: ${what}`, { cause: error });
  }
  return { ...counts, resident: { settled, most } };
}
