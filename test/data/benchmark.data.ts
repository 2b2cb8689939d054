/** Counts of the real facts and vocabularies. `npm run test:data -- FOLDER` sets PROMPTGEN_DATA. */
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { commonWordIds } from "../../promptgen/answers.ts";
import { loadFacts, splitByVocabulary } from "../../promptgen/facts/facts.ts";
import { inSubject, overlapping } from "../../promptgen/facts/splits.ts";
import { loadTemplates } from "../../promptgen/facts/templates.ts";
import { byFrequency } from "../../promptgen/methods/majority.ts";
import { pairVocabularies } from "../../promptgen/methods/promptgen/vocabulary.ts";
import { isPaperBenchmark } from "../../promptgen/report/paper-tables.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import { means } from "../../promptgen/scores.ts";

const root = process.env.PROMPTGEN_DATA;
if (root === undefined) {
  throw new Error("[test:data] PROMPTGEN_DATA is not set; type npm run test:data -- FOLDER");
}
const facts = await loadFacts(join(root, "lama"));
const bert = await loadTokenizer(join(root, "tokenizers", "bert-base-cased"));
const bart = await loadTokenizer(join(root, "tokenizers", "bart-large"));

const lama = suite("facts");

lama("41 relations: 2 of type 1-1, 23 N-1, 16 N-M", () => {
  const types = new Map<string, number>();
  for (const { type } of facts.relations) types.set(type, (types.get(type) ?? 0) + 1);
  assert.equal([types.get("1-1"), types.get("N-1"), types.get("N-M"), types.size], [2, 23, 16, 3]);
});

lama("29,029 / 7,255 / 34,039 rows, of which 28,885 / 7,233 / 34,017 are kept", () => {
  const { train, dev, test } = facts.counts;
  assert.equal([train.raw, dev.raw, test.raw], [29_029, 7_255, 34_039]);
  assert.equal([train.kept, dev.kept, test.kept], [28_885, 7_233, 34_017]);
  for (const { raw, kept, repeated, uncommon } of [train, dev, test]) {
    assert.is(raw, kept + repeated + uncommon);
  }
});

lama("every row that is not kept has a reason: 142 repeated, 46 outside the common words", () => {
  const of = (...reasons: string[]) =>
    facts.leftOut.filter(({ reason }) => reasons.includes(reason)).length;
  assert.equal([of("repeated"), of("uncommon", "case"), facts.leftOut.length], [142, 46, 188]);
  assert.match(
    facts.remarks.join("\n"),
    /^\[data\] facts that stand in an earlier split too, .*: 105 /m,
  );
});

lama("935 / 19,992 / 13,090 test facts by type, relation by relation as in the paper", () => {
  const of = (type: string) =>
    facts.relations
      .filter((relation) => relation.type === type)
      .reduce((sum, { test }) => sum + test.length, 0);
  assert.equal([of("1-1"), of("N-1"), of("N-M")], [935, 19_992, 13_090]);
  assert.ok(isPaperBenchmark(relationRows(facts.relations)));
});

lama("the majority row is 0.21 / 23.17 / 10.95 / 17.28", () => {
  const scores = facts.relations.map(({ id, train, test }) => {
    const [[answer]] = byFrequency(train);
    const correct = test.filter(({ object }) => object === answer).length;
    return [id, { correct, total: test.length }] as const;
  });
  const { types, all } = means(facts.relations, new Map(scores));
  const row = ["1-1", "N-1", "N-M"].map((type) => (types.get(type) ?? Number.NaN).toFixed(2));
  assert.equal([...row, all.toFixed(2)], ["0.21", "23.17", "10.95", "17.28"]);
});

lama("59 test facts stand in train or dev too", () => {
  const found = overlapping(facts.relations);
  assert.is(found.length, 59);
  const of = (id: string) => found.filter(({ relation }) => relation === id).length;
  assert.equal(["P138", "P264", "P176", "P190", "P1376", "P36"].map(of), [16, 11, 10, 7, 3, 3]);
});

lama("4,732 objects stand in their subject's name", () => {
  assert.is(facts.relations.flatMap(({ test }) => test.filter(inSubject)).length, 4732);
});

lama("every relation has a manual, an LPAQA and an AutoPrompt template", async () => {
  for (const set of ["LAMA", "LPAQA", "AutoPrompt"] as const) {
    const templates = await loadTemplates(join(root, "lama"), set);
    assert.equal(
      facts.relations.filter(({ id }) => !templates.has(id)).map(({ id }) => id),
      [],
      set,
    );
  }
});

lama("every object is one token of BERT", () => {
  const split = splitByVocabulary(
    facts.relations,
    (word) => bert.idOrUndefined(word) !== undefined,
  );
  assert.is(split.dropped, 0);
});

const vocabularies = suite("vocabularies");

vocabularies("BERT: None 7330, [MASK] 103, . 119", () => {
  assert.is(bert.size, 28_996);
  assert.equal([bert.id("None"), bert.mask, bert.id(".")], [7330, 103, 119]);
  assert.equal([bert.pad, bert.unk, bert.cls, bert.sep], [0, 100, 101, 102]);
  assert.equal(bert.encode("None"), [7330]);
  assert.equal(bert.encode("[MASK] ."), bert.encode("[MASK]."));
});

vocabularies("BART: special tokens, . with and without a space, Hello world, None", () => {
  assert.is(bart.size, 50_265);
  assert.equal([bart.bos, bart.pad, bart.eos, bart.unk, bart.mask], [0, 1, 2, 3, 50_264]);
  assert.equal(bart.encode("."), [4]);
  assert.equal(bart.encode(" ."), [479]);
  assert.equal(bart.encode("Hello world"), [31_414, 232]);
  assert.equal(bart.encode("world"), [8331]);
  assert.equal(bart.encode(" None"), [9291]);
  assert.is(bart.id("ĠNone"), 9291);
});

vocabularies("BART decodes what it encoded, for every subject", () => {
  for (const { test } of facts.relations) {
    for (const { subject } of test) assert.is(bart.decode(bart.encode(subject)), subject);
  }
});

vocabularies("18,543 common pairs and </s> with [SEP]", () => {
  const common = pairVocabularies(bart, bert);
  assert.is(common.size, 18_544);
  assert.equal([common.generator[common.end], common.reader[common.end]], [2, 102]);
  assert.is(new Set(common.reader).size, 18_544);
  for (const word of ["violin", "trafficking", "UNESCO", "partly"]) {
    assert.ok(common.words.includes(word), word);
  }
});

vocabularies("21,018 common words, each one token of BERT", () => {
  const words = commonWordIds(bert, facts.commonVocabulary);
  assert.is(words.ids.length, 21_018);
  assert.equal(words.missing, []);
});

for (const one of [lama, vocabularies]) one.run();
