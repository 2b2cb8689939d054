/** Saved runs that a command asks: opened with what they were trained with, and checked. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { RunFolder } from "../../models/training/run-folder.ts";
import { methodOf } from "../../promptgen/methods/index.ts";
import { foldersOf, type Prepared } from "../../promptgen/run.ts";
import { type RunFile, readRun } from "../../promptgen/run-file.ts";
import { openSaved as open, type SavedRun } from "../../promptgen/saved-run.ts";
import { modelDirectory, UsageError } from "./cli.ts";

/** Opens the run of a folder. Throws one sentence for one that is none, is not trained, or whose data or models have changed. */
export async function openSaved(tool: string, path: string): Promise<SavedRun> {
  const folder = new RunFolder(resolve(path));
  const run = await readRun(folder);
  checkTrained(tool, folder, run);
  return open(folder, run, (name) => modelDirectory(name));
}

/** Throws for a run that has nothing to ask with. */
export function checkTrained(tool: string, folder: RunFolder, { options }: RunFile): void {
  const isOne = methodOf(options.method).scope === "all";
  if (!isOne || existsSync(folder.best)) return;
  throw new UsageError(
    `[${tool}] ${folder.path} has no best/ yet: the run was stopped before its first evaluation; go on with npx promptgen train --resume ${folder.path}`,
  );
}

/** One sentence about a run that is not finished; empty for one that is. Throws where a relation was not trained. */
export async function standOf(
  tool: string,
  run: Pick<Prepared, "method" | "benchmark">,
  folder: RunFolder,
): Promise<string> {
  const remedy = `go on with npx promptgen train --resume ${folder.path}`;
  for (const own of foldersOf(run, folder)) {
    if (!existsSync(own.best)) {
      throw new UsageError(
        `[${tool}] ${own.path} has no best/ yet: the run is not finished; ${remedy}`,
      );
    }
    const stand = await own.stand();
    if (stand && stand.step < stand.steps) {
      return `${own.path} is not finished, step ${stand.step} of ${stand.steps}; its best prompter up to there is asked, ${remedy}`;
    }
  }
  return "";
}

export type { SavedRun };
