/** Controls on the command line: a random reader beside a trained one, and the probe. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { RunFolder } from "../../models/training/run-folder.ts";
import { prepare, runOptions } from "../../promptgen/run.ts";
import { beginRun } from "../../promptgen/run-file.ts";
import { openDevices } from "../devices.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "../promptgen/tiny.ts";
import { printedBy, refuses, run, temporary } from "./command.ts";

const test = suite("controls");
const CPU = ["--device", "cpu"];

test("a random reader is a row beside the trained one, each seed its own", async () => {
  const home = temporary();
  const first = ["--method", "template", "--relations", "P36,P17", ...CPU];
  const random = ["--reader-weights", "random", "--seed"];
  const [plain, one, two] = ["plain", "one", "two"].map((name) => join(home, name));
  await printedBy("train.ts", [...first, "--out", plain]);
  const printed = await printedBy("train.ts", [...first, ...random, "1", "--out", one]);
  assert.match(printed, /weights are random, drawn by the seed 1/);
  await printedBy("train.ts", [...first, ...random, "2", "--out", two]);
  const { options, contents } = JSON.parse(readFileSync(join(one, "run.json"), "utf8"));
  assert.equal(options["reader-weights"], "random");
  assert.deepEqual(contents, JSON.parse(readFileSync(join(plain, "run.json"), "utf8")).contents);
  const tables = await printedBy("evaluate.ts", [one, plain, two, ...CPU]);
  const test = (path: string) =>
    Number(new RegExp(`^${path} +(\\S.*?) +\\d+ +- +([\\d.]+) `, "m").exec(tables)?.[2]);
  assert.match(tables, new RegExp(`^${one} +Manual, random reader +1 `, "m"));
  assert.match(tables, /^mean of 2 +Manual, random reader /m);
  assert.match(tables, new RegExp(`^${plain} +Manual +1 `, "m"));
  assert.ok(test(plain) > 20 + test(one), tables);
  const rows = (path: string) =>
    JSON.parse(readFileSync(join(path, "results.json"), "utf8")).rows.map(
      ({ row }: { row: string }) => row,
    );
  assert.deepEqual(rows(one), ["Majority", "Manual", "Manual, random reader"]);
  assert.deepEqual(rows(plain), ["Majority", "Manual"]);
  const other = ["--resume", one, "--reader-weights", "trained", ...CPU];
  await refuses("train.ts", other, /--reader-weights is "trained" but the run in .* "random"/);
});

test("probe: a table of runs, probe.json in each, and what cannot be probed", async () => {
  const [device] = await openDevices();
  const home = await tinyPair(device);
  const made = await preparePromptGen({ ...tinyOptions(home), relations: "P1303,P36" });
  const folder = new RunFolder(join(home, "run"));
  await beginRun(folder, made);
  const { path } = folder;
  await refuses(
    "probe.ts",
    [path, ...CPU],
    /run has no best\/ yet: the run is not finished; go on with/,
  );
  await refuses("probe.ts", CPU, /no run was named; type npx promptgen probe RUN/);
  await made.prompter.save(device, folder.best);
  const printed = await printedBy("probe.ts", [path, ...CPU]);
  assert.match(printed, /^run +row +alpha +seed +probe +majority +object mass +objects mass$/m);
  const figures = new RegExp(`^${path} +PromptGen +0\\.3 +7((?: +\\d+\\.\\d){4})$`, "m").exec(
    printed,
  );
  const [probe, majority] = (figures?.[1] ?? "").trim().split(/ +/);
  const saved = JSON.parse(readFileSync(folder.file("probe.json"), "utf8"));
  assert.deepEqual([probe, majority], [saved.probe.toFixed(1), saved.majority.toFixed(1)]);
  assert.deepEqual(Object.keys(saved.relations), ["P1303", "P36"]);
  const told = JSON.parse(await printedBy("probe.ts", [path, ...CPU, "--json"]));
  const one = { folder: path, row: "PromptGen", alpha: 0.3, seed: 7, ...saved };
  assert.deepEqual(told, { runs: [one] });
  for (const { id, test: facts } of made.benchmark.relations) {
    const own = saved.relations[id];
    assert.deepEqual([own.probe.total, own.majority.total], [facts.length, facts.length]);
    assert.match(printed, new RegExp(`^${id} .* ${facts.length} `, "m"));
    assert.ok(own.figures.objectsMass > 0 && own.figures.objectsMass < 1);
  }
  const other = new RunFolder(join(home, "template"));
  const template = await prepare(runOptions({ method: "template", relations: "P36" }));
  await beginRun(other, template);
  await template.prompter.save(device, other.best);
  const { code, error } = await run("probe.ts", [other.path, ...CPU]);
  assert.match(
    error,
    /^error \[probe\] the prompts of template are no distributions over words; .*$/,
  );
  assert.equal(code, 1);
});

test("a reader in half precision is another reader of the same facts", async () => {
  const home = temporary();
  const first = ["--method", "template", "--relations", "P36,P17", ...CPU];
  const [plain, half, tuned] = ["plain", "half", "tuned"].map((name) => join(home, name));
  await printedBy("train.ts", [...first, "--out", plain]);
  // the embedded reader's file is f16 itself
  const bf16 = ["--reader-dtype", "bf16"];
  const printed = await printedBy("train.ts", [...first, ...bf16, "--out", half]);
  assert.match(printed, /^\[reader\] the masked LM's matrices are kept in bf16, rounded to it$/m);
  const { options, contents } = JSON.parse(readFileSync(join(half, "run.json"), "utf8"));
  assert.equal(options["reader-dtype"], "bf16");
  assert.deepEqual(contents, JSON.parse(readFileSync(join(plain, "run.json"), "utf8")).contents);
  const rows = (path: string): { row: string; own: unknown }[] =>
    JSON.parse(readFileSync(join(path, "results.json"), "utf8")).rows;
  const names = (path: string) => rows(path).map(({ row }) => row);
  const logP = (path: string) =>
    readFileSync(join(path, "facts.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).own.logP);
  const [exact, trained] = [logP(plain), logP(half)];
  const away = exact.map((value, i) => Math.abs(value - trained[i]));
  assert.ok(Math.max(...away) > 1e-5 && Math.max(...away) < 0.1, `${away}`);
  await printedBy("evaluate.ts", [half, ...CPU]);
  assert.deepEqual(logP(half), trained, "asked again with the reader that it was trained with");
  assert.deepEqual(names(half), ["Majority", "Manual, bf16 reader"]);
  const tables = await printedBy("evaluate.ts", [plain, half, ...CPU]);
  assert.match(tables, new RegExp(`^${half} +Manual, bf16 reader `, "m"));
  assert.match(tables, new RegExp(`^${plain} +Manual `, "m"));
  assert.doesNotMatch(tables, /^mean of/m);
  assert.deepEqual([logP(plain), logP(half)], [exact, trained]);
  assert.deepEqual(names(half), ["Majority", "Manual", "Manual, bf16 reader"]);
  const other = ["--resume", half, "--reader-dtype", "f16", ...CPU];
  await refuses("train.ts", other, /--reader-dtype is "f16" but the run in .* "bf16"/);
  const steps = [
    "--method",
    "fine-tune",
    "--relations",
    "P36",
    "--max-steps",
    "1",
    "--batch-size",
    "8",
  ];
  const copy = await printedBy("train.ts", [...steps, ...bf16, ...CPU, "--out", tuned]);
  assert.match(copy, /^\[fine-tune\] a copy of the masked LM is trained, in f32/m);
  assert.deepEqual(names(tuned).at(-1), "Fine-tuned reader, bf16 reader");
});

test.run();
