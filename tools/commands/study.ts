/** Runs a study, a file of rows and seeds, and prints its tables: `node tools/study.ts --help`. */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MultiBar, type SingleBar } from "cli-progress";
import { adapterNamed } from "../../engine/devices/webgpu/adapter.ts";
import { makeFolder } from "../../models/formats/files.ts";
import { readText } from "../../models/formats/text.ts";
import { METHODS } from "../../promptgen/methods/index.ts";
import { flatOptions, SHARED_OPTIONS } from "../../promptgen/run.ts";
import { readRun } from "../../promptgen/run-file.ts";
import { parseStudy, type Study, type Task } from "../../promptgen/study.ts";
import { takeFolder } from "../../promptgen/training/lock.ts";
import { RunFolder, sameConfiguration } from "../../promptgen/training/run-folder.ts";
import {
  checkDevice,
  commandLine,
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  numberOf,
  type OptionSpec,
  onSignals,
  optionHelp,
  type ProgressMessage,
  runTool,
  say,
  UsageError,
} from "../lib/cli.ts";
import { checkedOptions, checkedRelations, specsOf, WATCH_OPTION } from "../lib/run-options.ts";
import {
  directivesOf,
  SLURM_OPTIONS,
  type SlurmStand,
  type SlurmTask,
  standsOnSlurm,
  submit,
} from "../lib/slurm.ts";
import { estimate, Following, type Planned, type Stand } from "../lib/study-progress.ts";
import { writePlan, writeReport } from "../lib/study-report.ts";
import { servePage } from "../lib/watch.ts";

const TOOL = "study";
const TRAIN = fileURLToPath(new URL("../train.ts", import.meta.url));

const OWN = {
  out: { value: "DIR", help: "folder of the study", initial: "runs/ and the study's name" },
  on: { value: "PLACE", help: "here, or slurm: as a job array of a cluster", initial: "here" },
  jobs: {
    value: "N",
    help: "runs at a time, which share the cores",
    initial: "1; on Slurm as many as it will",
  },
  "dry-run": {
    help: "lists the runs, how each stands and how long the rest will take, and runs none",
  },
  relations: { value: "IDS", help: "relations to use, as in P36,P17", initial: "the file's" },
  tensorboard: { help: "writes event files for TensorBoard into the runs' folders too" },
  ...WATCH_OPTION,
  ...DEVICE_OPTIONS,
  ...SLURM_OPTIONS,
} satisfies Record<string, OptionSpec>;

/** Options of all methods: they count in every row whose method has them. */
const TABLE = Object.assign({}, SHARED_OPTIONS, ...METHODS.map(({ options }) => options));

const HELP = `Runs every row of a study with every seed, each as a run in a folder of its own, and prints the tables. A run that is there is not
run again, one that was cut off goes on; so the same command, typed again, ends what was begun.

  npx node tools/study.ts tools/studies/world.json
      all rows on the embedded world, three seeds
  npx node tools/study.ts tools/studies/paper.json --reader google-bert/bert-base-cased --generator facebook/bart-large --data DIR --candidates DIR
      the paper's Table 1 with the paper's models
  npx node tools/study.ts tools/studies/world.json --on slurm --partition gpu --gpus 1 --time 4:00:00
      a job array; the same command again shows how it stands, submits anew what failed or was stopped, and ends with the tables

Options
${optionHelp(OWN)}
  --OPTION VALUE    any other option of tools/train.ts, in place of what the file says, in every row whose method has it

A study is YAML or JSON: name, rows (each a method with its options; a list of values makes a row of each), seeds, options (of all rows that
have them), world: true for what suits the embedded world. Its folder gets a folder for each run, what each said in logs/, and the
tables as text, Markdown, CSV and LaTeX, and report.html, a page with all of it; tools/report.ts writes these again.
`;

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
    if (!process.stderr.isTTY) return;
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
  const child = fork(TRAIN, argumentsOf(planned, device), {
    stdio: ["ignore", out, out, "ipc"],
    env: { ...process.env, NO_COLOR: "1" },
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

type Given = Readonly<Record<string, string | undefined>>;

/** Where the runs compute. Throws UsageError for options that only the other place has. */
function placeOf(given: Given): "here" | "slurm" {
  const { on = "here" } = given;
  if (on !== "here" && on !== "slurm") {
    throw new UsageError(`[${TOOL}] --on is ${on}; choose among here, slurm`);
  }
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
const deviceArguments = ({ device, adapter, memory, gpus, tensorboard }: Given): string[] => {
  const name = device ?? (gpus === undefined ? undefined : "gpu");
  return [
    ...(name === undefined ? [] : ["--device", name]),
    ...(adapter === undefined ? [] : ["--adapter", adapter]),
    ...(memory === undefined ? [] : ["--memory", memory]),
    ...(tensorboard === undefined ? [] : ["--tensorboard"]),
  ];
};

type Stands = ReadonlyMap<string, SlurmStand>;

/** A line for each run, and a sum. */
async function printStands(plan: readonly Planned[], out: string, onSlurm: Stands): Promise<void> {
  const counts = new Map<string, number>();
  for (const { task, stand: own } of plan) {
    const sent = own === "done" ? undefined : onSlurm.get(task.name);
    const stand = sent?.stand ?? own;
    counts.set(stand, (counts.get(stand) ?? 0) + 1);
    const log = join(out, "logs", `${task.name}.txt`);
    const said = stand === "failed" ? `: ${await lastLine(log)} (${relative("", log)})` : "";
    const note = sent ? `  (${sent.note})` : "";
    console.log(`${stand.padEnd(8)}${task.name}${note}${said}`);
  }
  console.log([...counts].map(([stand, count]) => `${count} ${stand}`).join(", "));
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
  await printStands(plan, out, onSlurm);
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
    for (const sentence of sent) console.log(sentence);
  }
  console.log(
    "the same command shows how they stand, submits anew what failed or was stopped, and prints the tables when all are done",
  );
  return false;
}

async function readStudy(path: string, over: Parameters<typeof parseStudy>[2]): Promise<Study> {
  const fail = (what: string, cause?: unknown): never => {
    throw new UsageError(`[${TOOL}] ${path} ${what}`, { cause });
  };
  return parseStudy(await readText(path, fail, "name the file of a study"), path, over);
}

async function main(): Promise<number> {
  const line = commandLine(TOOL, { ...specsOf(TABLE), ...OWN }, HELP);
  if (!line) return 0;
  const { values, positionals } = line;
  const given: Given = values;
  if (positionals.length !== 1) {
    throw new UsageError(
      `[${TOOL}] name one study, as in npx node tools/study.ts tools/studies/world.json`,
    );
  }
  const [path] = positionals;
  const over = {
    ...checkedOptions(TOOL, TABLE, given),
    ...checkedRelations(TOOL, given.relations),
  };
  const study = await readStudy(path, over);
  const out = resolve(given.out ?? join("runs", study.name));
  const jobs = numberOf(TOOL, "jobs", given.jobs ?? "1", { least: 1, most: 64, whole: true });
  checkDevice(TOOL, given);
  const place = placeOf(given);
  const directives = directivesOf(TOOL, given);
  // rather than in each run
  if (place === "here" && given.adapter !== undefined) await adapterNamed(given.adapter);
  const tasks = study.rows.flatMap((row) => row.tasks);
  const own = tasks.map((task): SlurmTask => ({ name: task.name, options: optionsOfTask(task) }));
  // one of these commands at a time, or two would submit the same
  if (place === "slurm" && !("dry-run" in given)) await takeFolder(join(out, "slurm"));
  const onSlurm =
    place === "slurm"
      ? await standsOnSlurm(TOOL, { name: study.name, out, tasks: own })
      : new Map();
  const plan: Planned[] = [];
  for (const task of tasks) {
    const folder = new RunFolder(join(out, task.name));
    plan.push({ task, folder, stand: await standOf(folder, task) });
  }
  if ("dry-run" in given) {
    await printStands(plan, out, onSlurm);
    console.log(estimate(study, plan));
    return 0;
  }
  if (place === "slurm") {
    if (!(await sendAll(study, plan, { out, given, directives, onSlurm }))) return 0;
  } else {
    const threads = given.threads ?? String(Math.max(1, Math.floor(availableParallelism() / jobs)));
    const more = ["--threads", threads, ...deviceArguments(given)];
    const following = new Following(study, plan);
    if ("watch" in given) {
      const { url } = await servePage(() => following.page());
      console.log(`follow it at ${url}`);
    }
    const failed = await runAll(plan, { out, jobs, more, following });
    if (!failed) {
      console.log("stopped, saved; the same command goes on");
      return exitCodeOf(onSignals().reason);
    }
    for (const what of failed) say(`${what}\n`);
    if (failed.length > 0) {
      throw new Error(
        `[${TOOL}] ${failed.length} of ${plan.length} runs failed; the same command tries them again`,
      );
    }
  }
  const command = ["npx node tools/study.ts", ...process.argv.slice(2)].join(" ");
  await writePlan(out, study, command);
  // where a cluster's jobs are submitted from there may be no GPU
  const { device: where, adapter: _, ...rest } = given;
  const device = await deviceOf(TOOL, place === "here" || where === "cpu" ? given : rest);
  await writeReport(out, { study, command }, device);
  return 0;
}

await runTool(main, { writesFiles: true });
