/** Runs a study, a file of rows and seeds, and prints its tables: `node tools/study.ts --help`. */
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { adapterNamed } from "../../engine/devices/webgpu/adapter.ts";
import { readText } from "../../models/formats/disk.ts";
import { METHODS } from "../../promptgen/methods/index.ts";
import type { Options } from "../../promptgen/methods/options.ts";
import { SHARED_OPTIONS } from "../../promptgen/run.ts";
import { titleOfRow } from "../../promptgen/study.ts";
import { parseStudyFile, type StudyFile, type StudyPart } from "../../promptgen/study-parts.ts";
import {
  checkDevice,
  choiceOf,
  complain,
  DEVICE_OPTIONS,
  deviceOf,
  exitCodeOf,
  type Given,
  note,
  numberOf,
  type OptionSpec,
  onSignals,
  printResult,
  say,
  UsageError,
} from "../lib/cli.ts";
import type { Command, Line } from "../lib/command.ts";
import { checkedOptions, checkedRelations, specsOf, WATCH_OPTION } from "../lib/run-options.ts";
import { directivesOf, SLURM_OPTIONS } from "../lib/slurm.ts";
import { writeDose } from "../lib/study-dose.ts";
import { jobsThatFit } from "../lib/study-memory.ts";
import { estimate, Following } from "../lib/study-progress.ts";
import { writePlan, writeReport } from "../lib/study-report.ts";
import { planOf, runAll, takeStudy } from "../lib/study-runs.ts";
import { type Stands, sendAll, slurmStands, standsOf } from "../lib/study-slurm.ts";
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

/** Says how a part stands, and runs nothing. */
async function tellPart(part: StudyPart, out: string, { place }: How): Promise<void> {
  const onSlurm: Stands = await (place === "slurm" ? slurmStands(part.study, out) : new Map());
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
  const plan = await planOf(part, out, false);
  if (place === "slurm") {
    const { directives } = how;
    const onSlurm = await slurmStands(study, out);
    const device = deviceArguments(given);
    const atOnce = given.jobs === undefined ? undefined : Number(given.jobs);
    const isDone = await sendAll(study, plan, { out, onSlurm, directives, device, atOnce });
    if (!isDone) return "elsewhere";
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
