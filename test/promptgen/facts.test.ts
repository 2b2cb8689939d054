import { test } from "uvu";
import * as assert from "uvu/assert";
import { filterFacts, loadFacts, splitByVocabulary } from "../../promptgen/facts/facts.ts";
import { FACTS, folder, rows } from "./fixture.ts";

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("expected an error");
}

test("reads the relations that have facts, by id, with label, type and template", async () => {
  const { relations, commonVocabulary } = await loadFacts(folder(FACTS));
  assert.equal(
    relations.map(({ id, label, type, template }) => [id, label, type, template]),
    [
      ["R1", "food", "N-M", "[X] eats [Y] ."],
      ["R2", "place", "N-1", "[X] is in [Y] ."],
    ],
  );
  assert.equal(commonVocabulary, ["Paris", "Rome", "grass", "fish"]);
  assert.equal(relations[1]?.test, [
    { subject: "Colosseum", object: "Rome" },
    { subject: "Eiffel Tower", object: "Paris" },
  ]);
});

test("drops repeated facts and uncommon objects, and counts them", async () => {
  const { relations, counts } = await loadFacts(folder(FACTS));
  assert.equal(relations[1]?.train, [
    { subject: "Louvre", object: "Paris" },
    { subject: "Forum", object: "Rome" },
  ]);
  assert.equal(counts, {
    train: { raw: 7, repeated: 1, uncommon: 1, kept: 5 },
    dev: { raw: 2, repeated: 0, uncommon: 0, kept: 2 },
    test: { raw: 5, repeated: 0, uncommon: 0, kept: 5 },
  });
});

test("a pair is repeated only when subject and object are the same", () => {
  const facts = [
    { subject: "ab", object: "c" },
    { subject: "a", object: "bc" },
    { subject: "a", object: "c" },
    { subject: "a b", object: "c" },
    { subject: "a", object: "b c" },
    { subject: "ab", object: "c" },
  ];
  const { facts: kept, count } = filterFacts(facts, new Set(["c", "bc", "b c"]));
  assert.equal(kept, facts.slice(0, 5));
  assert.equal(count, { raw: 6, repeated: 1, uncommon: 0, kept: 5 });
});

test("chooses relations; the order of the choice does not matter", async () => {
  const root = folder(FACTS);
  const one = await loadFacts(root, { relations: ["R2"] });
  assert.equal(
    one.relations.map(({ id }) => id),
    ["R2"],
  );
  assert.is(one.counts.test.kept, 2);
  const both = await loadFacts(root, { relations: ["R2", "R1", "R2"] });
  assert.equal(
    both.relations.map(({ id }) => id),
    ["R1", "R2"],
  );
});

test("the common words may be given as words or as a file", async () => {
  const root = folder({ ...FACTS, "words.txt": "Paris\r\nRome\r\nAtlantis\r\n\r\nRome\n" });
  const given = await loadFacts(root, {
    relations: ["R2"],
    commonVocabulary: ["Paris", "Rome", "Atlantis"],
  });
  assert.is(given.counts.train.kept, 3);
  const file = await loadFacts(root, {
    relations: ["R2"],
    commonVocabulary: `${root}/words.txt`,
  });
  assert.equal(file.commonVocabulary, ["Paris", "Rome", "Atlantis"]);
  assert.is(file.counts.train.kept, 3);
});

test("a broken line is named by file and line number", async () => {
  const at = (text: string) =>
    failure(loadFacts(folder({ ...FACTS, "autoprompt_data/R1/dev.jsonl": text })));
  const good = rows("Goat > grass");
  assert.match(await at(`${good}{"sub_label": "x"`), /R1\/dev\.jsonl:2 is not JSON: \{"sub_label"/);
  assert.match(await at(`\n${good}\n[]\n`), /R1\/dev\.jsonl:4 is not a JSON object/);
  assert.match(await at(`${good}{"sub_label":"x"}`), /dev\.jsonl:2 has no text in "obj_label"/);
  assert.match(await at('{"sub_label":" ","obj_label":"grass"}'), /:1 has no text in "sub_label"/);
  assert.match(await at('{"sub_label":7,"obj_label":"grass"}'), /:1 has no text in "sub_label"/);
  assert.match(
    await at('{"predicate_id":"R2","sub_label":"x","obj_label":"grass"}'),
    /dev\.jsonl:1 is a fact of R2, not of R1/,
  );
});

test("an empty relation is an error that counts its rows", async () => {
  const empty = folder({ ...FACTS, "LAMA-TREx/R1.jsonl": "\n" });
  assert.match(await failure(loadFacts(empty)), /leaves relation R1 without test facts \(0 rows/);
  const uncommon = folder({ ...FACTS, "autoprompt_data/R1/train.jsonl": rows("Ox > hay") });
  assert.match(
    await failure(loadFacts(uncommon)),
    /leaves relation R1 without train facts \(1 rows, 0 repeated, 1 with an object outside/,
  );
});

test("an unknown relation is an error that lists the known ones", async () => {
  assert.match(
    await failure(loadFacts(folder(FACTS), { relations: ["R1", "P17"] })),
    /relation P17 is unknown; choose among R1, R2, R9/,
  );
  assert.match(
    await failure(loadFacts(folder(FACTS), { relations: [] })),
    /no relation was chosen/,
  );
});

test("missing directories and files are named", async () => {
  assert.match(
    await failure(loadFacts("/nowhere/facts")),
    /\/nowhere\/facts does not exist; point --data at a folder in the layout/,
  );
  const without = (path: string) =>
    failure(
      loadFacts(folder(Object.fromEntries(Object.entries(FACTS).filter(([key]) => key !== path)))),
    );
  for (const path of [
    "relation_metainfo/LAMA_relations.jsonl",
    "common_vocabs/common_vocab_cased.txt",
    "autoprompt_data/R2/dev.jsonl",
  ]) {
    assert.match(await without(path), new RegExp(`${path} does not exist`));
  }
  const { "LAMA-TREx/R1.jsonl": _1, "LAMA-TREx/R2.jsonl": _2, ...rest } = FACTS;
  assert.match(
    await failure(loadFacts(folder(rest))),
    /LAMA-TREx holds no file of a known relation/,
  );
  assert.match(
    await failure(loadFacts(folder(FACTS), { relations: ["R9"] })),
    /R9\/train.jsonl does not exist/,
  );
});

test("a manual template without a slot is named by file and line", async () => {
  const path = "relation_metainfo/LAMA_relations.jsonl";
  const bad = (FACTS[path] ?? "").replace("[X] eats [Y] .", "[X] eats .");
  assert.match(
    await failure(loadFacts(folder({ ...FACTS, [path]: bad }))),
    /LAMA_relations\.jsonl:2\] "\[X\] eats \." holds \[Y\] nowhere/,
  );
});

test("objects that are not one token are counted and named, relations emptied by that too", async () => {
  const { relations } = await loadFacts(folder(FACTS));
  const known = new Set(["Paris", "Rome", "grass"]);
  const split = splitByVocabulary(relations, (object) => known.has(object));
  assert.is(split.dropped, 2);
  assert.equal(split.objects, ["fish"]);
  assert.equal(split.emptied, []);
  assert.equal(
    split.relations[0]?.train.map(({ subject }) => subject),
    ["Cow", "Hare"],
  );
  assert.match(
    split.message,
    /2 of 12 facts have an object that is not one token .*1 objects: fish/,
  );
  assert.is(relations[0]?.train.length, 3, "the input is left as it was");
  const half = splitByVocabulary(relations, (object) => object !== "grass" && object !== "fish");
  assert.equal(
    half.relations.map(({ id }) => id),
    ["R2"],
  );
  assert.equal(half.objects, ["grass", "fish"], "the most frequent first");
  assert.match(half.message, /relations left out: R1$/);
  assert.is(splitByVocabulary(relations, () => true).message, "");
  assert.throws(() => splitByVocabulary(relations, () => false), /no relation is left/);
});

test.run();
