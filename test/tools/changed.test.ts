/** What a command says when a run and its inputs no longer fit, when it is not finished, and when training went wrong. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { readResults } from "../../promptgen/report/results.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { openDevices } from "../devices.ts";
import { asArguments, tinyOptions, tinyPair } from "../promptgen/tiny.ts";
import { printedBy, run } from "./command.ts";

const test = suite("changed");

const [maker] = await openDevices();
const home = await tinyPair(maker);
const data = join(home, "data");
cpSync(embeddedWorld().data, data, { recursive: true });
const CPU = ["--device", "cpu", "--threads", "1"];
const given = [...asArguments({ ...tinyOptions(home), data, relations: "P36", lr: 50 }), ...CPU];
const out = join(home, "run");
const trained = await printedBy("train.ts", [...given, "--out", out]);

/** Ends with code 1 and one sentence that matches; what went before may be printed. */
async function refuses(name: string, args: readonly string[], sentence: RegExp): Promise<void> {
  const { code, error } = await run(name, args);
  assert.match(error, sentence);
  assert.equal(error.split("\n").length, 1, error);
  assert.equal(code, 1);
}

test("a training that failed says so, at its end, in results.json and when it is evaluated", async () => {
  const lines = trained.split("\n").filter((line) => line.startsWith("[diagnosis] "));
  assert.ok(lines.length > 0, trained);
  const found = await readResults(join(out, "results.json"));
  assert.deepEqual(found.warnings, lines);
  const printed = await printedBy("evaluate.ts", [out, ...CPU]);
  for (const line of lines) assert.ok(printed.includes(`${out}: ${line}`), printed);
  assert.deepEqual(await readResults(join(out, "results.json")), found);
});

test("facts and tokenizers that were changed are refused, by evaluate as by --resume", async () => {
  const files: [string, (text: string) => string, RegExp][] = [
    [
      join(data, "LAMA-TREx", "P36.jsonl"),
      (text) => exchanged(text),
      /--data: the contents of .*data have changed/,
    ],
    [
      join(home, "bert", "tokenizer.json"),
      (text) => `${text}\n`,
      /--reader: the tokenizer files of .*bert have changed/,
    ],
  ];
  for (const [path, change, sentence] of files) {
    const before = readFileSync(path, "utf8");
    writeFileSync(path, change(before));
    await refuses("evaluate.ts", [out, ...CPU], sentence);
    await refuses("train.ts", ["--resume", out, ...CPU], sentence);
    writeFileSync(path, before);
  }
  await printedBy("evaluate.ts", [out, ...CPU]);
});

/** The objects of the first two facts in each other's place. */
function exchanged(text: string): string {
  const rows = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  [rows[0].obj_label, rows[1].obj_label] = [rows[1].obj_label, rows[0].obj_label];
  return `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`;
}

test("evaluate checks best/, and says early that a run has none", async () => {
  const copy = join(home, "copy");
  cpSync(out, copy, { recursive: true });
  const path = join(copy, "best", "model.safetensors");
  const bytes = readFileSync(path);
  bytes[bytes.length - 500] ^= 1;
  writeFileSync(path, bytes);
  await refuses("evaluate.ts", [copy, ...CPU], /best\/model\.safetensors is not what was written/);
  rmSync(join(copy, "best"), { recursive: true });
  await refuses(
    "evaluate.ts",
    [copy, ...CPU],
    /copy has no best\/ yet: .*go on with npx promptgen train --resume/,
  );
});

test("options: of another method, of a new run, without their value", async () => {
  await refuses(
    "train.ts",
    ["--method", "template", "--alpha=0.3"],
    /Unknown option '--alpha' for --method template: it is one of promptgen; see --help/,
  );
  await refuses(
    "train.ts",
    ["--vectors", "5"],
    /'--vectors' for --method promptgen: it is one of optiprompt/,
  );
  await refuses(
    "train.ts",
    ["--resume", out, "--world"],
    /--world chooses options of a new run, .*leave --world out/,
  );
  await refuses(
    "train.ts",
    ["--resume", "--device", "cpu"],
    /\[train\] Option '--resume' argument is ambiguous: --device is behind it; .*; see --help/,
  );
});

test.run();
