/**
 * Processes on one run folder, and processes that are killed. `PROMPTGEN_PAIRS=50 PROMPTGEN_KILLS=20 node tools/commands/test.ts
 * one-writer --timeout 3000` is the long form.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import { openDevices } from "../devices.ts";
import { asArguments, ROOT, tinyOptions, tinyPair } from "../promptgen/tiny.ts";

const test = suite("one writer");

const [maker] = await openDevices();
const home = await tinyPair(maker);
const options = tinyOptions(home);
const CPU = ["--device", "cpu", "--threads", "1"];
const given = [...asArguments(options), ...CPU, "--save-every", "1"];

const PAIRS = Number(process.env.PROMPTGEN_PAIRS ?? 5);
const KILLS = Number(process.env.PROMPTGEN_KILLS ?? 2);

type Ended = { readonly code: number | null; readonly out: string; readonly error: string };

/** Runs `bash -c "exec node tools/NAME ... REDIRECTION"`; `watch` sees what it says. */
function tool(
  name: string,
  args: readonly string[],
  watch: (said: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Ended> {
  return new Promise((done) => {
    const env = { ...process.env, NO_COLOR: "1", DEBUG: "" };
    const child = spawn(process.execPath, [join(ROOT, "tools", name), ...args], { cwd: home, env });
    const kill = (signal: NodeJS.Signals) => child.kill(signal);
    let [out, error] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      watch(text, kill);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      error += text;
      watch(text, kill);
    });
    child.on("close", (code) => done({ code, out, error: error.trim() }));
  });
}

/** A shell's view: what it printed and the codes of a pipe. */
function shell(script: string): Promise<Ended> {
  return new Promise((done) => {
    const env = {
      ...process.env,
      NO_COLOR: "1",
      DEBUG: "",
      NODE: process.execPath,
      TOOLS: join(ROOT, "tools"),
    };
    const child = spawn("bash", ["-c", script], { cwd: home, env });
    let [out, error] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      error += text;
    });
    child.on("close", (code) => done({ code, out, error: error.trim() }));
  });
}

const quoted = (args: readonly string[]): string => args.map((arg) => `'${arg}'`).join(" ");

const jsonOf = (folder: string, name: string) =>
  JSON.parse(readFileSync(join(folder, name), "utf8"));
const stepsOf = (folder: string): number[] =>
  readFileSync(join(folder, "log.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).step);
const isAscending = (steps: readonly number[]): boolean =>
  steps.every((step, i) => i === 0 || step > steps[i - 1]);
const last = (folder: string) => readFileSync(join(folder, "last.safetensors"));

/** Nothing but what a run has. */
function isWhole(folder: string): void {
  const known = ["best", "facts.csv", "facts.jsonl", "last.safetensors", "log.jsonl"];
  known.push("results.json", "run.json", "seconds.json", "steps.bin");
  assert.deepEqual(readdirSync(folder).sort(), known);
  assert.ok(isAscending(stepsOf(folder)), String(stepsOf(folder)));
}

const TAKEN = /^error \[lock\] .* is being written by process \d+; wait until it has ended/;

// one run that is stopped, and the same that is not
const whole = join(home, "whole");
const half = join(home, "half");
assert.equal((await tool("train.ts", [...given, "--out", whole])).code, 0);
const stopped = await tool("train.ts", [...given, "--out", half], (said, kill) => {
  if (said.includes("training ")) kill("SIGHUP");
});
assert.equal(stopped.code, 129, stopped.error);

test("two processes, one --out: one trains, the other says so in one sentence", async () => {
  for (let i = 0; i < PAIRS; i++) {
    const out = join(home, `both ${i}`);
    const apart = PAIRS === 1 ? 0 : (2000 * i) / (PAIRS - 1);
    const one = (seed: number) =>
      tool("train.ts", [...given, "--seed", String(seed), "--out", out]);
    const seeds = [11, 12];
    const first = one(seeds[0]);
    await sleep(apart);
    const ends = await Promise.all([first, one(seeds[1])]);
    const winners = seeds.filter((_, k) => ends[k].code === 0);
    assert.equal(winners.length, 1, JSON.stringify(ends));
    const other = ends.find(({ code }) => code !== 0);
    assert.equal(other?.code, 1);
    assert.match(
      String(other?.error),
      /^error (\[lock\] .* is being written by|\[train\] .* holds a run already)/,
    );
    assert.equal(other?.error.split("\n").length, 1);
    assert.equal(jsonOf(out, "run.json").options.seed, winners[0]);
    assert.equal(jsonOf(out, "results.json").options.seed, winners[0]);
    isWhole(out);
  }
});

test("two processes, one --resume: the bits of a run that was never stopped", async () => {
  for (let i = 0; i < Math.floor(PAIRS / 2); i++) {
    const out = join(home, `resumed ${i}`);
    cpSync(half, out, { recursive: true });
    const args = ["--resume", out, ...CPU];
    const first = tool("train.ts", args);
    await sleep(PAIRS < 2 ? 0 : (4000 * i) / PAIRS / 2);
    const ends = await Promise.all([first, tool("train.ts", args)]);
    assert.ok(
      ends.some(({ code }) => code === 0),
      JSON.stringify(ends),
    );
    for (const { code, error } of ends) if (code !== 0) assert.match(error, TAKEN);
    assert.deepEqual(last(out), last(whole));
    isWhole(out);
  }
});

test("a sweep without --out: each has a folder of its own", async () => {
  const rates = ["0.001", "0.002"];
  const ends = await Promise.all(rates.map((lr) => tool("train.ts", [...given, "--lr", lr])));
  for (const { code, error } of ends) assert.equal(code, 0, error);
  const runs = readdirSync(join(home, "runs")).map((name) => join(home, "runs", name));
  assert.deepEqual(runs.map((run) => String(jsonOf(run, "run.json").options.lr)).sort(), rates);
  for (const run of runs) {
    isWhole(run);
    assert.equal(jsonOf(run, "results.json").options.lr, jsonOf(run, "run.json").options.lr);
  }
});

test("killed at any moment, resumed at once: the same bits", async () => {
  for (let i = 0; i < KILLS; i++) {
    const out = join(home, `killed ${i}`);
    let lines = 0;
    const killed = await tool("train.ts", [...given, "--out", out], (said, kill) => {
      if (said.includes("training ") && lines++ === i % 4) kill("SIGKILL");
    });
    assert.equal(killed.code, null);
    assert.ok(existsSync(join(out, ".lock")));
    const asked = await tool("evaluate.ts", [out, ...CPU]);
    assert.equal(asked.code, 0, asked.error); // to read needs no lock
    assert.match(asked.out, /is not finished, step \d+ of \d+/);
    const { code, error } = await tool("train.ts", ["--resume", out, ...CPU]);
    assert.equal(code, 0, error);
    assert.match(error, /was left by process \d+, which has ended; it is taken over/);
    assert.deepEqual(last(out), last(whole));
    isWhole(out);
  }
});

test("a run that fails leaves no folder", async () => {
  const out = join(home, "deep", "er");
  const { code } = await tool("train.ts", ["--relations", "P9999", ...CPU, "--out", out]);
  assert.equal(code, 1);
  assert.ok(!existsSync(join(home, "deep")));
});

test("signals: before there is something to save one ends it, then the first saves and the second ends", async () => {
  const codes = { SIGHUP: 129, SIGUSR1: 138, SIGTERM: 143 };
  for (const [name, wanted] of Object.entries(codes)) {
    const signal = name as keyof typeof codes;
    const out = join(home, `saved by ${name}`);
    const {
      code,
      error,
      out: printed,
    } = await tool("train.ts", [...given, "--out", out], (said, kill) => {
      if (said.includes("training ")) kill(signal);
    });
    assert.doesNotMatch(error, /Debugger listening/);
    assert.equal(code, wanted, error);
    assert.match(printed, new RegExp(`stopped by ${name} after step \\d+ of \\d+, saved`));
    assert.ok(!existsSync(join(out, ".lock")));
  }
  const early = join(home, "early");
  const { code, error } = await tool("train.ts", [...given, "--out", early], (said, kill) => {
    if (said.startsWith("device:")) kill("SIGUSR1");
  });
  assert.doesNotMatch(error, /Debugger listening/);
  assert.equal(code, 138);
  const out = join(home, "saved by SIGHUP");
  const twice = await tool("train.ts", ["--resume", out, ...CPU], (said, kill) => {
    if (!said.includes("training ")) return;
    kill("SIGTERM");
    kill("SIGINT");
  });
  assert.ok(twice.code === 130 || twice.code === 143, String(twice.code));
  assert.ok(!existsSync(join(out, ".lock")));
  const ended = await tool("train.ts", ["--resume", out, ...CPU]);
  assert.equal(ended.code, 0, ended.error);
  assert.deepEqual(last(out), last(whole));
});

test("a reader that goes away: the results are written, nothing is thrown", async () => {
  const pipes: [string, string][] = [
    ["piped to head", "| head -1"],
    ["both piped to true", "2>&1 | true"],
    ["closed", ">&- 2>&-"],
    ["full", "> /dev/full 2> /dev/full"],
  ];
  for (const [name, pipe] of pipes) {
    const out = join(home, name);
    const command = `"$NODE" "$TOOLS/train.ts" ${quoted([...given, "--out", out])} ${pipe}; echo "code \${PIPESTATUS[0]}" >&2`;
    const { error } = await shell(command);
    assert.doesNotMatch(error, /Unhandled|node:internal|EPIPE|ENOSPC/);
    assert.match(error, /code 0$/, name);
    isWhole(out);
    assert.deepEqual(last(out), last(whole));
  }
  const bert = join(home, "bert");
  for (const command of [
    `inspect.ts" '${bert}'`,
    `fill-mask.ts" --model '${bert}' "a [MASK] ." "the [MASK] ." ${quoted(CPU)}`,
  ]) {
    const { error, out } = await shell(
      `"$NODE" "$TOOLS/${command} | head -1; echo "code \${PIPESTATUS[0]}"`,
    );
    assert.equal(
      error
        .split("\n")
        .filter((line) => !line.startsWith("Warning"))
        .join(""),
      "",
    );
    assert.match(out, /code 0$/m);
  }
});

test("a resume trusts nothing that it has not checked", async () => {
  const damaged: [string, string, (text: Buffer) => string | Buffer, RegExp][] = [
    ["run.json", "null", () => "null", /is no run of tools\/train\.ts/],
    ["run.json", "no options", () => '{"options": {}}', /is no run of tools\/train\.ts/],
    [
      "run.json",
      "options without a value",
      () => '{"options": {}, "contents": {}}',
      /is no run of tools\/train\.ts/,
    ],
    [
      "run.json",
      "a wrong type",
      (text) => text.toString().replace('"lr": 0.003', '"lr": "fast"'),
      /run\.json: .*lr is fast/,
    ],
    ["run.json", "cut", (text) => text.subarray(0, 50), /run\.json is not JSON/],
    [
      "log.jsonl",
      "no JSON",
      (text) => `{"step": }\n${text}`,
      /log\.jsonl:1 is no evaluation of a run; remove the line/,
    ],
    ["log.jsonl", "null", (text) => `${text}null\n`, /log\.jsonl:\d+ is no evaluation of a run/],
    [
      "last.safetensors",
      "a bit",
      (text) => flipped(text, text.length - 1000),
      /last\.safetensors is not what was written/,
    ],
    [
      "last.safetensors",
      "cut",
      (text) => text.subarray(0, text.length - 10),
      /last\.safetensors: /,
    ],
    [
      "best/model.safetensors",
      "a bit",
      (text) => flipped(text, text.length - 1000),
      /best\/model\.safetensors is not what was written/,
    ],
    [
      "best/tokenizer.json",
      "a token",
      (text) => `${text} `,
      /the tokenizer files in .*best are not those of --generator/,
    ],
  ];
  for (const [name, what, change, sentence] of damaged) {
    const out = join(home, `damaged ${name.replace("/", " ")} ${what}`);
    cpSync(half, out, { recursive: true });
    const before = readFileSync(join(out, name));
    writeFileSync(join(out, name), change(before));
    const { code, error } = await tool("train.ts", ["--resume", out, ...CPU]);
    assert.match(error, sentence);
    assert.equal(error.split("\n").length, 1, error);
    assert.equal(code, 1);
    assert.ok(!existsSync(join(out, ".lock")));
  }
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] ^= 4;
  return copy;
}

test.run();
