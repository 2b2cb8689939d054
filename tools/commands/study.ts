/** Runs a study, a file of rows and seeds, and prints its tables: `node tools/study.ts --help`. */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { MultiBar, type SingleBar } from "cli-progress";
import { adapterNamed } from "../../engine/devices/webgpu/adapter.ts";
import { readText } from "../../models/formats/disk.ts";
import { makeFolder } from "../../models/formats/files.ts";
import { FolderTakenError, takeFolder } from "../../models/training/lock.ts";
import { RunFolder, sameConfiguration } from "../../models/training/run-folder.ts";
import { METHODS } from "../../promptgen/methods/index.ts";
import type { Options } from "../../promptgen/methods/options.ts";
import { flatOptions, SHARED_OPTIONS } from "../../promptgen/run.ts";
import { readRun } from "../../promptgen/run-file.ts";
import { type Study, type Task, titleOfRow } from "../../promptgen/study.ts";
import { parseStudyFile, type StudyFile, type StudyPart } from "../../promptgen/study-parts.ts";
import {
  checkDevice,
  choiceOf,
  complain,
  DEVICE_OPTIONS,
  deviceOf,
  ENTRY,
  exitCodeOf,
  type Given,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  output,
  type ProgressMessage,
  printResult,
  say,
  UsageError,
} from "../lib/cli.ts";
import type { Command, Line } from "../lib/command.ts";
import { checkedOptions, checkedRelations, specsOf, WATCH_OPTION } from "../lib/run-options.ts";
import {
  directivesOf,
  SLURM_OPTIONS,
  type SlurmStand,
  type SlurmTask,
  standsOnSlurm,
  submit,
} from "../lib/slurm.ts";
import { writeDose } from "../lib/study-dose.ts";
import { jobsThatFit } from "../lib/study-memory.ts";
import { estimate, Following, type Planned, type Stand } from "../lib/study-progress.ts";
import { writePlan, writeReport } from "../lib/study-report.ts";
import { commandsOf, deviceWords, makeAll, standOfStep } from "../lib/study-steps.ts";
import { servePage } from "../lib/watch.ts";

const TOOL = "study";

const PLACES = ["here", "slurm"] as const;

const OWN = {
  out: { value: "DIR", help: "folder of the study", initial: "runs/ and the study's name" },
  on: {
    value: "PLACE",
    help: "here, or slurm: as a job array of a cluster",
    initial: "here",
    choices: PLACES,
  },
  jobs: {
    value: "N",
    help: "runs at a time, which share the cores; fewer where the memory that is free has no room for them",
    initial: "1; on Slurm as many as it will",
  },
  "dry-run": {
    help: "lists the runs, how each stands and how long the rest will take, and runs none",
  },
  relations: { value: "IDS", help: "relations to use, as in P36,P17", initial: "the file's" },
  prepare: { help: "makes what the study prepares, and runs nothing" },
  gates: { help: "runs the rows alone that have gates in the file, and prints whether these hold" },
  tensorboard: { help: "writes event files for TensorBoard into the runs' folders too" },
  ...WATCH_OPTION,
  ...DEVICE_OPTIONS,
  ...SLURM_OPTIONS,
} satisfies Record<string, OptionSpec>;

/** Options of all methods: they count in every row whose method has them. */
const TABLE = Object.assign({}, SHARED_OPTIONS, ...METHODS.map(({ options }) => options));

/** @throws for a folder of that name that holds a run with other options */
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
const optionsOfTask = ({ options }: Task): string[] =>
  Object.entries(flatOptions(options))
    .filter(([, value]) => value !== "")
    .flatMap(([name, value]) => [`--${name}`, String(value)]);

/** Takes a study's folder until this process ends, and removes what another one that was killed has left half written there. */
async function takeStudy(out: string): Promise<void> {
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
async function lastLine(path: string): Promise<string> {
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
async function runAll(
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

/** Where the runs compute. Throws UsageError for options that only the other place has. */
function placeOf(given: Given): (typeof PLACES)[number] {
  const on = choiceOf(TOOL, "on", given.on ?? "here", PLACES);
  if (on === "slurm" && "watch" in given) {
    throw new UsageError(
      `[${TOOL}] --watch follows runs that this command makes here; on Slurm type the command again to see how they stand`,
    );
  }
  const stray = Object.keys(SLURM_OPTIONS).find((name) => given[name] !== undefined);
  if (on === "here" && stray !== undefined) {
    throw new UsageError(`[${TOOL}] --${stray} is for a cluster; give --on slurm with it`);
  }
  return on;
}

/** What all runs are told beside their options and threads. */
const deviceArguments = (given: Given): string[] => {
  const { device, adapter, simd, memory, gpus, tensorboard } = given;
  const name = device ?? (gpus === undefined ? undefined : "gpu");
  return [
    ...(name === undefined ? [] : ["--device", name]),
    ...(adapter === undefined ? [] : ["--adapter", adapter]),
    ...(simd === undefined ? [] : ["--simd", simd]),
    ...(memory === undefined ? [] : ["--memory", memory]),
    ...(tensorboard === undefined ? [] : ["--tensorboard"]),
  ];
};

type Stands = ReadonlyMap<string, SlurmStand>;

/** How runs stand: a line for each, and a sum. */
type Told = { readonly runs: readonly object[]; readonly lines: readonly string[] };

async function standsOf(plan: readonly Planned[], out: string, onSlurm: Stands): Promise<Told> {
  const counts = new Map<string, number>();
  const runs: object[] = [];
  const lines: string[] = [];
  for (const { task, stand: own } of plan) {
    const sent = own === "done" ? undefined : onSlurm.get(task.name);
    const stand = sent?.stand ?? own;
    counts.set(stand, (counts.get(stand) ?? 0) + 1);
    const log = join(out, "logs", `${task.name}.txt`);
    const said = stand === "failed" ? await lastLine(log) : undefined;
    runs.push({ name: task.name, stand, note: sent?.note, said });
    const more = said === undefined ? "" : `: ${said} (${relative("", log)})`;
    lines.push(`${stand.padEnd(8)}${task.name}${sent ? `  (${sent.note})` : ""}${more}`);
  }
  lines.push([...counts].map(([stand, count]) => `${count} ${stand}`).join(", "));
  return { runs, lines };
}

/** Shows how a study stands on Slurm and submits what is neither done nor in the queue; whether all is done. */
async function sendAll(
  study: Study,
  plan: readonly Planned[],
  {
    out,
    given,
    directives,
    onSlurm,
  }: { out: string; given: Given; directives: readonly string[]; onSlurm: Stands },
): Promise<boolean> {
  const waiting = plan.filter(({ stand }) => stand !== "done");
  if (waiting.length === 0) return true;
  const inQueue = (name: string) => ["running", "waiting"].includes(onSlurm.get(name)?.stand ?? "");
  const next = waiting.filter(({ task }) => !inQueue(task.name));
  const { runs, lines } = await standsOf(plan, out, onSlurm);
  const submitted: string[] = [];
  if (next.length > 0) {
    await makeFolder(join(out, "logs"));
    const sent = await submit(
      TOOL,
      study.name,
      next.map(({ task }) => ({ name: task.name, options: optionsOfTask(task) })),
      {
        out,
        directives,
        device: deviceArguments(given),
        atOnce: given.jobs === undefined ? undefined : Number(given.jobs),
      },
    );
    submitted.push(...sent);
  }
  const last =
    "the same command shows how they stand, submits anew what failed or was stopped, and prints the tables when all are done";
  printResult({ study: study.name, runs, submitted }, () =>
    [...lines, ...submitted, last].join("\n"),
  );
  return false;
}

async function readStudy(path: string, over: Options, out: string | undefined): Promise<StudyFile> {
  const fail = (what: string, cause?: unknown): never => {
    throw new UsageError(`[${TOOL}] ${path} ${what}`, { cause });
  };
  const text = await readText(path, fail, "name the file of a study");
  return parseStudyFile(text, path, over, (name) => homeOf(name, out));
}

const homeOf = (name: string, out: string | undefined): string =>
  resolve(out ?? join("runs", name));

/** The study with those rows alone that have gates. */
function gatesOnly(file: StudyFile): StudyFile {
  const titles = new Set(file.gates.map(({ row }) => row));
  if (titles.size === 0) {
    throw new UsageError(`[${TOOL}] the study has no gates; leave --gates out, or write some`);
  }
  const parts = file.parts.map((part) => ({
    ...part,
    study: {
      name: part.study.name,
      rows: part.study.rows.filter((row) => titles.has(titleOfRow(row))),
    },
  }));
  return { ...file, parts };
}

/** What all parts of a study are run with. */
type How = {
  readonly given: Given;
  readonly place: (typeof PLACES)[number];
  readonly directives: readonly string[];
  readonly jobs: number;
  readonly command: string;
};

/** A part of a study has ended, or another ends it: on Slurm, or when the command is typed again. */
type Ended = "done" | "elsewhere" | "stopped";

async function planOf(
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

const slurmStands = async (
  { study }: StudyPart,
  out: string,
  place: How["place"],
): Promise<Stands> => {
  if (place !== "slurm") return new Map();
  const tasks = study.rows
    .flatMap((row) => row.tasks)
    .map((task): SlurmTask => ({ name: task.name, options: optionsOfTask(task) }));
  return standsOnSlurm(TOOL, { name: study.name, out, tasks });
};

/** Says how a part stands, and runs nothing. */
async function tellPart(part: StudyPart, out: string, { place }: How): Promise<void> {
  const onSlurm = await slurmStands(part, out, place);
  const plan = await planOf(part, out, true);
  const steps = part.steps.map((step) => ({ name: step.name, stand: standOfStep(step) }));
  const { runs, lines } = await standsOf(plan, out, onSlurm);
  const estimated = estimate(part.study, plan);
  const { name } = part.study;
  const own = part.folder === "" ? {} : { part: part.folder };
  const made = steps.length === 0 ? {} : { prepare: steps };
  printResult({ study: name, ...own, ...made, runs, estimated }, () =>
    [
      ...(part.folder === "" ? [] : [`${part.folder}:`]),
      ...steps.map((step) => `${step.stand.padEnd(8)}prepare ${step.name}`),
      ...lines,
      estimated,
    ].join("\n"),
  );
}

/** Threads of each of `jobs` processes, which share the cores. */
const threadsOf = ({ threads }: Given, jobs: number): string =>
  threads ?? String(Math.max(1, Math.floor(availableParallelism() / jobs)));

/** Makes what the runs of all parts need, as many parts at a time as there may be runs. False when the signal came. */
async function prepare(
  parts: readonly StudyPart[],
  folders: readonly string[],
  { given, place, jobs: wanted }: How,
): Promise<boolean> {
  const lacking = parts.flatMap(({ folder: title, steps }, i) =>
    steps.some((step) => standOfStep(step) !== "done")
      ? [{ title, steps, logs: join(folders[i], "logs") }]
      : [],
  );
  if (lacking.length === 0) return true;
  if (place === "slurm" && !("prepare" in given)) {
    throw new UsageError(
      `[${TOOL}] what the study prepares (${lacking[0].steps[0].folder}) is not there; run it with --prepare first, on a node that may compute`,
    );
  }
  const jobs = Math.min(wanted, lacking.length);
  const device = deviceWords({ ...given, threads: threadsOf(given, jobs) });
  const failed = await makeAll(lacking, { jobs, device });
  if (!failed) return false;
  const [first, ...others] = failed;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : `; ${others.length} more failed too, as logs/ says`;
    throw new Error(`[${TOOL}] ${first}${more}`);
  }
  return true;
}

/** Runs what is not done of a part, and writes its tables. */
async function runPart(part: StudyPart, out: string, how: How): Promise<Ended> {
  const { study } = part;
  const { given, place, jobs: wanted } = how;
  const onSlurm = await slurmStands(part, out, place);
  const plan = await planOf(part, out, false);
  if (place === "slurm") {
    const { directives } = how;
    if (!(await sendAll(study, plan, { out, given, directives, onSlurm }))) return "elsewhere";
  } else {
    const { jobs, sentence } =
      wanted === 1 || given.device?.startsWith("gpu")
        ? { jobs: wanted, sentence: "" }
        : await jobsThatFit(plan, wanted, process.availableMemory());
    if (sentence !== "") say(`${sentence}\n`);
    const more = ["--threads", threadsOf(given, jobs), ...deviceArguments(given)];
    const following = new Following(study, plan);
    if ("watch" in given) {
      const { url } = await servePage(() => following.page());
      note(`follow it at ${url}`);
    }
    const failed = await runAll(plan, { out, jobs, more, following });
    if (!failed) return "stopped";
    for (const what of failed) complain(`${what}\n`);
    if (failed.length > 0) {
      throw new Error(
        `[${TOOL}] ${failed.length} of ${plan.length} runs failed; the same command tries them again`,
      );
    }
  }
  if ("gates" in given) return "done";
  await writePlan(out, study, how.command);
  // where a cluster's jobs are submitted from there may be no GPU
  const { device: where, adapter: _, ...rest } = given;
  const device = await deviceOf(TOOL, place === "here" || where === "cpu" ? given : rest);
  await writeReport(out, { study, command: how.command }, device);
  device.destroy();
  return "done";
}

async function main({ values: given, positionals }: Line): Promise<number> {
  if (positionals.length !== 1) {
    throw new UsageError(
      `[${TOOL}] name one study, as in npx promptgen study tools/studies/world.json`,
    );
  }
  const [path] = positionals;
  const over = {
    ...checkedOptions(TOOL, TABLE, given),
    ...checkedRelations(TOOL, given.relations),
  };
  const file = await readStudy(path, over, given.out);
  const home = homeOf(file.name, given.out);
  const wanted = "gates" in given ? gatesOnly(file) : file;
  const jobs = numberOf(TOOL, "jobs", given.jobs ?? "1", { least: 1, most: 64, whole: true });
  checkDevice(TOOL, given);
  const place = placeOf(given);
  const directives = directivesOf(TOOL, given);
  // rather than in each run
  if (place === "here" && given.adapter !== undefined) await adapterNamed(given.adapter);
  await commandsOf(file.parts.flatMap(({ steps }) => steps));
  const command = ["npx promptgen study", ...wordsBehind(process.argv)].join(" ");
  const how = { given, place, directives, jobs, command };
  const folders = file.parts.map(({ folder }) => join(home, folder));
  if ("dry-run" in given) {
    for (const [i, part] of wanted.parts.entries()) await tellPart(part, folders[i], how);
    return 0;
  }
  // one of these commands at a time, or two would make, run or submit the same
  for (const folder of folders) await takeStudy(folder);
  const stopped = (): number => {
    const { reason } = onSignals();
    printResult(
      { study: file.name, stopped: reason },
      () => "stopped, saved; the same command goes on",
    );
    return exitCodeOf(reason);
  };
  if (!(await prepare(wanted.parts, folders, how))) return stopped();
  if ("prepare" in given) return 0;
  const ended: Ended[] = [];
  for (const [i, part] of wanted.parts.entries()) {
    const one = await runPart(part, folders[i], how);
    if (one === "stopped") return stopped();
    ended.push(one);
  }
  const isWhole = ended.every((one) => one === "done");
  if (isWhole && (file.gates.length > 0 || file.parts.length > 1)) await writeDose(home, wanted);
  return 0;
}

/** What was typed behind the command's name, by whichever entry. */
const wordsBehind = ([, entry, ...words]: readonly string[]): readonly string[] =>
  /\bstudy\.[jt]s$/.test(entry) ? words : words.slice(words.indexOf(TOOL) + 1);

export const command: Command = {
  name: TOOL,
  about:
    "Runs every row of a study with every seed, each as a run in a folder of its own, and prints the tables. A run that is there is not run again, one that was cut off goes on; so the same command, typed again, ends what was begun.",
  operands: "STUDY.json or .yaml",
  examples: [
    [
      "tools/studies/world.json --jobs 2",
      "all rows on the embedded world, three seeds, two runs at a time",
    ],
    [
      "tools/studies/world.json --on slurm --partition gpu --gpus 1 --time 4:00:00",
      "a job array; the same command again shows how it stands, submits anew what failed or was stopped, and ends with the tables",
    ],
    [
      "tools/studies/world.json --dry-run",
      "the runs, how each stands, how long the rest will take",
    ],
    [
      "tools/studies/paper.json --reader google-bert/bert-base-cased --generator facebook/bart-large --data DIR --candidates DIR",
      "the paper's Table 1 with the paper's models",
    ],
  ],
  options: { ...OWN, ...specsOf(TABLE), ...OWN },
  notes: `An option of train counts in place of what the file says, in every row whose method has it.

A study is YAML or JSON: name, rows (each a method with its options; a list of values makes a row of each), seeds, options (of all
rows that have them), world: true for what suits the embedded world. Its folder gets a folder for each run, what each said in
logs/, and the tables as text, Markdown, CSV and LaTeX, and report.html, a page with all of it; report writes these again.`,
  screen: 40,
  writesFiles: true,
  run: main,
};
