/** A run on disk with what it is asked with: opened with the facts and models that it was trained with, and checked against them. */
import type { Device } from "../engine/device.ts";
import { resolveModel } from "../models/hub/resolve.ts";
import { RunFolder } from "../models/training/run-folder.ts";
import type { Asking } from "./ask.ts";
import { loadBenchmark } from "./benchmark.ts";
import { methodOf } from "./methods/index.ts";
import { bestPrompter, type Prepared, prepareOn, savedPrompter, sourcesOf } from "./run.ts";
import { checkContents, checkFiles, type RunFile, readRun } from "./run-file.ts";

export type SavedRun = {
  readonly folder: RunFolder;
  readonly run: RunFile;
  /** Its best prompter is not restored yet. */
  readonly prepared: Prepared;
  /** Sentences about files that hold no checksum. */
  readonly unchecked: readonly string[];
};

/**
 * Opens a run.
 * @param run its run.json, as `readRun` gives it
 * @param locate the directory of a model by its directory or name
 * @throws one sentence for data or models that have changed
 */
export async function openSaved(
  folder: RunFolder,
  run: RunFile,
  locate: (name: string) => Promise<string>,
): Promise<SavedRun> {
  const benchmark = await loadBenchmark(await sourcesOf(run.options, locate));
  checkContents(run, benchmark);
  const unchecked = await checkFiles(run, benchmark, folder);
  const saved = savedPrompter(methodOf(run.options.method), folder);
  const prepared = await prepareOn(benchmark, run.options, { saved, locate });
  return { folder, run, prepared, unchecked };
}

/**
 * The best prompter of a run's folder on a device, for `ask` (Node only).
 * @throws one sentence for a folder that is no run, that is not trained, or whose data or models have changed
 */
export async function openRun(path: string, device: Device): Promise<Asking> {
  const folder = new RunFolder(path);
  const { prepared } = await openSaved(folder, await readRun(folder), (name) => resolveModel(name));
  return { benchmark: prepared.benchmark, prompter: await bestPrompter(prepared, device, folder) };
}
