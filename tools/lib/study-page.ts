/** STUDY/report.html: the page of a study, from the folders of its runs. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathSource } from "../../models/formats/disk.ts";
import { openSafetensors } from "../../models/formats/safetensors.ts";
import type { Written } from "../../promptgen/report/page/curves.ts";
import type { PageRow, PageRun, RunCost } from "../../promptgen/report/page/page.ts";
import type { RelationRow } from "../../promptgen/report/relations.ts";
import { readResults } from "../../promptgen/report/results.ts";
import type { Row } from "../../promptgen/report/rows.ts";
import { flatOptions } from "../../promptgen/run.ts";
import type { Study, Task } from "../../promptgen/study.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
import { readSteps } from "../../promptgen/training/steps.ts";

/**
 * What each run of the rows wrote beside its facts.
 * @param out the study's folder
 * @param rows made of `study`, in its order
 */
export async function pageRows(
  study: Study,
  out: string,
  rows: readonly Row[],
  relations: readonly RelationRow[],
): Promise<PageRow[]> {
  const found: PageRow[] = [];
  for (const [i, row] of rows.entries()) {
    const runs: PageRun[] = [];
    for (const task of study.rows[i].tasks) runs.push(await pageRun(task, out, relations));
    found.push({ row, runs });
  }
  return found;
}

async function pageRun(
  { name, options }: Task,
  out: string,
  relations: readonly RelationRow[],
): Promise<PageRun> {
  const folder = new RunFolder(join(out, name));
  const { contents, choices } = await folder.readJson("run.json");
  const results = await readResults(folder.file("results.json"));
  const parts = [folder, ...relations.map(({ id }) => new RunFolder(folder.file(id)))];
  const trainings = writtenIn(parts);
  return {
    folder: name,
    seed: options.seed,
    options: flatOptions(options),
    contents: Object(contents),
    choices: Object(choices),
    trainings,
    dev: results.best?.score,
    cost: await costOf(parts, trainings, results),
    device: results.versions?.at(-1)?.device ?? (await deviceOf(join(out, "logs", `${name}.txt`))),
    versions: results.versions ?? [],
    extended: results.extended ?? [],
    stopped: results.stopped,
    distinctPrompts: results.distinctPrompts,
    warnings: results.warnings ?? [],
  };
}

/** What the trainings of a run have written so far, those that have begun. */
export function writtenIn(parts: readonly RunFolder[]): Written[] {
  const all = parts.map((part) => ({ log: part.logged(), steps: readSteps(part.path) }));
  return all.filter(({ log, steps }) => log.length > 0 || steps !== undefined);
}

/** @param results as they stand in results.json; what a run took may be missing there */
async function costOf(
  parts: readonly RunFolder[],
  trainings: readonly Written[],
  results: object,
): Promise<RunCost> {
  const { seconds, memory } = Object(results);
  const number = (value: unknown): number | undefined =>
    typeof value === "number" ? value : undefined;
  const sizes: number[] = [];
  for (const { last } of parts) if (existsSync(last)) sizes.push(await trainedIn(last));
  // whoever trains by gradients logs their norm, and leaves a checkpoint unless somebody has removed it
  const isGone =
    sizes.length === 0 && trainings.some(({ log }) => log.some((row) => "gradientNorm" in row));
  return {
    training: number(seconds?.training),
    evaluating: number(seconds?.evaluating),
    resident: number(memory?.resident),
    device: number(memory?.device),
    trained: isGone ? undefined : sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** Numbers that have a moment of the optimiser in a checkpoint. */
async function trainedIn(path: string): Promise<number> {
  const { tensors } = await openSafetensors(await pathSource(path), path);
  const moments = [...tensors].filter(([name]) => name.endsWith(".exp_avg"));
  return moments.reduce((sum, [, { shape }]) => sum + shape.reduce((n, size) => n * size, 1), 0);
}

/** What the run said last that it ran on. */
async function deviceOf(log: string): Promise<string | undefined> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text
    .split("\n")
    .findLast((line) => line.startsWith("device: "))
    ?.slice("device: ".length);
}
