/** Orders a plan's launches into levels that threads share. Knows shapes and memories, no address. */
import { type AnyKernel, kernelOperands, kernels } from "../../../kernels/manifest.ts";
import type { Memory, PlanLaunch, Region } from "../../plan.ts";

/** Launches that run at once, or, where they are too small to share, one after the other on one thread. */
export type Segment = { readonly launches: readonly number[]; readonly serial: boolean };

type Access = { from: number; to: number; level: number; write: boolean };

/** Below this a segment is not worth waking the other threads for, in nanoseconds of one thread. */
const TOO_SMALL_TO_SHARE = 4000;

const operandsOf = (l: PlanLaunch): { region: Region; write: boolean }[] => {
  const reads = [...l.inputs, l.uniform ?? null].flatMap((region) =>
    region ? [{ region, write: false }] : [],
  );
  const writes = [...l.inouts, ...l.outputs].flatMap((region) =>
    region ? [{ region, write: true }] : [],
  );
  return [...reads, ...writes];
};

const keyOf = (memory: Memory): unknown => {
  if (memory.kind === "state") return memory.state;
  return `${memory.kind}${memory.index}`;
};

/** What a launch does: floating-point work, and bytes read and written. */
export function workOf(launch: PlanLaunch): { flops: number; bytes: number } {
  const { flops, sparse }: AnyKernel = kernels[launch.kernel];
  const sizes = kernelOperands(launch.kernel).map(({ name, list, index }) => ({
    name,
    bytes: launch[list][index]?.byteLength ?? 0,
  }));
  const others = sizes.filter(({ name }) => name !== sparse).map((o) => o.bytes);
  const most = sparse === undefined ? Number.POSITIVE_INFINITY : Math.max(...others);
  const bytes = sizes.reduce((sum, o) => sum + Math.min(o.bytes, most), 0);
  return { flops: flops(launch.params, launch.constants), bytes };
}

/** Nanoseconds on one thread, roughly: enough to tell a crumb from work. */
export function cost(launch: PlanLaunch): number {
  const { flops, bytes } = workOf(launch);
  if (launch.kernel === "matmul") return bytes / 8 + flops / 40;
  if (launch.kernel.startsWith("attention")) return flops / 32;
  return bytes / 4;
}

/**
 * Orders launches into levels: a launch comes one level after the last one that it shares memory with, where either
 * writes. Levels that are too small to share among threads run on one, without a barrier between them.
 */
export function schedule(launches: readonly PlanLaunch[], apart: boolean): Segment[] {
  if (apart) return launches.map((_, i) => ({ launches: [i], serial: false }));
  const accesses = new Map<unknown, Access[]>();
  const levels: number[][] = [];
  launches.forEach((launch, i) => {
    const operands = operandsOf(launch);
    let level = 0;
    for (const { region, write } of operands) {
      const [from, to] = [region.byteOffset, region.byteOffset + region.byteLength];
      for (const a of accesses.get(keyOf(region.memory)) ?? []) {
        if (a.from < to && from < a.to && (write || a.write)) level = Math.max(level, a.level + 1);
      }
    }
    for (const { region, write } of operands) {
      const [from, to] = [region.byteOffset, region.byteOffset + region.byteLength];
      const key = keyOf(region.memory);
      const before = accesses.get(key) ?? [];
      // whoever comes after a write comes after all that the write came after
      const kept = write ? before.filter((a) => a.from < from || a.to > to) : before;
      kept.push({ from, to, level, write });
      accesses.set(key, kept);
    }
    const row = levels[level];
    if (row) row.push(i);
    else levels[level] = [i];
  });
  const segments: { launches: number[]; serial: boolean }[] = [];
  for (const row of levels) {
    const serial = row.reduce((sum, i) => sum + cost(launches[i]), 0) < TOO_SMALL_TO_SHARE;
    const last = segments.at(-1);
    if (serial && last?.serial) last.launches.push(...row);
    else segments.push({ launches: [...row], serial });
  }
  return segments;
}
