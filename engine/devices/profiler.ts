import type { ProfileRow } from "../device.ts";
import { show } from "../shape.ts";
import { paced } from "./adapter.ts";
import type { StepLaunch } from "./chunks.ts";

/** Adds up the time of each kernel; prints each launch when `debug` asks for it. */
export class LaunchTimes {
  #totals = new Map<string, ProfileRow>();
  #debug: number;
  constructor(debug: number) {
    this.#debug = debug;
  }
  /** Milliseconds of each launch, in the same order. */
  add(launches: readonly StepLaunch[], times: ArrayLike<number>): void {
    launches.forEach((launch, i) => {
      const { kernel } = launch;
      const row = this.#totals.get(kernel);
      if (row) {
        row.launches++;
        row.milliseconds += times[i];
      } else this.#totals.set(kernel, { kernel, launches: 1, milliseconds: times[i] });
      if (this.#debug > 0) console.error(describe(launch, times[i], this.#debug));
    });
  }
  rows(): ProfileRow[] {
    return [...this.#totals.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }
}

/** Times each launch with timestamp queries, one compute pass for each. */
export type Profiler = {
  pass(launch: StepLaunch): GPUComputePassDescriptor;
  resolve(encoder: GPUCommandEncoder): void;
  /** Reads the timestamps of what was submitted. */
  finish(): Promise<void>;
  rows(): ProfileRow[];
};

/** The most queries that WebGPU allows in one set: two a launch. */
const capacity = 4096;

/** A profiler, or undefined where the adapter has no timestamp queries. */
export function profiler(gpu: GPUDevice, debug: number): Profiler | undefined {
  if (!gpu.features.has("timestamp-query")) return undefined;
  const sets: GPUQuerySet[] = []; // as many as the longest run took
  const totals = new LaunchTimes(debug);
  let launches: StepLaunch[] = [];
  let resolved: { buffer: GPUBuffer; launches: StepLaunch[] } | undefined;
  return {
    pass(launch) {
      const at = launches.length * 2;
      const set = Math.floor(at / capacity);
      sets[set] ??= gpu.createQuerySet({ type: "timestamp", count: capacity });
      launches.push(launch);
      return {
        timestampWrites: {
          querySet: sets[set],
          beginningOfPassWriteIndex: at % capacity,
          endOfPassWriteIndex: (at % capacity) + 1,
        },
      };
    },
    resolve(encoder) {
      if (launches.length === 0) return;
      const queries = launches.length * 2;
      const bytes = queries * 8;
      const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
      const from = gpu.createBuffer({ size: bytes, usage: QUERY_RESOLVE | COPY_SRC });
      const buffer = gpu.createBuffer({ size: bytes, usage: COPY_DST | MAP_READ });
      for (let at = 0; at < queries; at += capacity) {
        const count = Math.min(capacity, queries - at);
        encoder.resolveQuerySet(sets[at / capacity], 0, count, from, at * 8);
      }
      encoder.copyBufferToBuffer(from, 0, buffer, 0, bytes);
      resolved = { buffer, launches };
      launches = [];
    },
    async finish() {
      const mine = resolved;
      resolved = undefined;
      if (!mine) return;
      await paced(mine.buffer.mapAsync(GPUMapMode.READ));
      const times = new BigUint64Array(mine.buffer.getMappedRange().slice(0));
      mine.buffer.destroy();
      const milliseconds = mine.launches.map(
        (_, i) => Number(times[2 * i + 1] - times[2 * i]) / 1e6,
      );
      totals.add(mine.launches, milliseconds);
    },
    rows: () => totals.rows(),
  };
}

function describe(launch: StepLaunch, milliseconds: number, debug: number): string {
  const line = `${milliseconds.toFixed(3).padStart(9)} ms  ${launch.op} (${launch.kernel})`;
  if (debug < 2) return line;
  const text = (r: StepLaunch["outputs"][number]): string =>
    r ? `${r.spec.dtype}${show(r.spec.shape)} ${r.byteLength} B` : "-";
  const inputs = launch.inputs.map(text).join(", ");
  return `${line}\n${" ".repeat(14)}${inputs} -> ${[...launch.inouts, ...launch.outputs].map(text).join(", ")}`;
}
