/** What a page has trained, and how free its main thread was: read from outside, beside the same training in Node. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { openDevice } from "../../engine/open.ts";
import { RunFolder } from "../../models/training/run-folder.ts";
import { prepare, runOptions, trainRun } from "../../promptgen/run.ts";
import { readSteps, STEPS_FILE, type StepTable } from "../../promptgen/training/steps.ts";

/** The record of the steps that the browser keeps, as Node reads it. */
export async function keptSteps(page: Page): Promise<StepTable | undefined> {
  const bytes = (await page.evaluate(`(async () => {
    let folder = await navigator.storage.getDirectory();
    folder = await folder.getDirectoryHandle("world");
    const file = await (await folder.getFileHandle("${STEPS_FILE}")).getFile();
    return [...new Uint8Array(await file.arrayBuffer())];
  })()`)) as number[];
  const home = mkdtempSync(join(tmpdir(), "promptgen-steps-"));
  writeFileSync(join(home, STEPS_FILE), Uint8Array.from(bytes));
  const table = readSteps(home);
  rmSync(home, { recursive: true });
  return table;
}

/** The first steps of the same training in Node. */
export async function stepsHere(
  count: number,
): Promise<{ table: StepTable | undefined; build: string }> {
  const home = mkdtempSync(join(tmpdir(), "promptgen-here-"));
  const device = await openDevice({ device: "cpu" });
  const run = await prepare(runOptions({ alpha: 0.3, seed: 1 }, true));
  const control = new AbortController();
  await trainRun(run, {
    device,
    folder: new RunFolder(home),
    signal: control.signal,
    onStep: ({ step }) => {
      if (step === count) control.abort();
    },
  });
  const table = readSteps(home);
  device.destroy();
  rmSync(home, { recursive: true });
  return { table, build: device.description };
}

/** Processor time of the longest task of the page's main thread in a trace, in milliseconds. */
export function longestTask(trace: Buffer): { readonly longest: number; readonly tasks: number } {
  const { traceEvents } = JSON.parse(trace.toString()) as {
    readonly traceEvents: readonly {
      readonly name: string;
      readonly pid: number;
      readonly tid: number;
      readonly tdur?: number;
      readonly args: { readonly name?: string };
    }[];
  };
  const main = new Set(
    traceEvents
      .filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  const tasks = traceEvents.filter(
    ({ name, pid, tid }) => name.endsWith("RunTask") && main.has(`${pid} ${tid}`),
  );
  const longest = tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0);
  return { longest, tasks: tasks.length };
}
