/** Times of launches, added up by kernel: what every device that is asked to profile reports. */
import type { ProfileRow } from "../device.ts";
import { show } from "../shape.ts";
import type { TensorSpec } from "../tensor.ts";

type Operand = { readonly spec: TensorSpec; readonly byteLength: number } | null;

/** A launch as it is timed, whatever device made it of a plan's. */
export type TimedLaunch = {
  readonly op: string;
  readonly kernel: string;
  readonly inputs: readonly Operand[];
  readonly inouts: readonly Operand[];
  readonly outputs: readonly Operand[];
};

/** Adds up the time of each kernel, of each number of tasks; prints each launch when `debug` asks for it. */
export class LaunchTimes {
  #totals = new Map<string, ProfileRow>();
  #debug: number;
  constructor(debug: number) {
    this.#debug = debug;
  }
  /** Milliseconds of each launch, in the same order, and its tasks where it has some. */
  add(launches: readonly TimedLaunch[], times: ArrayLike<number>, tasks?: ArrayLike<number>): void {
    launches.forEach((launch, i) => {
      const { kernel } = launch;
      const key = `${kernel} ${tasks?.[i]}`;
      const row = this.#totals.get(key);
      if (row) {
        row.launches++;
        row.milliseconds += times[i];
      } else {
        const parts = tasks === undefined ? {} : { tasks: tasks[i] };
        this.#totals.set(key, { kernel, ...parts, launches: 1, milliseconds: times[i] });
      }
      if (this.#debug > 0) console.error(describe(launch, times[i], this.#debug));
    });
  }
  rows(): ProfileRow[] {
    return [...this.#totals.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }
}

function describe(launch: TimedLaunch, milliseconds: number, debug: number): string {
  const line = `${milliseconds.toFixed(3).padStart(9)} ms  ${launch.op} (${launch.kernel})`;
  if (debug < 2) return line;
  const text = (r: Operand): string =>
    r ? `${r.spec.dtype}${show(r.spec.shape)} ${r.byteLength} B` : "-";
  const inputs = launch.inputs.map(text).join(", ");
  return `${line}\n${" ".repeat(14)}${inputs} -> ${[...launch.inouts, ...launch.outputs].map(text).join(", ")}`;
}
