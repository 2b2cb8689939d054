import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { loadCandidates, loadPatternCandidates } from "../../promptgen/facts/candidates.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { embeddedWorld, loadPatterns } from "../../promptgen/world/world.ts";
import { folder } from "./fixture.ts";

const test = suite("candidates");

const MANUAL = [
  { id: "P17", template: "[X] is in [Y] ." },
  { id: "P36", template: "[Y] rules [X] ." },
];
const line = (template: unknown, weight = 0.5) => `${JSON.stringify({ template, weight })}\n`;
const FILES = {
  "prompt/manual_paraphrase/P17.txt": "[X] lies in [Y].\n\n[X] is in [Y] .\r\n  [X] at [Y]\t\n",
  "prompt/mine/P17.jsonl": line("[Y] city [X] .") + line("[X] lies in [Y]."),
  "prompt/paraphrase/P17.jsonl": `${line("[X] LIES in [Y].")}\n${line("[X] at [Y]")}`,
  "prompt/mine/P36.jsonl": line("[X] , [Y]"),
};
const said = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );
const load = (files: Readonly<Record<string, string>>, relations = MANUAL) => {
  const root = folder(files);
  const work = loadCandidates(root, relations);
  return { root, work };
};

test("the manual template, then each other one once, in the order of the files", async () => {
  const { root, work } = load(FILES);
  const { templates, remarks } = await work;
  assert.equal(Object.fromEntries(templates), {
    P17: [
      "[X] is in [Y] .",
      "[X] lies in [Y].",
      "[X] at [Y]",
      "[Y] city [X] .",
      "[X] LIES in [Y].",
    ],
    P36: ["[Y] rules [X] .", "[X] , [Y]"],
  });
  assert.equal(remarks, [
    `[candidates] 7 templates for 2 relations from ${join(root, "prompt")}, 3 repeated`,
  ]);
  const inner = await loadCandidates(join(root, "prompt"), MANUAL);
  assert.equal([...inner.templates], [...templates], "the folder prompt itself");
  const one = await loadCandidates(root, MANUAL.slice(1));
  assert.equal([...one.templates.keys()], ["P36"], "no other relation is read");
});

test("what cannot be asked is left out and said once, with its place", async () => {
  const { root, work } = load({
    ...FILES,
    "prompt/mine/P36.jsonl": line("[X] , [Y]") + line("[X] alone") + line("[X] alone"),
    "prompt/paraphrase/P36.jsonl": line("[x] of [Y]") + line("[Y] [Y] [X]") + line("good [Y] [X]"),
  });
  const { templates, remarks } = await work;
  assert.equal(templates.get("P36"), ["[Y] rules [X] .", "[X] , [Y]", "good [Y] [X]"]);
  assert.equal(remarks, [
    `[candidates] 8 templates for 2 relations from ${join(root, "prompt")}, 4 repeated`,
    `[candidates] 3 of 11 templates cannot be asked and are left out, as [${join(root, "prompt/mine/P36.jsonl")}:2] ` +
      '"[X] alone" holds [Y] nowhere; write it once, where the object goes',
  ]);
  const { templates: few, remarks: why } = await loadCandidates(root, MANUAL.slice(1), (text) =>
    text.startsWith("good") ? "is too good; write a worse one" : undefined,
  );
  assert.equal(few.get("P36"), ["[Y] rules [X] .", "[X] , [Y]"]);
  assert.match(why[1], /^\[candidates\] 4 of 6 templates cannot be asked and are left out, as /);
});

type Row = [why: string, files: Readonly<Record<string, string>>, sentence: RegExp];
const BROKEN: Row[] = [
  [
    "no candidates of a relation",
    { "prompt/mine/P17.jsonl": line("[X] , [Y]") },
    /none for P36: .*manual_paraphrase\/P36\.txt, .*mine\/P36\.jsonl, .*paraphrase\/P36\.jsonl do not exist; add one of them, or leave P36 out of --relations$/,
  ],
  [
    "an empty file",
    { ...FILES, "prompt/mine/P36.jsonl": "\n" },
    /prompt has none for P36 that can be asked \(none is written there\); write some with \[X\] and \[Y\] once/,
  ],
  [
    "the manual template is no list of candidates",
    { ...FILES, "prompt/mine/P36.jsonl": line("[X] only") },
    /has none for P36 that can be asked \(\[.*P36\.jsonl:1\] "\[X\] only" holds \[Y\] nowhere; .*\); write some/,
  ],
  [
    "a line that is no JSON",
    { ...FILES, "prompt/mine/P36.jsonl": `${line("[X] , [Y]")}[X] in [Y]\n` },
    /P36\.jsonl:2 is not JSON: .*; write \{"template": "\.\.\."\} or remove the line$/,
  ],
  [
    "a line without a template",
    { ...FILES, "prompt/paraphrase/P17.jsonl": '{"weight": 1}\n' },
    /paraphrase\/P17\.jsonl:1 has no text in "template" \(it is missing\)/,
  ],
  [
    "a control character",
    { ...FILES, "prompt/manual_paraphrase/P17.txt": "[X] in [Y]\n[X] \u0007 [Y]\n" },
    /P17\.txt:2 has the control character .*; remove it$/,
  ],
  [
    "another layout",
    { "prompt/P17.txt": "[X] in [Y]\n" },
    /prompt holds none of manual_paraphrase\/, mine\/, paraphrase\/; point --candidates at a folder in LPAQA's layout/,
  ],
];
for (const [why, files, sentence] of BROKEN) {
  test(why, async () => {
    const message = await said(load(files).work);
    assert.match(message, sentence);
    assert.not.match(message, /\n/);
  });
}

test("a folder that is not there, and a file in its place", async () => {
  const root = folder({ file: "" });
  const at = (name: string) => said(loadCandidates(join(root, name), MANUAL));
  assert.match(await at("gone"), /gone does not exist; point --candidates at a folder in LPAQA's/);
  assert.match(await at("file"), /file is no folder; point --candidates at/);
});

test("sentences of pre-training as candidates, without the manual template", async () => {
  const row = (relation: string, pattern: string) => `${JSON.stringify({ relation, pattern })}\n`;
  const root = folder({
    "patterns.jsonl":
      row("P36", "[X] has [Y]") + row("P9", "[X] a [Y]") + row("P36", "[X] : [Y] , [Y]"),
  });
  const { templates, remarks } = await loadPatternCandidates(root, MANUAL.slice(1));
  assert.equal([...templates], [["P36", ["[X] has [Y]"]]]);
  assert.match(remarks[1], /1 of 2 templates cannot be asked .*jsonl:3\] .* holds \[Y\] 2 times/);
  assert.match(
    await said(loadPatternCandidates(root, MANUAL)),
    /patterns\.jsonl has none for P17 that can be asked \(none is written there\)/,
  );
  assert.match(
    await said(loadPatternCandidates(folder({}), MANUAL)),
    /patterns\.jsonl does not exist; only an embedded world tells .* use --pool candidates$/,
  );
});

/** As two templates are compared that should not be one: without case, blanks and final period. */
const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\s*\.\s*$/, "")
    .replace(/\s+/g, " ")
    .trim();

test("the world's candidates are no sentences of its pre-training, in words that its masked LM has", async () => {
  const world = embeddedWorld();
  const { relations } = await loadFacts(world.data);
  const patterns = new Set([...(await loadPatterns(world.data)).values()].flat().map(plain));
  const tokenizer = await loadTokenizer(world.bert);
  const { templates, remarks } = await loadCandidates(world.data, relations);
  assert.is(remarks.length, 1, "all can be asked");
  assert.is(templates.size, 13);
  for (const { id, template: manual } of relations) {
    const own = templates.get(id) ?? [];
    assert.is(own[0], manual);
    assert.ok(own.length >= 9 && own.length <= 13, `${id} has ${own.length}`);
    assert.is(new Set(own.map(plain)).size, own.length, `${id} says nothing twice`);
    for (const template of own) {
      assert.not(patterns.has(plain(template)), `${id}: ${template}`);
      if (template === manual) continue;
      for (const word of template.split(" ").filter((one) => !/\[[XY]\]/.test(one))) {
        assert.ok(tokenizer.wordIdOrUndefined(word) !== undefined, `${id}: ${word}`);
      }
    }
  }
  const file = readFileSync(join(world.data, "prompt/manual_paraphrase/P17.txt"), "utf8");
  assert.ok(file.endsWith(" .\n"));
});

test.run();
