/** Studies on the command line: what is done is not done again, what was cut off goes on, what fails is said. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { fitting } from "../../tools/lib/study-memory.ts";
import { printedBy, ROOT, refuses, run } from "./command.ts";

const test = suite("study");

const home = mkdtempSync(join(tmpdir(), "promptgen-study-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

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
const RUNS = ["majority-seed1", "optiprompt-seed1", "optiprompt-seed2"];
const common = ["--device", "cpu", "--threads", "1"];
const facts = (out: string) => RUNS.map((name) => readFileSync(join(out, name, "facts.jsonl")));
const tables = (out: string) => readFileSync(join(out, "tables.csv"), "utf8");

test("a study that is killed with all its processes ends in the same bits, and what is done stays", async () => {
  const [whole, cut] = ["whole", "cut"].map((name) => join(home, name));
  const printed = await printedBy("study.ts", [file, "--out", whole, ...common]);
  for (const said of ["Majority", "OptiPrompt (5 [V]s)", "tests between rows", "leak audit"]) {
    assert.ok(printed.includes(said), said);
  }
  assert.ok(existsSync(join(whole, "logs", "optiprompt-seed2.txt")));
  const written = () =>
    ["report.html", "tables.txt", "tables.md", "tables.csv", "tables.tex"].map((name) =>
      readFileSync(join(whole, name), "utf8"),
    );
  const [page, ...others] = written();
  for (const said of [
    "OptiPrompt (5 [V]s)",
    "P17 country",
    "optiprompt-seed2",
    "CPU with 1 thread",
  ]) {
    assert.ok(page.includes(said), said);
  }
  for (const name of ["report.html", "tables.tex"]) rmSync(join(whole, name));
  assert.equal(await printedBy("report.ts", [whole, ...common]), printed);
  assert.deepEqual(written(), [page, ...others]);
  const killed = spawn(
    process.execPath,
    [join(ROOT, "tools/study.ts"), file, "--out", cut, ...common, "--jobs", "2"],
    { cwd: ROOT, detached: true, stdio: "ignore" },
  );
  const started = join(cut, "optiprompt-seed1", "P17", "last.safetensors");
  const ended = new Promise((done) => killed.on("exit", done));
  while (!existsSync(started) && killed.exitCode === null) {
    await new Promise((done) => setTimeout(done, 20));
  }
  if (killed.pid) process.kill(-killed.pid, "SIGKILL");
  await ended;
  assert.ok(!existsSync(join(cut, "tables.csv")), "it was cut off");
  const stands = await printedBy("study.ts", [file, "--out", cut, "--dry-run"]);
  assert.match(stands, /cut off optiprompt-seed1/);
  await printedBy("study.ts", [file, "--out", cut, ...common]);
  assert.deepEqual(facts(cut), facts(whole));
  assert.equal(tables(cut), tables(whole));
  const times = () => RUNS.map((name) => statSync(join(cut, name, "facts.jsonl")).mtimeMs);
  const before = times();
  await printedBy("study.ts", [file, "--out", cut, ...common]);
  assert.deepEqual(times(), before, "nothing is run twice");
  assert.match(await printedBy("study.ts", [file, "--out", cut, "--dry-run"]), /^done .*\ndone /);
  const changed = ["--out", cut, "--epochs", "4"];
  await refuses(
    "study.ts",
    [file, ...changed],
    /^error \[study\] epochs is 4 but the run in .*optiprompt-seed1 was started with 3; remove that folder/,
  );
});

test("a run that fails is named with what it said, and the others are run", async () => {
  const out = join(home, "failing");
  const broken = join(home, "failing.json");
  const rows = [
    { method: "promptgen", generator: "no/where", seeds: [1] },
    { method: "majority", seeds: [1] },
  ];
  writeFileSync(broken, JSON.stringify({ name: "failing", options: { relations: "P36" }, rows }));
  const { code, error } = await run("study.ts", [broken, "--out", out, ...common], {
    env: { HF_HUB_OFFLINE: "1" },
  });
  assert.equal(code, 1);
  assert.match(error, /promptgen-seed1: error .*no\/where/);
  assert.match(error, /\[study\] 1 of 2 runs failed; the same command tries them again/);
  assert.ok(existsSync(join(out, "majority-seed1", "results.json")));
});

test("a dry run says how long what is left will take, from what runs of its row or method took", async () => {
  const out = join(home, "timed");
  const timed = join(home, "timed.json");
  const rows = [
    { method: "majority", seeds: [1, 2, 3] },
    { method: "template", seeds: [1] },
  ];
  const study = (some: readonly unknown[]) =>
    writeFileSync(
      timed,
      JSON.stringify({ name: "timed", options: { relations: "P36" }, rows: some }),
    );
  const dry = () => printedBy("study.ts", [timed, "--out", out, "--dry-run"]);
  study(rows);
  assert.match(await dry(), /\n4 new\n4 to run: how long is unknown/);
  study([{ method: "majority", seeds: [1] }]);
  await printedBy("study.ts", [timed, "--out", out, ...common]);
  study(rows);
  const path = join(out, "majority-seed1", "results.json");
  const results = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...results, seconds: { training: 200, evaluating: 100 } }));
  assert.match(
    await dry(),
    /\n1 done, 3 new\n2 to run: about 10 min one after the other.*\n1 to run: how long is unknown/,
  );
  writeFileSync(path, JSON.stringify({ ...results, seconds: undefined }));
  assert.match(await dry(), /\n3 to run: how long is unknown/);
});

test("where memory has no room for the runs that were asked for, it is said and fewer are run", async () => {
  const GIB = 2 ** 30;
  assert.deepEqual(fitting([GIB, 3 * GIB, 2 * GIB], 2, 5 * GIB), { jobs: 2, sentence: "" });
  assert.deepEqual(fitting([GIB, 3 * GIB, 2 * GIB], 2, 4.9 * GIB), {
    jobs: 1,
    sentence:
      "2 runs at a time may take 5.0 GiB, and 4.9 GiB of memory are free: --jobs 1 is taken in place of 2",
  });
  assert.equal(fitting([GIB, GIB, GIB], 8, 2.5 * GIB).jobs, 2);
  assert.equal(fitting([GIB, GIB], 8, 2.5 * GIB).sentence, "");
  assert.equal(fitting([9 * GIB, GIB], 2, GIB).jobs, 1);
  const out = join(home, "timed");
  const path = join(out, "majority-seed1", "results.json");
  const results = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...results, memory: { resident: 1e15, device: 1 } }));
  const more = join(home, "more.json");
  const rows = [{ method: "majority", seeds: [1, 2, 3] }];
  writeFileSync(more, JSON.stringify({ name: "more", options: { relations: "P36" }, rows }));
  const { code, error } = await run("study.ts", [more, "--out", out, "--jobs", "2", ...common]);
  assert.equal(code, 0, error);
  assert.match(
    error,
    /^2 runs at a time may take \d+\.\d GiB, .*: --jobs 1 is taken in place of 2$/m,
  );
});

test("what only a cluster has is refused here, and a cluster's options that cannot be", async () => {
  const slurm = ["--on", "slurm"];
  for (const [args, said] of [
    [["--on", "moon"], /--on is moon; choose among here, slurm/],
    [["--partition", "a"], /--partition is for a cluster; give --on slurm with it/],
    [[...slurm, "--time", "1\n#SBATCH --x"], /--time is "1.*; write it as sbatch --time takes it/s],
    [[...slurm, "--signal", "TERM@9"], /--signal is TERM@9; write USR1@ and seconds/],
    [[...slurm, "--slurm", "--array=1-9"], /--slurm has --array; leave it out/],
    [[...slurm, "--slurm", "--mem=1G -J x"], /--slurm has -J; leave it out/],
    [[...slurm, "--slurm", "#SBATCH --signal=USR1@9"], /--slurm has --signal; give --signal=/],
    [[...slurm, "--slurm", "rm -rf x"], /--slurm has "rm -rf x", which is no option of sbatch/],
  ] as const) {
    const { code, error } = await run("study.ts", [file, "--out", join(home, "none"), ...args]);
    assert.equal(code, 1);
    assert.match(error, said);
  }
  await refuses(
    "study.ts",
    [file, "--out", join(home, "none"), ...slurm],
    /^error \[study\] there is no squeue here; type this where Slurm's commands are/,
    { PATH: home },
  );
  assert.ok(!existsSync(join(home, "none")), "nothing was made");
});

test("what is no study is said in one sentence", async () => {
  await refuses("report.ts", [], /^error \[report\] name the folder of one study/);
  await refuses("report.ts", [home], /^error \[report\] .* holds no study\.json .*name the folder/);
  for (const [i, wrong] of [[], { name: 1 }, { name: "a", command: "b", rows: [{}] }].entries()) {
    const out = mkdtempSync(join(home, `wrong-${i}-`));
    writeFileSync(join(out, "study.json"), JSON.stringify(wrong));
    await refuses(
      "report.ts",
      [out],
      /^error \[report\] .*study\.json is not what tools\/study\.ts/,
    );
  }
  await refuses("study.ts", [], /^error \[study\] name one study, as in/);
  await refuses(
    "study.ts",
    [join(home, "none.json")],
    /^error \[study\] .*none\.json .*name the file/,
  );
  await refuses(
    "study.ts",
    [file, "--jobs", "0"],
    /^error \[study\] --jobs is 0; give a whole number/,
  );
  await refuses(
    "study.ts",
    [file, "--alpha", "0.1"],
    /^error \[study\] --alpha is an option of none of the methods in/,
  );
});

test.run();
