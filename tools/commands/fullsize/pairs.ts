/** Training the pairs of models that people train: `train` as a command, killed and resumed, and its losses beside PyTorch's. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { LossLine } from "./losses.ts";
import { memory } from "./process.ts";

/** A pair beside bert-base-cased, in batches of so many facts. */
export type Pair = {
  readonly generator: "bart-base" | "bart-large";
  readonly batch: number;
  /** Whether the command trains it, too; otherwise its losses alone are compared. */
  readonly trains: boolean;
  /** The largest resident set that is allowed, bytes. */
  readonly most: number;
};

/** By the part's name. */
export const PAIRS = {
  base: { generator: "bart-base", batch: 8, trains: true, most: 4.0e9 },
  "base-32": { generator: "bart-base", batch: 32, trains: false, most: 8e9 },
  large: { generator: "bart-large", batch: 8, trains: true, most: 12e9 },
} satisfies Record<string, Pair>;

/** What training took. */
export type Trained = {
  /** Of the process that was killed, and of the one that went on: the largest resident sets, bytes. */
  readonly peaks: readonly [killed: number, resumed: number];
  /** What was not as it must be; empty when all is. */
  readonly problems: readonly string[];
};

const RUN = join(import.meta.dirname, "../../train.ts");
/** Steps after which an evaluation is due: three times in the one epoch of 160 facts in batches of 8. */
const EVALUATIONS = [0, 7, 14, 20];

/** Runs the command until it ends, or kills it when `enough` says so of a step that was reported. */
async function watched(
  args: readonly string[],
  say: (text: string) => void,
  enough: (step: number) => boolean = () => false,
): Promise<{ code: number | null; killed: boolean; peak: number; steps: number[]; last: string }> {
  const child = spawn(process.execPath, [RUN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [peak, killed, last] = [0, false, ""];
  const steps: number[] = [];
  const look = setInterval(() => {
    peak = Math.max(peak, memory("VmHWM", child.pid));
  }, 100);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      if (/^device|^training|^stopped|error/.test(line)) say(line);
      if (/error/.test(line)) last = line;
      const [, step] = /^training (\d+)\//.exec(line) ?? [];
      if (step === undefined) return;
      steps.push(Number(step));
      if (!enough(Number(step)) || killed) return;
      killed = true;
      peak = Math.max(peak, memory("VmHWM", child.pid));
      child.kill("SIGKILL");
    });
  }
  const code = await new Promise<number | null>((done, failed) => {
    child.on("error", failed);
    child.on("close", done);
  });
  clearInterval(look);
  return { code, killed, peak, steps, last };
}

/**
 * Twenty steps with four evaluations by `train`, killed by SIGKILL behind the second one's checkpoint and resumed.
 * @param folder of models and facts
 */
export async function trainPair(
  folder: string,
  { generator, batch }: Pair,
  say: (text: string) => void,
): Promise<Trained> {
  const out = join(folder, `run-${generator}`);
  rmSync(out, { recursive: true, force: true });
  const first = await watched(
    [
      ...["--data", join(folder, "data"), "--reader", join(folder, "bert")],
      ...["--generator", join(folder, generator), "--batch-size", String(batch)],
      ...["--epochs", "1", "--device", "cpu", "--out", out],
    ],
    say,
    (step) => step > EVALUATIONS[1],
  );
  const second = await watched(["--resume", out, "--device", "cpu"], say);
  const log = existsSync(join(out, "log.jsonl"))
    ? readFileSync(join(out, "log.jsonl"), "utf8").trim().split("\n")
    : [];
  const evaluated = log.map((line) => JSON.parse(line).step);
  const isWhole = existsSync(join(out, "results.json"));
  rmSync(out, { recursive: true, force: true });
  const problems = [
    ...(first.killed ? [] : [`train ended with ${first.code} before it was killed: ${first.last}`]),
    ...(second.code === 0 ? [] : [`--resume ended with ${second.code}: ${second.last}`]),
    ...(second.steps.every((step) => step > EVALUATIONS[1]) ? [] : ["--resume began anew"]),
    ...(evaluated.join() === EVALUATIONS.join() ? [] : [`evaluated after ${evaluated.join()}`]),
    ...(isWhole ? [] : ["there is no results.json"]),
  ];
  return { peaks: [first.peak, second.peak], problems };
}

export type Step = Omit<Extract<LossLine, { kind: "step" }>, "kind">;

/** The largest differences of two series of steps, as shares of PyTorch's values; NaN where one is none or steps lack. */
export function apart(ours: readonly Step[], theirs: readonly Step[]) {
  const worst = (key: keyof Step): number => {
    if (ours.length === 0 || ours.length !== theirs.length) return Number.NaN;
    return ours.reduce((most, step, i) => {
      const share = Math.abs(step[key] - theirs[i][key]) / Math.abs(theirs[i][key]);
      return share <= most ? most : share;
    }, 0);
  };
  return { object: worst("object"), none: worst("none"), norm: worst("norm") };
}
