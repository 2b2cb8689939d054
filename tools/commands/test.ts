/**
 * The test runner: `npm test [-- NAME...] [--device DEVICE] [--jobs N] [--timeout SECONDS]`, `npm run test:data --
 * FOLDER`.
 *
 * DEVICE is cpu, gpu, gpu:software or all: the CPU and a software adapter, both of which must be there, a browser and Slurm.
 * Without it tests run on what there is, and a last line names what was left out. Files in test/cpu, test/webgpu,
 * test/browser and test/slurm need what their folder is called; all others run on each device.
 *
 * Every test file is a process of its own. A file's verdict is the summary that uvu prints when its
 * tests have ended; a GPU driver may crash while the process is torn down, and a crash after a
 * complete verdict is only mentioned. No verdict, two verdicts, no tests or a skipped test is a
 * failure.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { findAdapters, findBrowser, findSlurm } from "../lib/machine.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Time that a process may take to end after its verdict. */
const TEARDOWN_MS = 20_000;

type Verdict = {
  total: number;
  passed: number;
  skipped: number;
};

type Counts = ReadonlyMap<string, number>;

type Outcome = {
  file: string;
  passed: number;
  failed: number;
  problems: string[];
  notes: string[];
  /** Tests that passed, by device; `no device` for those that need none. */
  counts: Counts;
  output: string;
  /** What passing tests have to say: how much they looked at. */
  remarks: string[];
  seconds: number;
};

const running = new Set<ReturnType<typeof spawn>>();

/** The summaries in uvu's output; a run that ended has exactly one. */
export function verdicts(output: string): Verdict[] {
  const pattern = /^ {2}Total: {5}(\d+)\r?\n {2}Passed: {4}(\d+)\r?\n {2}Skipped: {3}(\d+)$/gm;
  return [...stripVTControlCharacters(output).matchAll(pattern)].map(
    ([, total, passed, skipped]) => ({
      total: Number(total),
      passed: Number(passed),
      skipped: Number(skipped),
    }),
  );
}

/** Tests that passed by device: the names of their suites end in "on DEVICE". */
export function counted(output: string): Map<string, number> {
  const counts = new Map<string, number>();
  const text = stripVTControlCharacters(output);
  let end = 0;
  for (const { 0: found, 1: passed, index } of text.matchAll(/ {2}\((\d+) \/ \d+\)\n/g)) {
    const suite = text.slice(end, index);
    end = index + found.length;
    const device = /^ .* on (cpu|gpu|gpu:software) /m.exec(suite)?.[1] ?? "no device";
    counts.set(device, (counts.get(device) ?? 0) + Number(passed));
  }
  return counts;
}

/** What tests printed themselves, without uvu's dots, names of suites and summaries. */
export function remarks(output: string): string[] {
  return stripVTControlCharacters(output)
    .split(/\r?\n/)
    .map((line) => line.replace(/^.*[•✘] /, "").replace(/^ \S.*? {2}/, ""))
    .filter((line) => line.trim() && !/^ {2}(\w+: {2,}|\(\d+ \/ \d+\)$)/.test(line))
    .map((line) => line.trim());
}

/** What one process said and how it ended, as counts and sentences. */
export function judge(
  output: string,
  ended: { code: number | null; signal: string | null; timedOut: boolean },
): Pick<Outcome, "passed" | "failed" | "problems" | "notes"> {
  const found = verdicts(output);
  const [verdict] = found;
  const how = ended.signal === null ? `exit code ${ended.code}` : `signal ${ended.signal}`;
  if (verdict === undefined) {
    const why = ended.timedOut ? "ran past the time limit" : `ended with ${how}`;
    return { passed: 0, failed: 1, problems: [`no verdict: the process ${why}`], notes: [] };
  }
  const problems: string[] = [];
  const notes: string[] = [];
  if (found.length > 1) problems.push("several verdicts: call run() for every suite at once");
  if (verdict.total === 0) problems.push("no tests: does the file call test.run()?");
  if (verdict.skipped > 0) problems.push(`${verdict.skipped} skipped: run them or remove them`);
  const broken = verdict.total - verdict.passed;
  if (ended.timedOut) notes.push("stopped: it did not end by itself after its verdict");
  else if (ended.signal !== null) notes.push(`crashed after its verdict (${how})`);
  else if (ended.code !== 0 && broken === 0) problems.push(`all tests passed, but ${how}`);
  return { passed: verdict.passed, failed: broken + problems.length, problems, notes };
}

function runFile(file: string, timeoutMs: number): Promise<Outcome> {
  return new Promise((done) => {
    const start = performance.now();
    const child = spawn(process.execPath, [file], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", NODE_DISABLE_COLORS: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    let output = ""; // both streams, for a reader
    let said = ""; // standard output, where the verdict is
    let timedOut = false;
    const stop = () => {
      timedOut = true;
      child.kill("SIGKILL");
    };
    let timer = setTimeout(stop, timeoutMs);
    let complete = false;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      said += text;
      if (complete || verdicts(said).length === 0) return;
      complete = true;
      clearTimeout(timer);
      timer = setTimeout(stop, TEARDOWN_MS);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.on("error", (error) => {
      output += `\n${error.message}\n`;
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const seconds = (performance.now() - start) / 1000;
      const judged = judge(said, { code, signal, timedOut });
      done({ file, output, seconds, counts: counted(said), remarks: remarks(said), ...judged });
    });
  });
}

function show(outcome: Outcome): void {
  const { file, passed, failed, seconds, problems, notes, output } = outcome;
  const counts = failed === 0 ? `${passed} passed` : `${passed} passed, ${failed} FAILED`;
  const said = [...problems, ...notes].map((text) => ` (${text})`).join("");
  console.log(
    `${failed === 0 ? "ok  " : "FAIL"} ${relative(ROOT, file)}: ${counts}, ${seconds.toFixed(1)} s${said}`,
  );
  if (failed > 0) console.log(output.trimEnd().replace(/^/gm, "    "));
  else for (const line of outcome.remarks) console.log(`       ${line}`);
}

function find(folder: string, ending: string): string[] {
  const path = resolve(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => resolve(path, name))
    .sort();
}

/**
 * The data folder, from the command line or the environment; a sentence and an exit when there is
 * none.
 */
function dataFolder(argument: string | undefined): string {
  const given = argument ?? process.env.PROMPTGEN_DATA;
  const wanted = "it holds lama/ (the OptiPrompt archive's layout) and tokenizers/";
  if (given === undefined || given === "") {
    return fail(`[test:data] no data folder; type npm run test:data -- FOLDER, where ${wanted}`);
  }
  const folder = resolve(given);
  if (!existsSync(folder)) {
    return fail(
      `[test:data] ${folder} does not exist; name another folder or set PROMPTGEN_DATA: ${wanted}`,
    );
  }
  return folder;
}

function fail(message: string): never {
  console.error(message);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) fail(`[test] --${name} is ${text}; give a number above 0`);
  return value;
}

const CHOICES = ["cpu", "gpu", "gpu:software", "all"];

/** The folders under test/ that are left out, and a sentence about what is missing, if anything is. */
export function choose(
  choice: string | undefined,
  has: {
    readonly adapters: readonly string[];
    readonly browser: boolean;
    readonly slurm: boolean;
    readonly why: string;
  },
): { left: string[]; devices: string; missing: string } {
  const lacks = [
    ...(has.adapters.length > 0
      ? []
      : ["the WebGPU half, as there is no Vulkan adapter (bash tools/setup.sh)"]),
    ...(has.browser ? [] : ["the pages, as there is no Chromium (bash tools/setup.sh --browser)"]),
    ...(has.slurm ? [] : ["job arrays, as there is no Slurm (bash tools/setup.sh --slurm)"]),
  ];
  const missing = lacks.length > 0 ? `[test] left out: ${lacks.join("; ")}` : "";
  if (choice === undefined) {
    const left = [
      ...(has.adapters.length > 0 ? [] : ["webgpu"]),
      ...(has.browser ? [] : ["browser"]),
      ...(has.slurm ? [] : ["slurm"]),
    ];
    return { left, devices: has.adapters.length > 0 ? "" : "cpu", missing };
  }
  if (choice === "all" && missing !== "") {
    fail(`[test] --device all needs everything, but this machine lacks ${lacks.join("; ")}`);
  }
  const named = choice === "all" ? "gpu:software" : choice;
  if (named !== "cpu" && !has.adapters.includes(named)) {
    fail(`[test] --device ${choice} needs ${named}: ${has.why || "there is none"}`);
  }
  const left = [
    ...(choice === "cpu" ? ["webgpu"] : []),
    ...(choice.startsWith("gpu") ? ["cpu"] : []),
    ...(has.browser && choice !== "gpu" ? [] : ["browser"]),
    ...(has.slurm && !choice.startsWith("gpu") ? [] : ["slurm"]),
  ];
  return { left, devices: choice, missing: has.browser && has.slurm ? "" : missing };
}

const HELP = `Runs the test files, each in a process of its own: npm test -- [NAME...] [options]

NAME is part of a file's path under test/, as softmax or models/bert; all files without one.

  --device D       cpu, gpu, gpu:software, or all, which needs the CPU, a software adapter, a
                   browser and Slurm; without it what there is, and the end names the rest
  --jobs N         files at a time (1)
  --timeout S      seconds that a file may take (300)
  -h, --help       this text

npm run test:data -- FOLDER counts the real facts; FOLDER holds lama/ and tokenizers/.
The exit code is 1 when a test fails, is skipped, or ends without a verdict.`;

/** The command line, or a sentence and an exit for one that is none. */
function commandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        jobs: { type: "string", default: "1" },
        timeout: { type: "string", default: "300" },
        data: { type: "boolean", default: false },
        device: { type: "string", default: process.env.PROMPTGEN_TEST_DEVICES || undefined },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    const [said] = String(error instanceof Error ? error.message : error).split(/\. (?=To )|\n/);
    return fail(`[test] ${said}; npm test -- --help has the options`);
  }
}

async function main(): Promise<void> {
  const { values, positionals } = commandLine();
  if (values.help) return console.log(HELP);
  const choice = values.device;
  if (choice !== undefined && !CHOICES.includes(choice)) {
    fail(`[test] --device is ${choice}; choose among ${CHOICES.join(", ")}`);
  }
  let files: string[];
  if (values.data) {
    process.env.PROMPTGEN_DATA = dataFolder(positionals[0]);
    files = find("test/data", ".data.ts");
  } else {
    files = find("test", ".test.ts").filter(
      (file) =>
        positionals.length === 0 || positionals.some((name) => relative(ROOT, file).includes(name)),
    );
  }
  if (files.length === 0) fail(`[test] no test file matches ${positionals.join(" ")}; see test/`);
  const jobs = Math.min(positive("jobs", values.jobs), availableParallelism() * 2);
  const timeoutMs = positive("timeout", values.timeout) * 1000;
  let line = "";
  if (!values.data) {
    const { names: adapters, why } = findAdapters();
    const { left, devices, missing } = choose(choice, {
      adapters,
      why,
      browser: findBrowser() !== undefined,
      slurm: findSlurm() !== undefined,
    });
    process.env.PROMPTGEN_TEST_DEVICES = devices;
    files = files.filter(
      (file) => !left.some((f) => relative(ROOT, file).startsWith(`test/${f}/`)),
    );
    line = missing;
    if (files.length === 0) {
      const where = left.map((f) => `test/${f}`).join(" and ");
      fail(
        `[test] what matches is in ${where}, which is left out here; see npm test -- --device all`,
      );
    }
    const build = [resolve(ROOT, "tools/commands/kernels.ts"), "--if-needed"];
    const { status, stderr } = spawnSync(process.execPath, build, { encoding: "utf8" });
    if (status !== 0) fail(stderr.trim());
  }
  let passed = 0;
  let failed = 0;
  const counts = new Map<string, number>();
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const outcome = await runFile(file, timeoutMs);
      show(outcome);
      passed += outcome.passed;
      failed += outcome.failed;
      for (const [device, n] of outcome.counts) counts.set(device, (counts.get(device) ?? 0) + n);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  const on = [...counts].sort().map(([device, n]) => `${n} on ${device}`);
  console.log(`passed: ${on.join(", ")}`);
  if (choice === "all" && positionals.length === 0 && !values.data) {
    for (const device of ["cpu", "gpu:software"].filter((name) => !counts.has(name))) {
      console.log(`[test] no test ran on ${device}`);
      failed++;
    }
  }
  if (line !== "") console.log(line);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      for (const child of running) child.kill("SIGKILL");
      process.exit(130);
    });
  }
  await main();
}
