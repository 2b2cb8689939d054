/** The steps of a study: commands that make the facts and models of its runs. What is made is not made again. */
import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, createReadStream, existsSync, openSync, readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { makeFolder, writeWhole } from "../../models/formats/files.ts";
import { chooseAmong } from "../../promptgen/methods/options.ts";
import type { Step } from "../../promptgen/study-parts.ts";
import { DEVICE_OPTIONS, ENTRY, exitCodeOf, onSignals, say, UsageError } from "./cli.ts";
import { type Command, readLine } from "./command.ts";

const TOOL = "study";

/** What is written beside a step's folder. */
type Made = {
  readonly key: string;
  /** Left out until it has ended. */
  readonly seconds?: number;
  /** SHA-256 of what it wrote, by path. */
  readonly files?: Readonly<Record<string, string>>;
};

export type StepStand = "done" | "cut off" | "new";

const recordOf = (step: Step): string => `${step.folder}.json`;

function madeBy(step: Step): Made | undefined {
  const path = recordOf(step);
  if (!existsSync(path)) return undefined;
  try {
    const { key, seconds, files } = JSON.parse(readFileSync(path, "utf8"));
    if (typeof key === "string") return { key, seconds, files };
  } catch {
    // said below
  }
  throw new UsageError(
    `[${TOOL}] ${path} does not say what was made; remove it and the folder ${step.folder}`,
  );
}

/** How a step stands. Throws UsageError for a folder that another command has made. */
export function standOfStep(step: Step): StepStand {
  const made = madeBy(step);
  if (!made) return "new";
  if (made.key !== step.key) {
    throw new UsageError(
      `[${TOOL}] ${step.folder} was made by another command than the study's ${step.name}, or from something else; remove ${dirname(dirname(step.folder))} or name another --out`,
    );
  }
  return made.seconds === undefined ? "cut off" : "done";
}

/** Seconds that a step took in the process that ended it; undefined where it has not ended. */
export const secondsOfStep = (step: Step): number | undefined => madeBy(step)?.seconds;

/** The commands that a step may be: those that make facts or models. */
const COMMANDS: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  "make-lama": () => import("../commands/make-lama.ts"),
  "make-world": () => import("../commands/make-world.ts"),
  pretrain: () => import("../commands/pretrain.ts"),
  tokenizers: () => import("../commands/tokenizers.ts"),
};

/**
 * The steps' commands, by their names.
 * @throws UsageError for a step whose command there is not, or whose options it does not have
 */
export async function commandsOf(steps: readonly Step[]): Promise<ReadonlyMap<string, Command>> {
  const found = new Map<string, Command>();
  for (const { name, command, arguments: words } of steps) {
    if (!Object.hasOwn(COMMANDS, command)) {
      throw new UsageError(
        `[${TOOL}] prepare.${name} begins with ${command}, which makes nothing; ${chooseAmong(Object.keys(COMMANDS), command)}`,
      );
    }
    const own = found.get(command) ?? (await COMMANDS[command]()).command;
    readLine(own, words);
    found.set(command, own);
  }
  return found;
}

/** The steps of one part of a study, which are made in their order. */
export type Preparation = {
  /** Of the part, before a step's name in what is said; empty where the study has no parts. */
  readonly title: string;
  readonly steps: readonly Step[];
  /** Folder of what the commands say. */
  readonly logs: string;
};

/**
 * Makes what is not there, each step in a process of its own.
 * @param jobs parts that are made at a time
 * @param device options of the command line, for the commands that have them
 * @returns a sentence for each part whose step failed, with what it said last; undefined when the signal came
 */
export async function makeAll(
  parts: readonly Preparation[],
  { jobs, device }: { jobs: number; device: readonly string[] },
): Promise<readonly string[] | undefined> {
  const commands = await commandsOf(parts.flatMap(({ steps }) => steps));
  const signal = onSignals();
  const running = new Set<ChildProcess>();
  signal.addEventListener("abort", () => {
    for (const child of running) child.kill("SIGTERM");
  });
  const failed: string[] = [];

  /** Whether it was made. */
  async function make(step: Step, { title, logs }: Preparation): Promise<boolean> {
    const name = title === "" ? step.name : `${title} ${step.name}`;
    await makeFolder(logs);
    await makeFolder(dirname(step.folder));
    await writeWhole(recordOf(step), `${JSON.stringify({ key: step.key })}\n`);
    const log = join(logs, `prepare-${step.name}.txt`);
    const out = openSync(log, "a");
    const own = Object.hasOwn(commands.get(step.command)?.options ?? {}, "device") ? device : [];
    say(`begins ${name}\n`);
    const began = performance.now();
    const child = fork(ENTRY, [step.command, ...step.arguments, ...own], {
      stdio: ["ignore", out, out, "ipc"],
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    });
    closeSync(out);
    running.add(child);
    const code = await new Promise<number>((done) => {
      child.on("error", () => done(1));
      child.on("exit", (own, by) => done(own ?? exitCodeOf(by)));
    });
    running.delete(child);
    if (signal.aborted) return false;
    if (code !== 0) {
      const said = (await readFile(log, "utf8")).trim().split("\n").at(-1) ?? "";
      failed.push(
        `${name} failed: ${said} (${relative("", log)}); the same command tries it again`,
      );
      return false;
    }
    const seconds = (performance.now() - began) / 1000;
    const files = await fingerprints(step.folder);
    const made: Made = { key: step.key, seconds: Math.round(10 * seconds) / 10, files };
    await writeWhole(recordOf(step), `${JSON.stringify(made, null, 2)}\n`);
    say(`done ${name}, ${seconds.toFixed(0)} s\n`);
    return true;
  }

  const waiting = [...parts];
  async function worker(): Promise<void> {
    for (let part = waiting.shift(); part; part = waiting.shift()) {
      for (const step of part.steps) {
        if (signal.aborted) return;
        if (standOfStep(step) !== "done" && !(await make(step, part))) break;
      }
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker));
  return signal.aborted ? undefined : failed;
}

/** What a step makes that the same command makes again: facts, texts, weights, curves. */
const LASTING = /\.(safetensors|jsonl|txt|csv)$/;

async function fingerprints(folder: string): Promise<Record<string, string>> {
  const paths = await readdir(folder, { recursive: true });
  const found: Record<string, string> = {};
  for (const path of paths.sort()) {
    if (!LASTING.test(path) || basename(path) === "last.safetensors") continue;
    const hash = createHash("sha256");
    for await (const piece of createReadStream(join(folder, path))) hash.update(piece);
    found[path] = hash.digest("hex");
  }
  return found;
}

/** The options of a command line that say where it computes. */
export const deviceWords = (given: Readonly<Record<string, string | undefined>>): string[] =>
  Object.keys(DEVICE_OPTIONS).flatMap((name) => {
    const value = given[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
