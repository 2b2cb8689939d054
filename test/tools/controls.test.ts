/** Controls on the command line: a random reader beside a trained one. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { printedBy, refuses, temporary } from "./command.ts";

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

test.run();
