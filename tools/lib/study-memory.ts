/** How many runs of a study the machine's memory has room for at a time. */

import type { RunFolder } from "../../models/training/run-folder.ts";
import { memoryOf } from "../../promptgen/memory.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import { flatOptions, prepare, type RunOptions, WORLD } from "../../promptgen/run.ts";
import type { Task } from "../../promptgen/study.ts";
import { modelDirectory } from "./cli.ts";

/** What a process takes beside its plans, and all that a run of the embedded world takes. */
const PROCESS = 300 * 2 ** 20; // bytes

type Run = { readonly task: Task; readonly folder: RunFolder; readonly stand: string };

/**
 * How many of `jobs` runs fit, and a sentence where that is fewer. What a run takes is what one that differs in its seed alone took,
 * else what its plans say; models of a name on the Hub are downloaded for that, which the run would do too.
 * @param available bytes
 */
export async function jobsThatFit(
  plan: readonly Run[],
  jobs: number,
  available: number,
): Promise<{ readonly jobs: number; readonly sentence: string }> {
  const took = new Map<string, number>();
  for (const { task, folder, stand } of plan) {
    const resident = stand === "done" ? await residentOf(folder) : undefined;
    if (resident === undefined) continue;
    const key = keyOf(task.options);
    took.set(key, Math.max(took.get(key) ?? 0, resident));
  }
  const needs: number[] = [];
  for (const { task, stand } of plan) {
    if (stand === "done") continue;
    const key = keyOf(task.options);
    const need = took.get(key) ?? (await plannedNeed(task.options));
    took.set(key, need);
    needs.push(need);
  }
  return fitting(needs, jobs, available);
}

/** @param needs of each run that waits, bytes; the largest may come together */
export function fitting(
  needs: readonly number[],
  jobs: number,
  available: number,
): { readonly jobs: number; readonly sentence: string } {
  const largest = needs.toSorted((a, b) => b - a).slice(0, jobs);
  let [room, fit] = [available, 0];
  for (const need of largest) {
    room -= need;
    if (room < 0) break;
    fit++;
  }
  if (fit === largest.length) return { jobs, sentence: "" };
  const wanted = gibibytes(largest.reduce((sum, need) => sum + need, 0));
  const own = Math.max(1, fit);
  const so = own === jobs ? "it is tried" : `--jobs ${own} is taken in place of ${jobs}`;
  return {
    jobs: own,
    sentence: `${count(largest.length)} at a time may take ${wanted}, and ${gibibytes(available)} of memory are free: ${so}`,
  };
}

const count = (n: number): string => (n === 1 ? "1 run" : `${n} runs`);

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Runs of one key differ in nothing but their seed. */
const keyOf = (options: RunOptions): string =>
  JSON.stringify(Object.entries({ ...flatOptions(options), seed: 0 }));

async function residentOf(folder: RunFolder): Promise<number | undefined> {
  const { memory } = await folder.readJson("results.json");
  const { resident } = Object(memory);
  return typeof resident === "number" && resident > 0 ? resident : undefined;
}

async function plannedNeed(options: RunOptions): Promise<number> {
  const models = Object.entries(methodOf(options.method).options)
    .filter(([, { kind }]) => kind === "model")
    .map(([name]) => options.own[name]);
  if ([options.reader, ...models].every((name) => name === WORLD)) return PROCESS;
  try {
    const run = await prepare(options, { locate: (name) => modelDirectory(name) });
    return PROCESS + (await memoryOf(run));
  } catch {
    return PROCESS; // the run will say what is wrong
  }
}
