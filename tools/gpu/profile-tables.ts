/** Where the time of a step goes: by kernel, by op, by line of the model, beside what memory or arithmetic alone would take. */
import { compile } from "../../engine/compile.ts";
import type { Device, ProfileRow } from "../../engine/device.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { reshape } from "../../engine/ops/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { printTable } from "../../promptgen/report/table.ts";

/** What a device can do at the best: bytes and floating-point operations a millisecond. */
export type Peak = { readonly bytes: number; readonly flops: number };

/** Of launches that have something in common, a step: milliseconds, and those of the floor, whichever of bytes and operations is longer. */
export type Spent = {
  launches: number;
  ms: number;
  bytes: number;
  flops: number;
  floorMs: number;
};

export type Profile = {
  readonly kernels: ReadonlyMap<string, Spent>;
  readonly ops: ReadonlyMap<string, Spent>;
  readonly lines: ReadonlyMap<string, Spent>;
};

const ROOT = new URL("../../", import.meta.url).href;
const UNKNOWN = "no line is known";

/** `models/bart.ts:139` of what a stack trace tells of the line. */
function placeOf(line: string | undefined): string {
  const [, file, number] = /((?:file:\/\/)?\/[^\s()]+):(\d+):\d+/.exec(line ?? "") ?? [];
  if (file === undefined) return line ?? UNKNOWN;
  const path = file.startsWith(ROOT) ? file.slice(ROOT.length) : file;
  return `${path}:${number}`;
}

/** A profile of so many steps, of each step. */
export function profileOf(rows: readonly ProfileRow[], steps: number, peak: Peak): Profile {
  const by = (name: (row: ProfileRow) => string): Map<string, Spent> => {
    const sums = new Map<string, Spent>();
    for (const row of rows) {
      const key = name(row);
      const sum = sums.get(key) ?? { launches: 0, ms: 0, bytes: 0, flops: 0, floorMs: 0 };
      sums.set(key, sum);
      sum.launches += row.launches / steps;
      sum.ms += row.milliseconds / steps;
      sum.bytes += row.bytes / steps;
      sum.flops += row.flops / steps;
      sum.floorMs += Math.max(row.bytes / peak.bytes, row.flops / peak.flops) / steps;
    }
    return new Map([...sums].sort(([, a], [, b]) => b.ms - a.ms));
  };
  return {
    kernels: by(({ kernel }) => kernel),
    ops: by(({ op }) => op),
    lines: by(({ line }) => placeOf(line)),
  };
}

/** Tables for people, with the `top` rows of each. */
export function printedProfile(profile: Profile, top: number): string {
  const figures = ["launches", "ms", "GB", "GFLOP", "floor, ms", "floor / ms"];
  const right = figures.map((head) => ({ head, align: "right" }) as const);
  const heads = { kernels: "kernel", ops: "op", lines: "line" } as const;
  return (["kernels", "ops", "lines"] as const)
    .map((of) => {
      const rows = [...profile[of]]
        .slice(0, top)
        .map(([name, { launches, ms, bytes, flops, floorMs }]) => [
          name,
          launches.toFixed(0),
          ms.toFixed(3),
          (bytes / 1e9).toFixed(3),
          (flops / 1e9).toFixed(1),
          floorMs.toFixed(3),
          ms > 0 ? (floorMs / ms).toFixed(2) : "-",
        ]);
      const columns = [{ head: heads[of], align: "left" } as const, ...right];
      return printTable({ groups: [{ columns }], rows });
    })
    .join("\n");
}

const SIZE = 1024;
const ROUNDS = 6;

/** What a device that profiles does at the best of bytes in a large elementwise op, and of operations in a product of 1024 x 1024 x 1024, of six rounds each. */
export async function measuredPeak(device: Device): Promise<Peak> {
  const values = (n: number) => new Float32Array(n).fill(0.5);
  const total = () => {
    const sum = { bytes: 0, flops: 0, ms: 0 };
    for (const row of device.profile()) {
      sum.bytes += row.bytes;
      sum.flops += row.flops;
      sum.ms += row.milliseconds;
    }
    return sum;
  };
  const rate = async (
    key: "bytes" | "flops",
    run: () => Promise<{ y: { read(): Promise<unknown> } }>,
  ) => {
    let best = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const before = total();
      await (await run()).y.read();
      const after = total();
      best = Math.max(best, (after[key] - before[key]) / (after.ms - before.ms));
    }
    return best; // the first rounds make pipelines and touch memory
  };
  const doubled = compile(device, (x: Tensor) => ({ y: mul(x, 2) }));
  const product = compile(device, (x: Tensor, w: Tensor) => ({
    y: matmul(reshape(x, [SIZE, SIZE]), reshape(w, [SIZE, SIZE])),
  }));
  const [large, x, w] = [values(2 ** 24), values(SIZE * SIZE), values(SIZE * SIZE)];
  return {
    bytes: await rate("bytes", () => doubled(large)),
    flops: await rate("flops", () => product(x, w)),
  };
}
