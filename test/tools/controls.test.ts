/** Controls on the command line: a random reader beside a trained one, and the probe. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { beginRun, prepare, runOptions } from "../../promptgen/run.ts";
import { RunFolder } from "../../promptgen/training/run-folder.ts";
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
  await refuses("probe.ts", CPU, /no run was named; type npx node tools\/probe.ts RUN/);
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

test.run();
