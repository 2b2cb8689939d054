/** Runs are asked with what they have kept: the candidates and generators that they were trained with may be gone. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { testsRunOn } from "../devices.ts";
import { printedBy, refuses, temporary } from "./command.ts";

const test = suite("saved runs");

const world = embeddedWorld();
const home = temporary();
const models = join(home, "models");
const folders = { data: world.data, t5: world.t5, bart: world.bart };
for (const [name, folder] of Object.entries(folders)) {
  cpSync(folder, join(models, name), { recursive: true });
}
const CPU = ["--device", "cpu", "--threads", "1"];
const RUNS: Readonly<Record<string, readonly string[]>> = {
  lpaqa: ["--candidates", join(models, "data")],
  ensemble: ["--candidates", join(models, "data"), "--epochs", "1", "--prompts", "2"],
  "lm-bff": ["--t5", join(models, "t5"), "--beam", "8"],
  "lm-bff-bart": ["--generator", join(models, "bart"), "--beam", "8"],
};
const out = (method: string): string => join(home, method);
const facts = (): string[] =>
  Object.keys(RUNS).map((method) => readFileSync(join(out(method), "facts.jsonl"), "utf8"));

test("evaluate asks the same without the candidates and generators, which a resume names", async () => {
  for (const [method, own] of Object.entries(RUNS)) {
    const given = ["--method", method, "--world", "--relations", "P36,P17", ...own];
    await printedBy("train.ts", [...given, "--out", out(method), ...CPU]);
  }
  const trained = facts();
  renameSync(models, join(home, "elsewhere"));
  await printedBy("evaluate.ts", [...Object.keys(RUNS).map(out), ...CPU]);
  assert.deepEqual(facts(), trained);
  const asked = await printedBy("ask.ts", [
    out("lm-bff"),
    "--relation",
    "P36",
    "--subject",
    "Peru",
    ...CPU,
  ]);
  assert.match(asked, /P36 capital of Peru/);
  await refuses("train.ts", ["--resume", out("lm-bff"), ...CPU], /models\/t5/);
});

if (testsRunOn("cpu")) test.run();
