/**
 * A study on a cluster: one job array of Slurm for what is to be run, an element for each task. The study's folder gets
 *
 *     slurm/1.sbatch      the script of the first submission, which names its tasks; 2.sbatch of the second, and so on
 *     slurm/1-3.txt       what Slurm itself said about its third element
 *     slurm/TASK.exit     the exit code of an element that failed
 *     logs/TASK.txt       what the run said
 *
 * How a task stands is read from these, from its run and from squeue, whose jobs have the script's name; so it needs no record of
 * what was submitted, and a process that is killed loses none. Slurm's accounting, which many clusters lack, is not asked.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { writeWhole } from "../../models/formats/files.ts";
import { ENTRY, type OptionSpec, UsageError } from "./cli.ts";

/** Elements of one array: Slurm's MaxArraySize is 1001 where nobody has changed it, and numbers begin with 1. */
const MOST_ELEMENTS = 1000;

export const SLURM_OPTIONS = {
  partition: { value: "NAME", help: "of Slurm", initial: "the cluster's" },
  gpus: { value: "N", help: "GPUs of a run on Slurm, as 1 or a100:1; it then computes on one" },
  time: { value: "TIME", help: "limit of a run on Slurm, as 30 (minutes) or 4:00:00" },
  signal: {
    value: "USR1@S",
    help: "seconds before that limit at which a run on Slurm saves and is queued again; Slurm may be a minute early",
    initial: "USR1@120",
  },
  slurm: {
    value: "LINES",
    help: 'more options of sbatch, as "--account=me --mem=8G"',
    dashes: true,
  },
} satisfies Record<string, OptionSpec>;

type Given = Readonly<Partial<Record<keyof typeof SLURM_OPTIONS | "threads" | "jobs", string>>>;

/** What a task runs: its name and the options of tools/train.ts that begin it. */
export type SlurmTask = { readonly name: string; readonly options: readonly string[] };

/** How tasks that Slurm has been given stand; those that are not here were never submitted. */
export type SlurmStand = {
  readonly stand: "running" | "waiting" | "failed" | "stopped";
  /** The element, how long it runs or why it waits; or how it ended. */
  readonly note: string;
};

/** What every script sets, and more options therefore must not. */
const RESERVED =
  /(?:^|\s)(--(?:array|chdir|error|input|job-name|no-requeue|open-mode|output|requeue|signal|wrap)(?![\w-])|-[aDeiJo](?=[\s\w=]))/;

/** Lines of `#SBATCH`, from what was given. Throws UsageError, before anything is written. */
export function directivesOf(tool: string, given: Given): string[] {
  const { signal = SLURM_OPTIONS.signal.initial, slurm = "", threads } = given;
  const seconds = /^(?:B:)?(?:SIG)?USR1@(\d+)$/i.exec(signal)?.[1];
  if (seconds === undefined || Number(seconds) > 65_535) {
    throw new UsageError(
      `[${tool}] --signal is ${signal}; write USR1@ and seconds up to 65535, as USR1@120`,
    );
  }
  const lines = [`--requeue --signal=B:USR1@${seconds}`];
  for (const name of ["partition", "gpus", "time"] as const) {
    const value = given[name];
    if (value === undefined) continue;
    if (!/^[\w.,:=+-]+$/.test(value)) {
      throw new UsageError(
        `[${tool}] --${name} is "${value}"; write it as sbatch --${name} takes it`,
      );
    }
    lines.push(`--${name}=${value}`);
  }
  if (threads !== undefined) lines.push(`--cpus-per-task=${threads}`);
  for (const line of slurm.split(/\r?\n/)) {
    const option = line.replace(/^\s*#SBATCH\s+/, "").trim();
    if (option === "") continue;
    const reserved = RESERVED.exec(option)?.[1];
    if (reserved !== undefined) {
      const remedy =
        reserved === "--signal"
          ? "give --signal=USR1@120 beside --slurm"
          : "leave it out, the study sets it";
      throw new UsageError(`[${tool}] --slurm has ${reserved}; ${remedy}`);
    }
    if (!option.startsWith("-")) {
      throw new UsageError(
        `[${tool}] --slurm has "${option}", which is no option of sbatch; write it as --mem=8G`,
      );
    }
    lines.push(option);
  }
  return lines.map((line) => `#SBATCH ${line}`);
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const caseOf = ({ name, options }: SlurmTask): string =>
  `name=${quoted(name)}; options=(${options.map(quoted).join(" ")})`;

/** The script of an array. */
function scriptOf(
  tasks: readonly SlurmTask[],
  { out, job, number, directives, device, atOnce }: Submission & { job: string; number: number },
): string {
  const most = atOnce === undefined ? "" : `%${atOnce}`;
  return `#!/bin/bash
#SBATCH --job-name=${job}
#SBATCH --array=1-${tasks.length}${most}
#SBATCH --chdir="${process.cwd()}"
#SBATCH --output="${join(out, "slurm", `${number}-%a.txt`)}" --open-mode=append
${directives.join("\n")}
# Runs of a study, an element for each; made by promptgen study.
case "$SLURM_ARRAY_TASK_ID" in
${tasks.map((task, i) => `${i + 1}) ${caseOf(task)} ;;`).join("\n")}
*) echo "there is no task $SLURM_ARRAY_TASK_ID"; exit 1 ;;
esac
study=${quoted(out)}
run="$study/$name" log="$study/logs/$name.txt" note="$study/slurm/$name"
if [ -e "$run/results.json" ] && [ -e "$run/facts.jsonl" ]; then exit 0; fi
rm -f "$note.exit"
[ "\${SLURM_RESTART_COUNT:-0}" -gt 0 ] || rm -f "$note.stopped"

# what an element of this task on another node has left there is over, for this one was started; nobody can see it from here
before=$(cat "$note.host" 2> /dev/null) here=$(uname -n)
if [ -n "$before" ] && [ "$before" != "$here" ] && grep -qsF "\\"host\\":\\"$before\\"" "$run/.lock"; then rm -f "$run/.lock"; fi
echo "$here" > "$note.host"

if [ -e "$run/run.json" ]; then options=(--resume "$run"); else options+=(--out "$run"); fi
threads=\${SLURM_CPUS_ON_NODE:-1}
[ "$threads" -le 64 ] || threads=64

# Slurm's signal before the limit comes to this shell alone; SIGTERM, of scancel, comes to the run as well
caught='' limit='' child=''
trap 'caught=1 limit=1; [ -z "$child" ] || kill -USR1 "$child"' USR1
trap 'caught=1' TERM
unset FORCE_COLOR
size=$(stat -c %s "$log" 2> /dev/null || echo 0)
NO_COLOR=1 ${[process.execPath, ENTRY, "train"].map(quoted).join(" ")} "\${options[@]}" --threads "$threads" ${device.map(quoted).join(" ")} >> "$log" 2>&1 &
child=$!
[ -z "$limit" ] || kill -USR1 "$child"
wait "$child"; code=$?
while [ -n "$caught" ]; do
  caught=''
  wait "$child"; code=$?
done

if [ "$code" -eq 0 ]; then exit 0; fi
if [ "$code" -eq $((128 + $(kill -l TERM))) ]; then exit "$code"; fi
if [ -n "$limit" ] && [ "$code" -eq $((128 + $(kill -l USR1))) ]; then
  said=$(tail -c +$((size + 1)) "$log" | grep '^stopped by' | tail -n 1)
  if [ ! -e "$note.stopped" ] || [ "$(cat "$note.stopped")" != "$said" ]; then
    echo "$said" > "$note.stopped"
    # by the array's number: the last element's own number is the array's too, and means all of it
    scontrol requeue "\${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && exit 0
    echo "[study] scontrol could not queue it again; type the study's command again" >> "$log"
  else
    echo "[study] comes no further within its time on Slurm; give it more with --time, or less to --signal" >> "$log"
  fi
elif [ "$code" -ne 1 ]; then
  echo "[study] the run ended with exit code $code" >> "$log"
fi
echo "$code" > "$note.exit"
exit "$code"
`;
}

/** What all runs of a submission share. */
type Submission = {
  /** Of the study; absolute. */
  readonly out: string;
  readonly directives: readonly string[];
  /** Options of tools/train.ts for every run. */
  readonly device: readonly string[];
  /** How many elements may run at a time; as many as Slurm will where it is left out. */
  readonly atOnce: number | undefined;
};

/** The beginning of the names of all jobs of a study: its own, and what tells its folder from others. */
const jobPrefix = (name: string, out: string): string =>
  `${name}-${createHash("sha256").update(out).digest("hex").slice(0, 8)}-`;

type Script = { readonly number: number; readonly tasks: ReadonlyMap<string, string> };

/** Which tasks the scripts of a study have, as lines of theirs by element. */
async function readScripts(out: string): Promise<Script[]> {
  const folder = join(out, "slurm");
  const names = existsSync(folder) ? await readdir(folder) : [];
  const numbers = names.flatMap((name) => /^(\d+)\.sbatch$/.exec(name)?.[1] ?? []).map(Number);
  return Promise.all(
    numbers.map(async (number) => {
      const text = await readFile(join(folder, `${number}.sbatch`), "utf8");
      const lines = [...text.matchAll(/^(\d+)\) (.*) ;;$/gm)];
      return { number, tasks: new Map(lines.map(([, element, line]) => [element, line])) };
    }),
  );
}

/**
 * States of jobs that Slurm has done with, of which squeue tells for some minutes. By itself it lists what has one of some other
 * states, and a job that is being queued again may have none of those for a moment.
 */
const ENDED = new Set(["BF", "CA", "CD", "DL", "F", "NF", "OOM", "PR", "RV", "TO"]);

const nameIn = (line: string): string => /^name='([^']*)'/.exec(line)?.[1] ?? "";

/** Runs a command of Slurm; a sentence where it fails. */
async function slurm(tool: string, command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 2 ** 28 });
    return stdout;
  } catch (cause) {
    const { code, stderr } = Object(cause);
    if (code === "ENOENT") {
      throw new UsageError(
        `[${tool}] there is no ${command} here; type this where Slurm's commands are, or leave --on slurm out`,
        { cause },
      );
    }
    const said = String(stderr)
      .trim()
      .split("\n")
      .at(-1)
      ?.replace(/^\w+: (?:error: )?/, "");
    throw new Error(`[${tool}] ${command} failed: ${said}; nothing was submitted by it`, { cause });
  }
}

/**
 * How the tasks of a study stand on Slurm, by name. What is in the queue is asked before anything else is read, so that a run that
 * ends meanwhile is seen as ended.
 * @throws where an element in the queue would run with other options than its task has
 */
export async function standsOnSlurm(
  tool: string,
  study: { readonly name: string; readonly out: string; readonly tasks: readonly SlurmTask[] },
): Promise<ReadonlyMap<string, SlurmStand>> {
  const { out } = study;
  const queue = await slurm(tool, "squeue", [
    "--noheader",
    "--array",
    "--states=all",
    `--user=${userInfo().username}`,
    "--format=%j|%F|%K|%t|%M|%r",
  ]);
  const scripts = await readScripts(out);
  const stands = new Map<string, SlurmStand>();
  for (const { tasks } of scripts) {
    for (const line of tasks.values()) {
      const name = nameIn(line);
      const code = await readFile(join(out, "slurm", `${name}.exit`), "utf8").catch(() => "");
      const note = code === "" ? "by scancel, its limit or its node" : `exit code ${code.trim()}`;
      stands.set(name, { stand: code === "" ? "stopped" : "failed", note });
    }
  }
  const prefix = jobPrefix(study.name, out);
  const wanted = new Map(study.tasks.map((task) => [task.name, caseOf(task)]));
  for (const row of queue.split("\n")) {
    const [job, array, element, state, time, ...reason] = row.trim().split("|");
    if (!job.startsWith(prefix) || ENDED.has(state)) continue;
    const number = Number(job.slice(prefix.length));
    const line = scripts.find((script) => script.number === number)?.tasks.get(element);
    if (line === undefined) continue;
    const [name, id] = [nameIn(line), `${array}_${element}`];
    const now = wanted.get(name);
    if (now !== undefined && now !== line) {
      throw new UsageError(
        `[${tool}] ${name} is in Slurm's queue as ${id} with other options; scancel ${id}, or name another --out for the changed study`,
      );
    }
    const waits = state === "PD";
    stands.set(name, {
      stand: waits ? "waiting" : "running",
      note: `${id}, ${waits ? reason.join("|") : time}`,
    });
  }
  return stands;
}

/** Submits tasks as an array, or as several where Slurm takes no such long one; gives a sentence for each. */
export async function submit(
  tool: string,
  name: string,
  tasks: readonly SlurmTask[],
  submission: Submission,
): Promise<string[]> {
  const { out } = submission;
  const paths = [out, process.cwd()];
  const odd = paths.find((path) => /["\\%\n]/.test(path));
  if (odd !== undefined) {
    throw new UsageError(
      `[${tool}] ${odd} has a character that sbatch takes for its own; use a folder without " \\ % in its path`,
    );
  }
  let number = Math.max(0, ...(await readScripts(out)).map((script) => script.number));
  const said: string[] = [];
  for (let i = 0; i < tasks.length; i += MOST_ELEMENTS) {
    number++;
    const some = tasks.slice(i, i + MOST_ELEMENTS);
    const path = join(out, "slurm", `${number}.sbatch`);
    const job = `${jobPrefix(name, out)}${number}`;
    await writeWhole(path, scriptOf(some, { ...submission, job, number }));
    const id = await slurm(tool, "sbatch", ["--parsable", path]);
    said.push(
      `submitted ${some.length} runs as job ${id.trim().split(";")[0]} (${relative("", resolve(path))})`,
    );
  }
  return said;
}
