/** `npm run bench -- --pair`: whole training steps of models with random weights, ours and PyTorch's, each in processes of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printTable } from "../../../promptgen/report/table.ts";
import { median } from "./process.ts";

/** The names of tools/gpu/workload.ts by those of tools/gpu/torch_step.py. */
export const PAIR_SIZES = { large: "full", base: "base", small: "small", toy: "toy" } as const;
export type PairName = keyof typeof PAIR_SIZES;

export type PairJob = {
  readonly pair: PairName;
  readonly batch: number;
  readonly device: string;
  readonly threads: string;
  /** As `--memory` has it. */
  readonly memory?: string | undefined;
  readonly steps: number;
  readonly rounds: number;
  /** Whether PyTorch takes turns with us. */
  readonly peer: boolean;
};

/** One process: each step's time in milliseconds, the largest resident set in bytes, what it ran on. */
export type PairRow = {
  readonly about: string;
  readonly times: readonly number[];
  readonly peak: number;
  readonly launches?: number;
};

const KIT = join(import.meta.dirname, "../../gpu");

/** Runs a program of the kit; what it prints on standard output. */
function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code) =>
      code === 0 ? done(out) : failed(new Error(`[bench] ${args[0]} ended with ${code}`)),
    );
  });
}

async function ours({ pair, batch, device, threads, memory, steps }: PairJob): Promise<PairRow> {
  const folder = mkdtempSync(join(tmpdir(), "pair-"));
  const json = join(folder, "step.json");
  try {
    await output(process.execPath, [
      ...[join(KIT, "step.ts"), "--size", PAIR_SIZES[pair], "--batch", String(batch)],
      ...["--device", device, "--steps", String(steps + WARM), "--json", json],
      ...(device === "cpu" ? ["--threads", threads] : []),
      ...(memory === undefined ? [] : ["--memory", memory]),
    ]);
    const said = JSON.parse(readFileSync(json, "utf8"));
    return {
      about: said.device,
      times: said.one_at_a_time_ms.all.slice(WARM),
      peak: said.peak_bytes,
      launches: said.launches,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function pytorch({ pair, batch, threads, steps }: PairJob): Promise<PairRow> {
  const out = await output("python3", [
    ...[join(KIT, "torch_step.py"), ...(pair === "toy" ? ["--toy"] : ["--pair", pair])],
    ...["--batch", String(batch), "--threads", threads, "--modes", "f32", "--only", "step"],
    ...["--warmup", String(WARM), "--steps", String(steps), "--bare"],
  ]);
  const said = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  const { error, step, peak_bytes } = said.step["f32 eager"];
  if (error !== undefined) throw new Error(`[bench] PyTorch: ${error}`);
  return { about: `PyTorch ${said.torch}, ${said.device}`, times: step.all, peak: peak_bytes };
}

/** Steps that are not counted, before those that are, in every process. */
const WARM = 2;

/** Rounds of both sides in turn; the rows by side. */
export async function timePair(
  job: PairJob,
  say: (text: string) => void,
): Promise<Map<string, PairRow[]>> {
  const rows = new Map<string, PairRow[]>();
  const sides = [["ours", ours] as const, ...(job.peer ? [["pytorch", pytorch] as const] : [])];
  for (let round = 1; round <= job.rounds; round++) {
    for (const [side, run] of sides) {
      const row = await run(job);
      say(`round ${round}: ${side} ${(median(row.times) / 1e3).toFixed(3)} s a step`);
      rows.set(side, [...(rows.get(side) ?? []), row]);
    }
  }
  return rows;
}

/** The figures as a table: the median of the rounds' medians, the spread of all steps, facts a second, the largest resident set. */
export function pairTable(
  { pair, batch }: PairJob,
  rows: ReadonlyMap<string, readonly PairRow[]>,
): string {
  const middle = (side: string) => median((rows.get(side) ?? []).map(({ times }) => median(times)));
  const lines = [...rows].map(([side, of]) => {
    const all = of.flatMap(({ times }) => times);
    const [ms, peak] = [middle(side), Math.max(...of.map((row) => row.peak))];
    return [
      side,
      ms.toFixed(0),
      `${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)}`,
      (batch / (ms / 1e3)).toFixed(2),
      (peak / 1e9).toFixed(2),
      (middle("ours") / ms).toFixed(2),
    ];
  });
  const heads = ["", "ms a step", "of all steps", "facts/s", "peak, GB", "ours / this"];
  const columns = heads.map((head, i) => ({ head, align: i === 0 ? "left" : "right" }) as const);
  const abouts = [...rows].map(([side, [{ about }]]) => `${side}: ${about}`);
  return `${pair}, batch ${batch}\n${printTable({ groups: [{ columns }], rows: lines, notes: abouts })}`;
}
