/** A small study that is killed at random moments; `node test/study/kill.ts` is the same for any study and any number of kills. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import { takeFolder } from "../../models/training/lock.ts";
import { testsRunOn } from "../devices.ts";
import { printedBy, refuses } from "../tools/command.ts";
import { compare, killStudy } from "./killing.ts";

const test = suite("killed study");

const home = mkdtempSync(join(tmpdir(), "promptgen-kill-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const file = join(home, "small.yaml");
writeFileSync(
  file,
  `name: small
world: true
options: { relations: P36 }
rows:
  - { method: majority }
  - { method: optiprompt, epochs: 3 }
`,
);
const args = ["--device", "cpu", "--threads", "1"];
const whole = join(home, "whole");
const cut = join(home, "cut-1");

test("killed at random moments, all of it or a part, it ends in the same files", async () => {
  const { starts, compared, faults } = await killStudy({
    file,
    home,
    args,
    kills: 4,
    seed: 3,
    jobs: 2,
    victims: "any",
  });
  assert.deepEqual(faults, []);
  assert.equal(starts.flatMap(({ kills }) => kills).length, 4);
  // of each run facts.jsonl, facts.csv, run.json, results.json; what was trained; four files of tables
  assert.ok(compared >= 2 * 4 + 3 + 4, `${compared} files`);
});

test("what differs, lacks or was left behind is found, times and memory apart", () => {
  const path = join(cut, "optiprompt-seed1", "results.json");
  const results = JSON.parse(readFileSync(path, "utf8"));
  const { same } = compare(whole, cut);
  writeFileSync(path, JSON.stringify({ ...results, seconds: {}, memory: {} }, null, 1));
  assert.deepEqual(compare(whole, cut), { same, differing: [] });
  writeFileSync(path, JSON.stringify({ ...results, seed: 7 }));
  const other = join(cut, "optiprompt-seed1", ".facts.csv.1.part");
  writeFileSync(other, "");
  const facts = join(cut, "majority-seed1", "facts.jsonl");
  const text = readFileSync(facts);
  rmSync(facts);
  assert.deepEqual(compare(whole, cut).differing, [
    "majority-seed1/facts.jsonl is missing",
    "optiprompt-seed1/.facts.csv.1.part was left behind",
    "optiprompt-seed1/results.json differs",
  ]);
  rmSync(other);
  writeFileSync(facts, text);
  writeFileSync(path, JSON.stringify(results, null, 2));
});

/** A lock of a process that is dead. */
async function deadLock(folder: string, token: string): Promise<void> {
  const held = await takeFolder(folder);
  const own = JSON.parse(readFileSync(join(folder, ".lock"), "utf8"));
  held.release();
  writeFileSync(join(folder, ".lock"), JSON.stringify({ ...own, pid: 2 ** 30, token }));
}

test("what dead processes have left goes, beside results and where a run goes on; what a living one has stays", async () => {
  const [majority, optiprompt] = ["majority-seed1", "optiprompt-seed1"].map((name) =>
    join(cut, name),
  );
  const left = [
    join(cut, ".tables.md.1.part"),
    join(majority, ".results.json.1.part"),
    join(majority, "best", ".x.1.part"),
    join(majority, ".lock.1.part"),
    join(optiprompt, ".facts.jsonl.1.part"),
    join(optiprompt, "P36", ".search.json.1.part"),
    join(optiprompt, "P36", "best", ".vectors.safetensors.1.part"),
  ];
  const plant = () => {
    for (const path of left) {
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, "half");
    }
  };
  plant();
  await deadLock(cut, "a");
  await deadLock(majority, "b");
  await deadLock(optiprompt, "c");
  rmSync(join(optiprompt, "results.json")); // so that it goes on
  await printedBy("study.ts", [file, "--out", cut, ...args]);
  assert.deepEqual(compare(whole, cut).differing, []);
  plant();
  await printedBy("study.ts", [file, "--out", cut, "--dry-run"]);
  assert.ok(left.every(existsSync), "a dry run writes nothing");
  const held = await takeFolder(majority);
  await printedBy("study.ts", [file, "--out", cut, ...args]);
  for (const path of left) assert.equal(existsSync(path), path.startsWith(majority), path);
  held.release();
});

test("two commands on one study: the second says so in one sentence", async () => {
  const held = await takeFolder(cut);
  await refuses(
    "study.ts",
    [file, "--out", cut, ...args],
    /^error \[lock\] .*cut-1 is being written by process \d+; wait until it has ended/,
  );
  held.release();
});

if (testsRunOn("cpu")) test.run();
