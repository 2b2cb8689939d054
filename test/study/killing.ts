/**
 * A study that is killed again and again, and one that is not: whether they end in the same files. Processes are found by a mark in
 * their environment, wherever they hang in the tree, so that it takes a system with /proc.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  type FSWatcher,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  watch,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Random } from "../../models/training/random.ts";
import { readSteps, STEPS_FILE } from "../../promptgen/training/steps.ts";
import { ROOT } from "../tools/command.ts";

/** Of whom a SIGKILL takes the life: of all processes, of the command alone, or of one run. */
const VICTIMS = ["tree", "study", "run"] as const;
export type Victim = (typeof VICTIMS)[number];

export type KillOptions = {
  /** The study's file. */
  readonly file: string;
  /** A folder for all that is written: whole/, and cut-1/, cut-2/ and so on, as often as a study ends before all kills are done. */
  readonly home: string;
  readonly kills: number;
  /** Decides the moments and the victims. */
  readonly seed: number;
  readonly jobs: number;
  /** Always the whole tree, or any of the three, by the seed. */
  readonly victims: "tree" | "any";
  /** More of the command line of tools/study.ts. */
  readonly args: readonly string[];
  /** The folder of an undisturbed run that has ended; without it there is one first. */
  readonly whole?: string | undefined;
  /** Seconds over which the kills are spread; those of the undisturbed run when left out. */
  readonly span?: number | undefined;
  say?(line: string): void;
};

export type Kill = {
  readonly victim: Victim;
  /** A file was just being written. */
  readonly amidFile: boolean;
};

/** One start of the command. */
export type Start = {
  readonly round: number;
  /** Seconds that it ran. */
  readonly seconds: number;
  /** Empty: it came to its end. Where one run alone is killed the others go on. */
  readonly kills: readonly Kill[];
  /** How many runs it began, went on with and ended. */
  readonly began: number;
  readonly wentOn: number;
  readonly ended: number;
};

export type Killed = {
  readonly starts: readonly Start[];
  /** Files that were found equal. */
  readonly compared: number;
  /** Sentences; empty where all is as it must be. */
  readonly faults: readonly string[];
};

const MARK = "PROMPTGEN_KILLED_STUDY";
const PURPOSE = 0x6b696c6c;
/** Time that processes may take to end when the command that started them is dead. */
const LAST_MS = 60_000;

/** Numbers of the living processes that have the mark. */
function marked(mark: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const isMarked = readFileSync(`/proc/${name}/environ`, "latin1").includes(`${MARK}=${mark}`);
      return isMarked && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${name}/status`, "latin1"))
        ? [Number(name)]
        : [];
    } catch {
      return []; // it has ended, or is another person's
    }
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it was quicker
  }
}

/** How many times a line stands in the logs of a study, by the name of its run. */
function counted(out: string, pattern: RegExp): ReadonlyMap<string, number> {
  const folder = join(out, "logs");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return new Map(
    names.map((name) => {
      const lines = readFileSync(join(folder, name), "utf8").split("\n");
      return [name.replace(/\.txt$/, ""), lines.filter((line) => pattern.test(line)).length];
    }),
  );
}

const BEGAN = /^\[study\] begins /;
const WENT_ON = /^\[study\] goes on with /;
const ENDED = /^saved in .*; the paper's tables: /;

const sum = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((total, one) => total + one, 0);

/** The runs that have ended, each with what its results are known by: they are written once. */
function endedRuns(out: string): ReadonlyMap<string, string> {
  if (!existsSync(out)) return new Map();
  return new Map(
    readdirSync(out).flatMap((name) => {
      const path = join(out, name, "results.json");
      if (!existsSync(path)) return [];
      const { ino, mtimeMs } = statSync(path);
      return [[name, `${ino} ${mtimeMs}`] as const];
    }),
  );
}

/** Kills a study until it has been killed as often as was asked for, lets it end, and compares. */
export async function killStudy(options: KillOptions): Promise<Killed> {
  const { home, kills, seed, victims, say = () => {} } = options;
  const faults: string[] = [];
  const starts: Start[] = [];
  let span = options.span ?? 0;
  let { whole } = options;
  if (whole === undefined) {
    whole = join(home, "whole");
    say("undisturbed");
    const began = performance.now();
    const ended = await started(whole, options, "whole").ended;
    if (ended !== 0) throw new Error(`[kill] the undisturbed study ended with code ${ended}`);
    if (span === 0) span = (performance.now() - began) / 1000;
    say(`undisturbed: ${span.toFixed(1)} s`);
  }
  const random = new Random(seed, PURPOSE);
  let compared = 0;
  let left = kills;
  for (let round = 1; left > 0; round++) {
    const out = join(home, `cut-${round}`);
    for (;;) {
      const mark = `${process.pid}-${seed}-${round}-${starts.length}`;
      const before = {
        began: sum(counted(out, BEGAN)),
        went: sum(counted(out, WENT_ON)),
        done: endedRuns(out),
      };
      const began = performance.now();
      const { child, ended } = started(out, options, mark);
      const struck: Kill[] = [];
      while (left > 0) {
        const wanted = victims === "tree" ? "tree" : VICTIMS[random.bits() % VICTIMS.length];
        const moment = ((2 * span) / (kills + 1)) * random.unit();
        const amidFile = random.unit() < 0.5;
        await Promise.race([ended, wait(1000 * moment)]);
        if (amidFile) await Promise.race([ended, nextWrite(out)]);
        if (child.exitCode !== null) break;
        const victim = strike(child, mark, wanted);
        struck.push({ victim, amidFile });
        left--;
        if (victim !== "run") break;
      }
      const code = await ended;
      const number = starts.length + 1;
      const orphans = await lasting(mark);
      for (const pid of orphans) kill(pid);
      if (orphans.length > 0) faults.push(`start ${number}: ${orphans.length} processes lived on`);
      const after = endedRuns(out);
      for (const [name, what] of before.done) {
        if (after.get(name) !== what)
          faults.push(`start ${number}: ${name} was done and was run again`);
      }
      const start: Start = {
        round,
        seconds: (performance.now() - began) / 1000,
        kills: struck,
        began: sum(counted(out, BEGAN)) - before.began,
        wentOn: sum(counted(out, WENT_ON)) - before.went,
        ended: after.size - before.done.size,
      };
      starts.push(start);
      say(lineOf(number, start));
      if (struck.length > 0) continue;
      if (code === 0) break;
      faults.push(`start ${number}: the study ended with code ${code}, see ${out}.txt`);
      return { starts, compared, faults };
    }
    for (const [name, count] of counted(out, ENDED)) {
      if (count > 1) faults.push(`round ${round}: ${name} came to its end ${count} times`);
    }
    const { same, differing } = compare(whole, out);
    compared += same;
    faults.push(...differing.map((what) => `round ${round}: ${what}`));
  }
  return { starts, compared, faults };
}

type Started = { readonly child: ChildProcess; readonly ended: Promise<number> };

/** The command as a group of processes of its own; what it says goes to OUT.txt. */
function started(out: string, { file, jobs, args, home }: KillOptions, mark: string): Started {
  mkdirSync(home, { recursive: true });
  const log = openSync(`${out}.txt`, "a");
  const child = spawn(
    process.execPath,
    [join(ROOT, "tools/study.ts"), file, "--out", out, "--jobs", String(jobs), ...args],
    {
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...process.env, NO_COLOR: "1", [MARK]: mark },
    },
  );
  closeSync(log);
  const ended = new Promise<number>((done, failed) => {
    child.on("error", failed);
    child.on("exit", (code) => done(code ?? -1));
  });
  return { child, ended };
}

/** The moment at which a file of the study is written next; two seconds at most. */
async function nextWrite(out: string): Promise<void> {
  let watcher: FSWatcher | undefined;
  await new Promise<void>((done) => {
    const timer = setTimeout(done, 2000);
    try {
      watcher = watch(out, { recursive: true }, (_, name) => {
        if (String(name).startsWith("logs")) return;
        clearTimeout(timer);
        done();
      });
      watcher.on("error", () => {}); // a folder went while it was looked at
    } catch {
      // the study has not made its folder yet
    }
  });
  watcher?.close();
}

/** Kills; gives whom: all, where no run is under way. */
function strike(child: ChildProcess, mark: string, wanted: Victim): Victim {
  const { pid = 0 } = child;
  const [run] = marked(mark).filter((one) => one !== pid);
  const victim = wanted === "run" && run === undefined ? "tree" : wanted;
  kill({ tree: -pid, study: pid, run }[victim]);
  return victim;
}

/** The processes with the mark that do not end. */
async function lasting(mark: string): Promise<number[]> {
  const until = performance.now() + LAST_MS;
  for (let all = marked(mark); ; all = marked(mark)) {
    if (all.length === 0 || performance.now() > until) return all;
    await wait(50);
  }
}

/** What a start did, in one line. */
export function lineOf(i: number, { round, seconds, kills, ...did }: Start): string {
  const whom = kills.map(({ victim, amidFile }) => `${victim}${amidFile ? " amid a file" : ""}`);
  return [
    String(i).padStart(5),
    String(round).padStart(6),
    `${seconds.toFixed(1)} s`.padStart(9),
    ...[did.began, did.wentOn, did.ended].map((n) => String(n).padStart(7)),
    kills.length === 0 ? "ended" : `killed: ${whom.join(", ")}`,
  ].join("  ");
}

/** Above those lines. */
export const HEAD = [
  "start".padStart(5),
  "study".padStart(6),
  "took".padStart(9),
  ...["began", "went on", "ended"].map((name) => name.padStart(7)),
  "how",
].join("  ");

// Comparison

/** Files that say when and where: what all of them hold beside that is compared, or is said by another file. */
const TIMED = /^(logs\/.*|study\.json|report\.html|.*seconds\.json)$/;

/** Holds every file of two folders of one study against each other; times and memory are no part of that. */
export function compare(whole: string, cut: string): { same: number; differing: string[] } {
  const [all, own] = [filesOf(whole), filesOf(cut)];
  const differing = [
    ...all.filter((name) => !own.includes(name)).map((name) => `${name} is missing`),
    ...own.filter((name) => !all.includes(name)).map((name) => `${name} was left behind`),
  ];
  let same = 0;
  for (const name of all) {
    if (!own.includes(name) || TIMED.test(name)) continue;
    const [first, second] = [whole, cut].map((folder) => contentOf(join(folder, name)));
    if (first.equals(second)) same++;
    else differing.push(`${name} differs`);
  }
  return { same, differing };
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();

function contentOf(path: string): Buffer {
  const bytes = readFileSync(path);
  if (path.endsWith(STEPS_FILE)) {
    const table = readSteps(dirname(path));
    if (!table) return bytes;
    const { columns, values, steps } = table;
    const pace = columns.indexOf("factsPerSecond");
    const untimed = values.map((x, i) => (i % columns.length === pace ? 0 : x));
    return Buffer.concat([
      Buffer.from(JSON.stringify([columns, steps])),
      Buffer.from(untimed.buffer),
    ]);
  }
  if (!path.endsWith("results.json")) return bytes;
  const { seconds: _, memory: __, ...rest } = JSON.parse(bytes.toString());
  return Buffer.from(JSON.stringify(rest));
}
