/** Times of launches on WebGPU, by timestamp queries. */
import type { ProfileRow } from "../../device.ts";
import { paced } from "../host.ts";
import { LaunchTimes, type TimedLaunch } from "../profiler.ts";

/** Times each launch with timestamp queries, one compute pass for each. */
export type Profiler = {
  pass(launch: TimedLaunch): GPUComputePassDescriptor;
  resolve(encoder: GPUCommandEncoder): void;
  /** Reads the timestamps of what was submitted. */
  finish(): Promise<void>;
  rows(): ProfileRow[];
};

/** The most queries that WebGPU allows in one set: two a launch. */
const CAPACITY = 4096;

/** A profiler, or undefined where the adapter has no timestamp queries. */
export function profiler(gpu: GPUDevice, debug: number): Profiler | undefined {
  if (!gpu.features.has("timestamp-query")) return undefined;
  const sets: GPUQuerySet[] = []; // as many as the longest run took
  const totals = new LaunchTimes(debug);
  let launches: TimedLaunch[] = [];
  let resolved: { buffer: GPUBuffer; launches: TimedLaunch[] } | undefined;
  return {
    pass(launch) {
      const at = launches.length * 2;
      const set = Math.floor(at / CAPACITY);
      sets[set] ??= gpu.createQuerySet({ type: "timestamp", count: CAPACITY });
      launches.push(launch);
      return {
        timestampWrites: {
          querySet: sets[set],
          beginningOfPassWriteIndex: at % CAPACITY,
          endOfPassWriteIndex: (at % CAPACITY) + 1,
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
      for (let at = 0; at < queries; at += CAPACITY) {
        const count = Math.min(CAPACITY, queries - at);
        encoder.resolveQuerySet(sets[at / CAPACITY], 0, count, from, at * 8);
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
