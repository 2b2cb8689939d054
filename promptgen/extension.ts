/**
 * Extending a run that has ended: it is given more epochs, and goes on behind its last step. The rate falls anew from its peak, without a
 * warm-up; weights, moments and the order of the facts go on. Its run.json has the new epochs, and under `extended` what it had before;
 * its results of before stand beside those that will be, under names of their own.
 */
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import type { RunFolder } from "../models/training/run-folder.ts";
import type { RunExtended } from "./report/results.ts";
import { foldersOf, type Prepared } from "./run.ts";
import { type RunFile, readRun } from "./run-file.ts";

const RESULTS = ["results.json", "facts.jsonl", "facts.csv"];

/** Epochs that the results in a folder are from; undefined where there are none. */
async function epochsOfResults(folder: RunFolder): Promise<unknown> {
  if (!existsSync(folder.file("results.json"))) return undefined;
  const { options } = await folder.readJson("results.json");
  return Object(options).epochs;
}

/** Whether the run has ended, with the epochs that it now has. */
export async function hasEnded(folder: RunFolder, { options }: RunFile): Promise<boolean> {
  return (await epochsOfResults(folder)) === options.own.epochs;
}

/**
 * Throws one sentence for a run that cannot be extended, before anything is changed.
 * @param where how the person names the run
 */
export async function checkExtension(
  folder: RunFolder,
  saved: RunFile,
  epochs: number,
  where: string,
): Promise<void> {
  const { own } = saved.options;
  const refuse = (what: string): never => {
    throw new Error(`[resume] ${what}`);
  };
  if (!(await hasEnded(folder, saved))) {
    refuse(
      `--epochs is ${epochs} but the run in ${where} was started with ${own.epochs} and has not ended; ` +
        "resume it without --epochs, and extend it then",
    );
  }
  if (epochs <= Number(own.epochs)) {
    refuse(
      `--epochs is ${epochs}, but the run in ${where} has ended with ${own.epochs}; give more to extend it`,
    );
  }
  if (Number(own["max-steps"] ?? 0) > 0) {
    refuse(
      `the run in ${where} has --max-steps ${own["max-steps"]}, over which its schedule is laid, so that more epochs change nothing; start another run`,
    );
  }
}

/**
 * Gives a run that has ended more epochs; `run` is what it will be.
 * @throws one sentence where a training has left nothing to go on with
 */
export async function extend(folder: RunFolder, saved: RunFile, run: Prepared): Promise<RunFile> {
  let step = 0;
  for (const { last } of foldersOf(run, folder)) {
    if (existsSync(last)) continue;
    throw new Error(
      `[resume] ${last} is not there, which holds the moments that a training goes on with; this run cannot be extended, start another one`,
    );
  }
  for (const own of foldersOf(run, folder)) step += (await own.stand())?.step ?? 0;
  const before: RunExtended = { epochs: Number(saved.options.own.epochs), step };
  const file = await folder.readJson("run.json");
  await folder.writeJson("run.json", {
    ...file,
    options: { ...Object(file.options), epochs: run.options.own.epochs },
    extended: [...saved.extended, before],
  });
  await setAside(folder, run);
  return readRun(folder);
}

/** Gives results of fewer epochs names of their own, as results.epochs-10.json. */
export async function setAside(
  folder: RunFolder,
  { options }: Pick<Prepared, "options">,
): Promise<void> {
  const epochs = await epochsOfResults(folder);
  if (epochs === undefined || epochs === options.own.epochs) return;
  // results.json last: as long as it is there, the others may still have to go
  for (const name of RESULTS.toReversed()) {
    const [stem, ending] = name.split(".");
    if (!existsSync(folder.file(name))) continue;
    await rename(folder.file(name), folder.file(`${stem}.epochs-${epochs}.${ending}`));
  }
}
