/** Times of launches, added up by kernel, op and line: what every device that is asked to profile reports. */
import { type AnyKernel, kernels } from "../../kernels/manifest.ts";
import type { ProfileRow } from "../device.ts";
import { show } from "../shape.ts";
import type { TensorSpec } from "../tensor.ts";

type Operand = { readonly spec: TensorSpec; readonly byteLength: number } | null;

/** A launch as it is timed, whatever device made it of a plan's. */
export type TimedLaunch = {
  readonly op: string;
  readonly line?: string;
  readonly kernel: string;
  readonly params: Readonly<Record<string, number>>;
  readonly constants: Readonly<Record<string, number>>;
  readonly inputs: readonly Operand[];
  readonly inouts: readonly Operand[];
  readonly outputs: readonly Operand[];
};

/** Operands of which a launch touches no more than of its largest other one: tables and stacks. */
const IN_PART: ReadonlySet<string> = new Set(["embedding", "copy", "copy_many", "scatter_add"]);

/** Bytes that a launch reads and writes. */
function bytesOf({ kernel, inputs, inouts, outputs, params }: TimedLaunch): number {
  if (IN_PART.has(kernel)) return (kernel === "scatter_add" ? 3 : 2) * params.n * 4;
  if (kernel === "table_places") return 2 * params.rows * 4;
  if (kernel === "table_rows") return 4 * params.rows * params.dim * 4; // read, added to another row, one set
  const all = [...inputs, ...inouts, ...inouts, ...outputs];
  return all.reduce((sum, operand) => sum + (operand?.byteLength ?? 0), 0);
}

/** Floating-point operations of a launch; none are known of kernels that are not the package's. */
function flopsOf({ kernel, params, constants }: TimedLaunch): number {
  if (!Object.hasOwn(kernels, kernel)) return 0;
  const { flops }: AnyKernel = kernels[kernel as keyof typeof kernels];
  return flops(params, constants) / (constants.SPLIT === 1 ? params.batch : 1); // chunks of one product
}

/** Adds up the time of each kernel, op and line, of each number of tasks; prints each launch when `debug` asks for it. */
export class LaunchTimes {
  #totals = new Map<string, ProfileRow>();
  #debug: number;
  constructor(debug: number) {
    this.#debug = debug;
  }
  /** Milliseconds of each launch, in the same order, and its tasks where it has some. */
  add(launches: readonly TimedLaunch[], times: ArrayLike<number>, tasks?: ArrayLike<number>): void {
    launches.forEach((launch, i) => {
      const { kernel, op, line } = launch;
      const key = `${kernel} ${op} ${tasks?.[i]} ${line}`;
      const [bytes, flops] = [bytesOf(launch), flopsOf(launch)];
      const row = this.#totals.get(key);
      if (row) {
        row.launches++;
        row.milliseconds += times[i];
        row.bytes += bytes;
        row.flops += flops;
      } else {
        const parts = {
          ...(tasks === undefined ? {} : { tasks: tasks[i] }),
          ...(line === undefined ? {} : { line }),
        };
        const time = { launches: 1, milliseconds: times[i], bytes, flops };
        this.#totals.set(key, { kernel, op, ...parts, ...time });
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
