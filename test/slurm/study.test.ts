/** Studies as job arrays of a real Slurm: the numbers of a study that runs here, whatever happens to its elements and to the command. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { printedBy, run } from "../tools/command.ts";
import { type Cluster, startCluster, until } from "./cluster.ts";

const test = suite("study on Slurm");

const home = mkdtempSync(join(tmpdir(), "promptgen study-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

let cluster: Cluster;
test.before(async () => {
  cluster = await startCluster();
});
test.after(() => cluster.stop());

const RUNS = ["majority-seed1", "optiprompt-seed1", "optiprompt-seed2"];
const facts = (out: string) => RUNS.map((name) => readFileSync(join(out, name, "facts.jsonl")));
const tables = (out: string) => readFileSync(join(out, "tables.csv"), "utf8");
const scripts = (out: string) =>
  readdirSync(join(out, "slurm")).filter((name) => name.endsWith(".sbatch"));

const file = join(home, "small.yaml");
writeFileSync(
  file,
  `name: small
world: true
options: { relations: "P36,P17" }
rows:
  - { method: majority }
  - { method: optiprompt, vectors: 5, epochs: 3, seeds: [1, 2] }
`,
);
const here = join(home, "here");
const common = ["--device", "cpu"];
const send = (out: string, ...more: string[]) =>
  printedBy("study.ts", [file, "--out", out, ...common, "--on", "slurm", ...more], {
    env: cluster.env,
  });

/** Waits until nothing of any study is in the queue. */
const idle = () =>
  until(
    () => `[slurm] still has ${cluster.ask("squeue")}`,
    () => cluster.isIdle(),
    200,
  );

test("an array ends in the same bits; a run that fails once is said and submitted again", async () => {
  await printedBy("study.ts", [file, "--out", here, ...common, "--threads", "1"]);
  const out = join(home, "array");
  mkdirSync(out);
  writeFileSync(join(out, RUNS[1]), "a file in the place of the run's folder");
  const first = await send(out, "--partition", "all", "--slurm", "--comment=a\n#SBATCH --nice=1");
  assert.match(first, /^new {5}majority-seed1\n/);
  assert.match(first, /submitted 3 runs as job \d+ \(.*slurm\/1\.sbatch\)/);
  await idle();
  const stands = await send(out, "--dry-run");
  assert.match(
    stands,
    /failed {2}optiprompt-seed1 {2}\(exit code 1\): error \[train\] --out is .* no folder/,
  );
  assert.match(stands, /2 done, 1 failed/);
  const done = statSync(join(out, RUNS[2], "facts.jsonl")).mtimeMs;
  rmSync(join(out, RUNS[1]));
  assert.match(await send(out), /submitted 1 runs as job \d+ \(.*slurm\/2\.sbatch\)/);
  await idle();
  assert.match(await send(out), /tests between rows/);
  assert.deepEqual(facts(out), facts(here));
  assert.equal(tables(out), tables(here));
  assert.equal(statSync(join(out, RUNS[2], "facts.jsonl")).mtimeMs, done, "nothing is run twice");
});

test("after scancel, a killed command and a dead node's lock the study goes on to the same bits", async () => {
  const out = join(home, "cut");
  // an sbatch that submits and lets nobody hear of it
  const bin = join(home, "bin");
  mkdirSync(bin);
  const real = ["/usr/bin", "/usr/local/bin"].find((at) => existsSync(`${at}/sbatch`));
  writeFileSync(join(bin, "sbatch"), `#!/bin/sh\n${real}/sbatch "$@"; kill -9 $PPID\n`);
  chmodSync(join(bin, "sbatch"), 0o755);
  const env = { ...cluster.env, PATH: `${bin}:${process.env.PATH}` };
  const args = [file, "--out", out, ...common, "--on", "slurm", "--jobs", "1"];
  assert.equal((await run("study.ts", args, { env })).code, null, "killed");
  assert.match(await send(out), /(running|waiting) optiprompt-seed1 {2}\(\d+_2, /);
  assert.deepEqual(scripts(out), ["1.sbatch"], "what is in the queue is not submitted again");
  assert.match(cluster.ask("scontrol", "show", "job"), /ArrayTaskThrottle=1/);
  const changed = await run("study.ts", [...args, "--epochs", "4"], { env: cluster.env });
  assert.match(
    changed.error,
    /^error \[study\] optiprompt-seed\d .*(with other options; scancel \d+_\d|started with 3)/,
  );
  const saved = join(out, RUNS[1], "P17", "last.safetensors");
  await until(
    () => readFileSync(join(out, "logs", `${RUNS[1]}.txt`), "utf8"),
    () => existsSync(saved),
  );
  cluster.ask("scancel", `--user=${process.getuid?.()}`);
  await idle();
  assert.match(readFileSync(join(out, "logs", `${RUNS[1]}.txt`), "utf8"), /stopped by SIGTERM/);
  const owner = { host: "elsewhere", boot: "", space: "", pid: 1, started: "", token: "a" };
  writeFileSync(join(out, RUNS[1], ".lock"), JSON.stringify(owner));
  writeFileSync(join(out, "slurm", `${RUNS[1]}.host`), "elsewhere\n");
  assert.match(await send(out), /stopped optiprompt-seed2 .*\n.*1 done, 2 stopped/);
  await idle();
  await send(out);
  assert.deepEqual(facts(out), facts(here));
  assert.equal(tables(out), tables(here));
});

test("what Slurm refuses is said, and nothing is submitted", async () => {
  const out = join(home, "refused");
  const args = [file, "--out", out, "--on", "slurm", "--partition", "none"];
  const { code, error } = await run("study.ts", args, { env: cluster.env });
  assert.equal(code, 1);
  assert.match(
    error,
    /^error \[study\] sbatch failed: .*partition.*; nothing was submitted by it$/,
  );
  assert.ok(cluster.isIdle());
});

test.run();
