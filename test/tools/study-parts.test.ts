/** Studies that make their facts and models first: steps are made once, killed ones go on, gates and doses are told. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { printedBy, ROOT, refuses, temporary } from "./command.ts";

const test = suite("study parts");

const home = temporary();
const common = ["--device", "cpu", "--threads", "1"];
const world =
  "make-world --context {context} --distraction 0 --relations 4 --kinds 2 --patterns 1 --subjects 6 --objects 3 --width 16 --layers 1 --out {here}";
const reader =
  "pretrain {world}/reader.jsonl --model {world}/bert --spans spans --object-rate 0.5 --held-out 0 --epochs 9 --max-steps 400 --out {here} --resume";
const study = {
  name: "dials",
  settings: [{ context: 0 }, { context: 1 }],
  prepare: { world, reader },
  options: { data: "{world}", reader: "{reader}/final" },
  gates: [
    { row: "Majority", least: 1 },
    { row: "Manual", most: 0.5, context: 1 },
  ],
  rows: [{ method: "majority" }, { method: "template" }, { method: "own-pattern" }],
};
const fileOf = (name: string, more: object = {}): string => {
  const path = join(home, `${name}.json`);
  writeFileSync(path, JSON.stringify({ ...study, ...more }));
  return path;
};
const file = fileOf("dials");
const whole = join(home, "whole");
const madeIn = (out: string, context: number, step: string) =>
  join(out, `context-${context}`, "prepared", `${step}.json`);
const record = (path: string) => JSON.parse(readFileSync(path, "utf8"));

test("gates first, then from corpus to report; typed again nothing is made twice", async () => {
  const gates = await printedBy("study.ts", [file, "--out", whole, "--gates", ...common]);
  assert.match(gates, /Majority +context 0 +1 +100 +\d+\.\d +holds/);
  assert.match(gates, /Manual +context 1 +0 +0\.5 +\d+\.\d +(holds|MISSED)/);
  assert.ok(!existsSync(join(whole, "context-0", "own-pattern-seed1")), "rows without a gate");
  const records = [0, 1].flatMap((context) =>
    ["world", "reader"].map((step) => madeIn(whole, context, step)),
  );
  const times = () => records.map((path) => statSync(path).mtimeMs);
  const before = times();
  const said = await printedBy("study.ts", [file, "--out", whole, ...common]);
  assert.deepEqual(times(), before);
  assert.match(said, /dose and response[\s\S]* 1 +Own pattern /);
  assert.match(said, /prepared in \d+ s/);
  for (const name of ["dose.csv", "dose.md", "dose.txt", "dose.svg", "context-1/report.html"]) {
    assert.ok(existsSync(join(whole, name)), name);
  }
  const { files, seconds } = record(madeIn(whole, 1, "reader"));
  assert.match(files["final/model.safetensors"], /^[\da-f]{64}$/);
  assert.ok(seconds > 0);
  const { options } = record(join(whole, "context-1", "own-pattern-seed1", "run.json"));
  assert.equal(options.data, join(whole, "context-1", "prepared", "world"));
  const stands = await printedBy("study.ts", [file, "--out", whole, "--dry-run"]);
  assert.match(stands, /context-0:\ndone +prepare world\ndone +prepare reader\ndone +majority/);
  const other = fileOf("other", { prepare: { world, reader: reader.replace("9", "8") } });
  await refuses(
    "study.ts",
    [other, "--out", whole],
    /prepared\/reader was made by another command than the study's reader, .*; remove .*context-0 or name/,
  );
});

test("steps of two settings at a time that are killed go on, and end in the same bits", async () => {
  const out = join(home, "killed");
  const prepare = [file, "--out", out, "--prepare", "--jobs", "2", ...common];
  const args = [join(ROOT, "tools/study.ts"), ...prepare];
  const child = spawn(process.execPath, args, { cwd: ROOT, detached: true, stdio: "ignore" });
  const ended = new Promise((done) => child.on("exit", done));
  const both = [0, 1];
  const isBegun = (context: number) =>
    existsSync(join(out, `context-${context}`, "prepared", "reader", "last.safetensors"));
  while (!both.every(isBegun) && child.exitCode === null) {
    await new Promise((done) => setTimeout(done, 20));
  }
  if (child.pid) process.kill(-child.pid, "SIGKILL");
  await ended;
  for (const context of both) {
    assert.equal(record(madeIn(out, context, "reader")).seconds, undefined, "it was cut off");
  }
  const stands = await printedBy("study.ts", [file, "--out", out, "--dry-run"]);
  assert.equal(stands.match(/done +prepare world\ncut off prepare reader/g)?.length, 2);
  await printedBy("study.ts", prepare);
  assert.ok(!existsSync(join(out, "context-0", "majority-seed1")), "nothing is run");
  const weights = (of: string, context: number) =>
    record(madeIn(of, context, "reader")).files["final/model.safetensors"];
  for (const context of both) assert.equal(weights(out, context), weights(whole, context));
});

test("what a step says wrong is told before anything is made", async () => {
  const out = join(home, "wrong");
  const is = (prepare: object, said: RegExp) =>
    refuses("study.ts", [fileOf("wrong", { prepare }), "--out", out], said);
  await is(
    { world: world.replace("make", "bake"), reader },
    /prepare\.world begins with bake-world, which makes nothing; did you mean make-world\?/,
  );
  await is({ world: `${world} --contxt 1`, reader }, /Unknown option '--contxt'/);
  assert.ok(!existsSync(out));
  const failing = { world: world.replace("--kinds 2", "--kinds 1"), reader };
  const cause =
    /context-0 world failed: error \[make-world\] --kinds is 1; .* tries it again; 1 more failed/;
  await refuses(
    "study.ts",
    [fileOf("failing", { prepare: failing }), "--out", out, "--quiet"],
    cause,
  );
  const none = fileOf("none", { gates: undefined });
  await refuses(
    "study.ts",
    [none, "--out", out, "--gates"],
    /the study has no gates; leave --gates out/,
  );
});

test.run();
