/** Commands that take a saved run further: ask, evaluate --reader, export; and the facts that train and evaluate write. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { pathSource } from "../../models/formats/disk.ts";
import { openSafetensors, readFloat32 } from "../../models/formats/safetensors.ts";
import { type FactRow, readFactRows } from "../../promptgen/report/fact-rows.ts";
import { readResults } from "../../promptgen/report/results.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { printedBy, refuses, run, temporary } from "./command.ts";

const test = suite("ask");

const CPU = ["--device", "cpu"];
const home = temporary();
const templates = join(home, "templates");
const vectors = join(home, "vectors");
const given = ["--relations", "P1303,P36", ...CPU];

const rowsOf = (folder: string): Promise<FactRow[]> => readFactRows(join(folder, "facts.jsonl"));

test("train and evaluate write the same facts, and what results.json says of them", async () => {
  await printedBy("train.ts", ["--method", "template", ...given, "--out", templates]);
  const rows = await rowsOf(templates);
  const text = readFileSync(join(templates, "facts.jsonl"), "utf8");
  assert.equal(rows.length, 36);
  const { rows: made } = await readResults(join(templates, "results.json"));
  const manual = made.find(({ row }) => row === "Manual");
  assert.deepEqual(Object.keys(manual?.fillers ?? {}), Object.keys(rows[0].fillers));
  const right = rows.filter(({ relation, own }) => relation === "P36" && own.right).length;
  assert.equal(manual?.own.P36.correct, right);
  assert.ok((manual?.figures?.subjectEarned ?? 0) > 0);
  const table = await printedBy("evaluate.ts", [templates, ...CPU]);
  assert.match(table, /"None" +earned +prompts/);
  assert.equal(readFileSync(join(templates, "facts.jsonl"), "utf8"), text);
  assert.equal(readFileSync(join(templates, "facts.csv"), "utf8").split("\r\n").length, 38);
});

test("ask: a question on the command line, lines of a file and of stdin", async () => {
  const rows = await rowsOf(templates);
  const [row] = rows;
  const one = ["--relation", row.relation, "--subject", row.subject];
  const said = await printedBy("ask.ts", [templates, ...one, ...CPU]);
  assert.match(said, new RegExp(` of ${row.subject}\n  prompt  ${row.subject} .*\\[MASK\\].*\n`));
  assert.ok(said.includes(`  answers ${row.own.answer} `));
  assert.doesNotMatch(said, /right|wrong/);
  assert.match(said, /\n {2}"None" {2}\w+ \d+%/);
  const lines = rows
    .slice(0, 20)
    .map(({ relation, subject, object }) => ({ relation, subject, object }));
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  const file = join(home, "questions.jsonl");
  writeFileSync(file, text);
  const json = [...CPU, "--json", "--top", "3"];
  const printed = await printedBy("ask.ts", [templates, file, ...json]);
  const answered = printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  answered.forEach((found, i) => {
    const { own, top, prompt } = rows[i];
    assert.equal(found.prompt, prompt);
    assert.deepEqual([found.right, found.rank], [own.right, own.rank]);
    const words = (list: readonly (readonly [string, number])[]) => list.map(([word]) => word);
    assert.deepEqual(words(found.answers), words(top).slice(0, 3));
    assert.equal(found.none.length, 3);
    assert.ok(Math.abs(found.logP - own.logP) < 1e-4);
  });
  assert.equal(answered.length, 20);
  const again = await run("ask.ts", [templates, "-", ...json], { input: text });
  assert.equal(again.out, printed);
});

test("ask: questions that cannot be asked", async () => {
  const P36 = ["--relation", "P36"];
  const cases: [args: string[], sentence: RegExp][] = [
    [
      [templates, "--relation", "P9", "--subject", "Peru"],
      /no relation "P9"; choose among P1303, P36$/,
    ],
    [[templates, ...P36, "--subject", " "], /the subject is empty; name what is asked about/],
    [[templates, ...P36, "--subject", "a\u0007"], /the subject has the control character/],
    [
      [templates, ...P36, "--subject", "Peru ".repeat(200)],
      /is too long: its question has \d+ pieces/,
    ],
    [
      [templates, ...P36, "--subject", "Peru", "--object", "Xyzzy"],
      /object "Xyzzy" is not one token/,
    ],
    [[templates, "-", ...P36], /--relation, --subject and --object ask one question/],
    [[templates, "-"], /stdin holds no question/],
  ];
  for (const [args, sentence] of cases) await refuses("ask.ts", args, sentence);
  const file = join(home, "broken.jsonl");
  writeFileSync(file, '{"relation": "P36", "subject": "Peru"}\n{"relation": "P36"}\n');
  await refuses("ask.ts", [templates, file], /broken\.jsonl:2 has no text in "subject"/);
  writeFileSync(file, '\n{"relation": "P36", "subject": "Peru", "object": 3}\n');
  await refuses("ask.ts", [templates, file], /broken\.jsonl:2: "object" is no text/);
});

test("a run with a prompt a relation: asked, exported with its vectors, not transferred", async () => {
  const short = ["--method", "optiprompt", "--vectors", "3", "--epochs", "1"];
  await printedBy("train.ts", [...short, ...given, "--out", vectors]);
  const rows = await rowsOf(vectors);
  const { relation, subject, own } = rows[0];
  const one = ["--relation", relation, "--subject", subject, "--json"];
  const found = JSON.parse(await printedBy("ask.ts", [vectors, ...one, ...CPU]));
  assert.equal(found.answers[0][0], own.answer);
  const world = embeddedWorld().bert;
  await refuses(
    "evaluate.ts",
    [vectors, "--reader", world],
    /is a run of optiprompt, whose prompts are no words, .* name a run of template, .*promptgen/,
  );
  const out = join(home, "exported vectors");
  await printedBy("export.ts", [vectors, "--out", out]);
  assert.deepEqual(readdirSync(out).sort(), [
    "P1303.npy",
    "P36.npy",
    "answers.json",
    "prompts.json",
    "tokenizer.json",
    "use.py",
  ]);
  const path = join(vectors, "P36", "best", "vectors.safetensors");
  const tensor = (await openSafetensors(await pathSource(path), path)).tensors.get("vectors");
  assert.ok(tensor);
  const bytes = readFileSync(join(out, "P36.npy"));
  const values = Buffer.from((await readFloat32(tensor)).buffer);
  assert.ok(bytes.subarray(-values.length).equals(values));
  assert.ok(bytes.includes(`'shape': (${tensor.shape.join(", ")})`));
});

test("transfer and export of words; what has none, and places that are taken", async () => {
  const world = embeddedWorld().bert;
  const rows = await rowsOf(templates);
  const printed = await printedBy("evaluate.ts", [templates, "--reader", world, ...CPU]);
  assert.match(printed, /36 of 36 facts can be asked of the other masked LM\n/);
  assert.match(printed, /mean +over relations +36 +(\S+) +\1 /);
  const [place] = readdirSync(templates).filter((name) => name.startsWith("transfer-bert-"));
  assert.deepEqual(await rowsOf(join(templates, place)), rows);
  const out = join(home, "exported");
  await printedBy("export.ts", [templates, "--out", out]);
  const prompts = JSON.parse(readFileSync(join(out, "prompts.json"), "utf8"));
  assert.deepEqual(
    prompts,
    rows.map(({ relation, subject, prompt }) => ({ relation, subject, prompt })),
  );
  const answers = JSON.parse(readFileSync(join(out, "answers.json"), "utf8"));
  const words = new Set(
    rows.flatMap(({ object, own, top }) => [object, own.answer, ...top.map(([word]) => word)]),
  );
  for (const word of words) assert.ok(Number.isSafeInteger(answers[word]), word);
  assert.match(
    readFileSync(join(out, "use.py"), "utf8"),
    /Tokenizer\.from_file\("tokenizer\.json"\)/,
  );
  await refuses(
    "export.ts",
    [templates, "--out", out],
    /where there is something; name a new folder/,
  );
  await refuses("export.ts", [templates], /there is no --out; name a new folder/);
  const majority = join(home, "majority");
  await printedBy("train.ts", ["--method", "majority", ...given, "--out", majority]);
  const none = join(home, "none");
  await refuses("export.ts", [majority, "--out", none], /prompts are no words and no vectors/);
  assert.ok(!existsSync(none));
  await refuses(
    "evaluate.ts",
    [templates, "--reader", "nowhere"],
    /--reader is nowhere, which does not exist/,
  );
});

test.run();
