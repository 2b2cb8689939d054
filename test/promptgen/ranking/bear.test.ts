import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { loadBear } from "../../../promptgen/ranking/bear.ts";
import { placeOf } from "../../../promptgen/ranking/rank.ts";
import { rankedRelations, statement } from "../../../promptgen/ranking/statements.ts";
import { temporary } from "../../tools/command.ts";

const test = suite("BEAR's layout");

const templates = ["[X] is [Y].", "[Y], says [X]."];
const space = { answer_space_labels: ["red", "dark blue"], answer_space_ids: ["Q1", "Q2"] };
const line = (sub_label: string, obj_label: string, more: object = {}) =>
  JSON.stringify({ sub_label, obj_label, ...more });

let made = 0;
const home = temporary();

/** A folder with these relations and, by name, the lines of files. */
function folder(metadata: unknown, files: Readonly<Record<string, readonly string[]>>): string {
  const path = join(home, String(made++));
  mkdirSync(path);
  const text = typeof metadata === "string" ? metadata : JSON.stringify(metadata);
  writeFileSync(join(path, "metadata_relations.json"), text);
  for (const [name, lines] of Object.entries(files)) {
    writeFileSync(join(path, name), lines.map((one) => `${one}\n`).join(""));
  }
  return path;
}

test("answers by place, by id, by label, and of the file itself; relations by number; what is not read", async () => {
  const path = folder(
    { P19: { templates }, P6: { templates: templates.slice(0, 1), ...space } },
    {
      "P6.jsonl": [
        line("sky", "dark blue", { answer_idx: 1, sub_aliases: ["air"] }),
        line("sea", "dark blue", { obj_id: "Q2" }),
        line("tile", "red"),
      ],
      "P19.jsonl": [
        line("b", "second", { obj_id: "Q9" }),
        line("a", "first"),
        line("c", "second", { obj_id: "Q9" }),
      ],
      "P20.jsonl": [line("a", "b")],
    },
  );
  const { relations, remarks } = await loadBear(path);
  assert.deepEqual(
    relations.map(({ id, answers, facts, templates: { length } }) => {
      return [id, answers, facts.map(({ answer }) => answer), length];
    }),
    [
      ["P6", ["red", "dark blue"], [1, 1, 0], 1],
      ["P19", ["second", "first"], [0, 1, 0], 2],
    ],
  );
  assert.match(remarks.join(), /does not name P20\.jsonl, which therefore/);
  const { relations: one } = await loadBear(path, ["P19"]);
  assert.deepEqual(
    one.map(({ id }) => id),
    ["P19"],
  );
  rmSync(join(path, "P6.jsonl"));
  await assert.rejects(
    loadBear(path),
    /P6\.jsonl does not exist, but metadata_relations\.json has/,
  );
  assert.equal((await loadBear(path, ["P19"])).relations.length, 1);
  await assert.rejects(loadBear(path, ["P7"]), /has no relation P7; it has P19, P6/);
});

test("an answer of the same name as another is found by its id, in the metadata and in the file", async () => {
  const lines = [line("a", "Paris", { obj_id: "Q1" }), line("b", "Paris", { obj_id: "Q2" })];
  const named = { answer_space_labels: ["Paris", "Paris"], answer_space_ids: ["Q1", "Q2"] };
  for (const more of [named, {}]) {
    const path = folder({ P6: { templates, ...more } }, { "P6.jsonl": lines });
    const [{ answers, facts }] = (await loadBear(path)).relations;
    assert.deepEqual(answers, ["Paris", "Paris"]);
    assert.deepEqual(
      facts.map(({ answer }) => answer),
      [0, 1],
    );
  }
});

test("what does not fit is named with its file and line", async () => {
  const good = { "P6.jsonl": [line("sky", "red", { answer_idx: 0 })] };
  const refused = (metadata: unknown, sentence: RegExp, files: typeof good = good) =>
    assert.rejects(loadBear(folder(metadata, files)), ({ message }: Error) => {
      assert.match(message, sentence);
      assert.match(message, /^\[data\] [^\n]*$/);
      return true;
    });
  const lines = (...own: string[]) => ({ "P6.jsonl": [line("sky", "red"), ...own] });
  const P6 = { templates, ...space };
  await refused({ P6 }, /P6\.jsonl:2 has no text in "obj_label"/, lines('{"sub_label":"a"}'));
  await refused({ P6 }, /P6\.jsonl:2 is not JSON/, lines("{"));
  await refused(
    { P6 },
    /P6\.jsonl:2 has the object "green", which is not in the answer space/,
    lines(line("a", "green")),
  );
  await refused(
    { P6 },
    /P6\.jsonl:3 has the object "red", but its answer_idx 1 is "dark blue"/,
    lines(line("a", "red"), line("b", "red", { answer_idx: 1 })),
  );
  for (const answer_idx of [2, -1, 0.5, "0", null]) {
    await refused(
      { P6 },
      /P6\.jsonl:2 has the answer_idx .*; the answer space has 2/,
      lines(line("a", "red", { answer_idx })),
    );
  }
  await refused({ P6 }, /P6\.jsonl holds no facts/, { "P6.jsonl": [] });
  await refused("{", /metadata_relations\.json is not JSON/);
  await refused([], /metadata_relations\.json is no object of relations/);
  await refused({}, /metadata_relations\.json holds no relations/);
  await refused({ "../P6": P6 }, /names a relation "\.\.\/P6"/);
  await refused({ P6: [] }, /P6 has no "templates"/);
  await refused({ P6: null }, /P6 is null/);
  await refused({ P6: { templates: [] } }, /P6 has no list in "templates"/);
  await refused(
    { P6: { templates: ["[X] is."] } },
    /"templates"\[0\] is "\[X\] is\.", without \[Y\]/,
  );
  await refused({ P6: { ...P6, answer_space_labels: ["red", " "] } }, /"answer_space_labels"\[1\]/);
  await refused(
    { P6: { ...P6, answer_space_ids: ["Q1"] } },
    /has 2 answer_space_labels and 1 answer_space_ids/,
  );
  await refused({ P6: { ...P6, answer_space_labels: ["red", "a\u0007"] } }, /control character/);
});

test("a sentence: a capital where it is BEAR's, slots once or twice, a subject that looks like a slot", () => {
  const [bear, lama] = [{ capitalize: true }, { capitalize: false }];
  assert.equal(statement(bear, "the [X] is [Y].", "sky", "blue"), "The sky is blue.");
  assert.equal(statement(lama, "[X] is [Y] .", "sky", "blue"), "sky is blue .");
  assert.equal(statement(bear, "[Y] and [Y]: [X]", "[Y]$&", "é"), "É and é: [Y]$&");
  assert.equal(statement(bear, "[X] [Y]", "𐐨x", "y"), "𐐀x y");
});

test("LAMA's test facts, ranked among the relation's objects of all splits", () => {
  const fact = (subject: string, object: string) => ({ subject, object });
  const relation = {
    id: "P1",
    label: "",
    type: "N-1",
    template: "[X] in [Y] .",
    train: [fact("a", "New York"), fact("b", "Rome")],
    dev: [fact("c", "Rome")],
    test: [fact("d", "Rome"), fact("e", "The Hague")],
  };
  const [own] = rankedRelations([relation]);
  assert.deepEqual(own, {
    id: "P1",
    templates: ["[X] in [Y] ."],
    answers: ["New York", "Rome", "The Hague"],
    facts: [
      { subject: "d", object: "Rome", answer: 1 },
      { subject: "e", object: "The Hague", answer: 2 },
    ],
    capitalize: false,
  });
  const [other] = rankedRelations([relation], new Map([["P1", ["[Y]: [X]", "[X], [Y]"]]]));
  assert.deepEqual(other.templates, ["[Y]: [X]", "[X], [Y]"]);
});

test("the answer is the first of the best, the rank counts what is above", () => {
  const answers = ["a", "b", "c", "d"];
  assert.deepEqual(placeOf(answers, [-3, -1, -1, -2], 2), { answer: "b", right: false, rank: 1 });
  assert.deepEqual(placeOf(answers, [-3, -1, -1, -2], 1), { answer: "b", right: true, rank: 1 });
  assert.deepEqual(placeOf(answers, [-3, -1, -1, -2], 3), { answer: "b", right: false, rank: 3 });
  assert.deepEqual(placeOf(answers, [-3, -1, -1, -2], 0), { answer: "b", right: false, rank: 4 });
});

test.run();
