/** The runs of a study: how each stands, and those that are made here, some at a time. */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { MultiBar, type SingleBar } from "cli-progress";
import { makeFolder } from "../../models/formats/files.ts";
import { FolderTakenError, takeFolder } from "../../models/training/lock.ts";
import { RunFolder, sameConfiguration } from "../../models/training/run-folder.ts";
import { flatOptions } from "../../promptgen/run.ts";
import { readRun } from "../../promptgen/run-file.ts";
import type { Task } from "../../promptgen/study.ts";
import type { StudyPart } from "../../promptgen/study-parts.ts";
import {
  ENTRY,
  exitCodeOf,
  onSignals,
  output,
  type ProgressMessage,
  say,
  UsageError,
} from "./cli.ts";
import type { Following, Planned, Stand } from "./study-progress.ts";
import { standOfStep } from "./study-steps.ts";

const TOOL = "study";

/** @throws UsageError for a folder of that name that holds a run with other options */
async function standOf(folder: RunFolder, { options }: Task): Promise<Stand> {
  if (!folder.exists()) return "new";
  const saved = await readRun(folder);
  try {
    sameConfiguration({ ...flatOptions(saved.options) }, { ...flatOptions(options) }, folder.path);
  } catch (error) {
    const what = error instanceof Error ? error.message.replace("[resume] --", "") : "";
    const [said] = what.split(";");
    throw new UsageError(
      `[${TOOL}] ${said}; remove that folder, or name another --out for the changed study`,
    );
  }
  const ended = ["results.json", "facts.jsonl"].every((name) => existsSync(folder.file(name)));
  return ended ? "done" : "cut off";
}

/** The options of a task, as tools/train.ts takes them. */
export const optionsOfTask = ({ options }: Task): string[] =>
  Object.entries(flatOptions(options))
    .filter(([, value]) => value !== "")
    .flatMap(([name, value]) => [`--${name}`, String(value)]);

/** Takes a study's folder until this process ends, and removes what another one that was killed has left half written there. */
export async function takeStudy(out: string): Promise<void> {
  await takeFolder(out);
  for (const name of await readdir(out)) {
    if (name.startsWith(".") && name.endsWith(".part")) await rm(join(out, name), { force: true });
  }
}

/** Removes what a killed process has left beside the results of a run; not where one still writes. */
async function tidied(folder: RunFolder): Promise<void> {
  if (await folder.isTidy()) return;
  try {
    const held = await takeFolder(folder.path);
    await folder.tidy();
    held.release();
  } catch (error) {
    if (!(error instanceof FolderTakenError)) throw error;
  }
}

/** The command line of a run that is not done. */
function argumentsOf({ task, folder, stand }: Planned, device: readonly string[]): string[] {
  if (stand === "cut off") return ["--resume", folder.path, ...device];
  return ["--out", folder.path, ...optionsOfTask(task), ...device];
}

/** Bars of the runs that are under way and of the whole study; lines where there is no terminal. */
class Display {
  readonly #bars: MultiBar | undefined;
  readonly #all: SingleBar | undefined;
  readonly #total: number;
  readonly #began = performance.now();
  #done: number;

  constructor(total: number, done: number) {
    this.#total = total;
    this.#done = done;
    if (output.quiet || !process.stderr.isTTY) return;
    this.#bars = new MultiBar({
      format: "{name} {bar} {percentage}% | {note}",
      barCompleteChar: "\u2588",
      barIncompleteChar: "\u2591",
      barsize: 24,
      hideCursor: true,
      clearOnComplete: false,
      linewrap: false,
    });
    this.#all = this.#bars.create(total, done, { name: "study".padEnd(28), note: "" });
  }

  begin(name: string): { tell(message: ProgressMessage): void; end(how: string): void } {
    const label = name.slice(0, 28).padEnd(28);
    const bar = this.#bars?.create(1, 0, { name: label, note: "" });
    const began = performance.now();
    return {
      tell: ({ label: what, done, total, note }) => {
        bar?.setTotal(total);
        bar?.update(done, { name: label, note: `${what} ${note}` });
      },
      end: (how) => {
        this.#done++;
        const seconds = (performance.now() - began) / 1000;
        const line = `${how} ${name}, ${seconds.toFixed(0)} s (${this.#done} of ${this.#total})\n`;
        if (bar) this.#bars?.remove(bar);
        const minutes = (performance.now() - this.#began) / 60_000;
        this.#all?.update(this.#done, {
          name: "study".padEnd(28),
          note: `${minutes.toFixed(1)} min`,
        });
        if (!this.#bars) say(line);
      },
    };
  }

  stop(): void {
    this.#bars?.stop();
  }
}

/** What a run that failed said last. */
export async function lastLine(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim().split("\n").at(-1) ?? "";
}

/** Runs a task in a process of its own; gives its exit code. */
function start(
  planned: Planned,
  device: readonly string[],
  log: string,
  tell: (message: ProgressMessage) => void,
): { readonly child: ChildProcess; readonly ended: Promise<number> } {
  const out = openSync(log, "a");
  const how = planned.stand === "cut off" ? "goes on with" : "begins";
  writeSync(out, `[${TOOL}] ${how} ${planned.task.name}\n`);
  const child = fork(ENTRY, ["train", ...argumentsOf(planned, device)], {
    stdio: ["ignore", out, out, "ipc"],
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
  });
  closeSync(out);
  child.on("message", (message) => tell(message as ProgressMessage));
  const ended = new Promise<number>((done) => {
    child.on("error", () => done(1));
    child.on("exit", (code, signal) => done(code ?? exitCodeOf(signal)));
  });
  return { child, ended };
}

/** Runs what is not done, `jobs` at a time. Sentences about those that failed; undefined when the signal came. */
export async function runAll(
  plan: readonly Planned[],
  {
    out,
    jobs,
    more,
    following,
  }: { out: string; jobs: number; more: readonly string[]; following: Following },
): Promise<string[] | undefined> {
  const signal = onSignals();
  const waiting = plan.filter(({ stand }) => stand !== "done");
  const display = new Display(plan.length, plan.length - waiting.length);
  const running = new Set<ChildProcess>();
  signal.addEventListener("abort", () => {
    for (const child of running) child.kill("SIGTERM");
  });
  await makeFolder(join(out, "logs"));
  const failed: string[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next && !signal.aborted; next = waiting.shift()) {
      const { name } = next.task;
      const log = join(out, "logs", `${name}.txt`);
      const shown = display.begin(name);
      following.begin(name);
      const { child, ended } = start(next, more, log, (message) => {
        following.tell(name, message);
        shown.tell(message);
      });
      running.add(child);
      const code = await ended;
      running.delete(child);
      if (signal.aborted) break;
      following.end(name, code === 0 ? "done" : "failed");
      shown.end(code === 0 ? "done" : "failed");
      if (code !== 0) failed.push(`${name}: ${await lastLine(log)} (${relative("", log)})`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  display.stop();
  return signal.aborted ? undefined : failed;
}

/**
 * The runs of a part, and how each stands.
 * @param isDry nothing is tidied
 * @throws UsageError for a run or step there that other options have made
 */
export async function planOf(
  { study, steps }: StudyPart,
  out: string,
  isDry: boolean,
): Promise<Planned[]> {
  for (const step of steps) standOfStep(step);
  const plan: Planned[] = [];
  for (const task of study.rows.flatMap((row) => row.tasks)) {
    const folder = new RunFolder(join(out, task.name));
    const stand = await standOf(folder, task);
    if (stand === "done" && !isDry) await tidied(folder);
    plan.push({ task, folder, stand });
  }
  return plan;
}
