import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { itemsOf, loadBenchmark, objectIds } from "../../promptgen/benchmark.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { FACTS, folder, rows, uncasedBert } from "./fixture.ts";

const world = embeddedWorld();

/** The embedded BERT with another spelling of one word. */
function readerWith(word: string, other: string): string {
  const path = folder({});
  cpSync(world.bert, path, { recursive: true });
  const file = join(path, "tokenizer.json");
  const text = readFileSync(file, "utf8");
  assert.ok(text.includes(`"${word}"`));
  writeFileSync(file, text.replaceAll(`"${word}"`, `"${other}"`));
  return path;
}

test("facts that the reader can answer; what it cannot is said", async () => {
  const data = folder({
    ...FACTS,
    "common_vocabs/common_vocab_cased.txt": "Paris\nRome\nAtlantis\nfish\ngrass\n",
  });
  const benchmark = await loadBenchmark({ data, reader: world.bert, relations: ["R2"] });
  assert.equal(
    benchmark.relations.map(({ id }) => id),
    ["R2"],
  );
  const train = itemsOf(benchmark.relations, "train").map(({ fact }) => fact.object);
  assert.equal(train, ["Paris", "Rome"], "Atlantis is no token");
  const [words, left] = benchmark.remarks;
  assert.match(
    words,
    /^\[vocabulary\] 2 of 5 common words are not one token .*\(Atlantis, grass\)$/,
  );
  assert.is(
    left,
    "[data] R2: 7 facts read, 2 left out (2 train): 1 repeated (Louvre > Paris); 1 with an object of several pieces (Atlantis)",
  );
  assert.is(benchmark.remarks.length, 2);
  assert.is(
    benchmark.answers,
    `answers: 3 words of ${data}/common_vocabs/common_vocab_cased.txt (5 lines: 2 not one token of the masked LM)`,
  );
  assert.is(benchmark.data, data);
});

test("contents change with the facts and with the reader", async () => {
  const load = (data: string, reader: string) =>
    loadBenchmark({ data, reader, relations: ["P36"] }).then(({ contents }) => contents);
  const own = await load(world.data, world.bert);
  assert.equal(await load(world.data, world.bert), own);
  const data = folder({});
  cpSync(world.data, data, { recursive: true });
  assert.equal(await load(data, world.bert), own, "wherever it stands");
  const file = join(data, "LAMA-TREx/P36.jsonl");
  const lines = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, lines.slice(1).join("\n"));
  const other = await load(data, world.bert);
  assert.is.not(other.data, own.data);
  assert.is(other.reader, own.reader);
});

test("an uncased reader: a matter of case, or objects and answers in lower case", async () => {
  const reader = uncasedBert(world.bert);
  const relations = ["P17", "P36", "P1303"];
  const cased = await loadBenchmark({ data: world.data, reader: world.bert, relations });
  const half = await loadBenchmark({ data: world.data, reader, relations });
  assert.match(
    half.remarks.join("\n"),
    /which --objects lowercase takes\n\[data\] .* with an object that the masked LM has in lower case only, as --objects lowercase takes it .*; relations left out: P17, P36$/,
  );
  assert.equal([...new Set(half.leftOut.map(({ reason }) => reason))], ["tokenCase"]);
  assert.is(
    await loadBenchmark({ data: world.data, reader, relations: ["P17"] }).then(
      () => "it was loaded",
      ({ message }: Error) =>
        message.replace(/.*; no relation/, "no relation").replace(/\d+/g, "N"),
    ),
    "no relation is left: it is a matter of case: the masked LM has N of the N in lower case; give --objects lowercase, or use a cased masked LM",
  );
  const whole = await loadBenchmark({ data: world.data, reader, relations, objects: "lowercase" });
  assert.equal(whole.leftOut, []);
  assert.equal(whole.remarks, []);
  const objects = (benchmark: typeof whole) =>
    itemsOf(benchmark.relations, "test").map(({ fact }) => fact.object);
  assert.equal(
    objects(whole),
    objects(cased).map((object) => object.toLowerCase()),
  );
  // ids by Python's rule for such a vocabulary: the token of the word in lower case
  const { vocab } = JSON.parse(readFileSync(join(reader, "tokenizer.json"), "utf8")).model;
  const items = itemsOf(whole.relations, "test");
  assert.equal(
    objectIds(whole, items, items.length),
    objects(cased).map((object) => vocab[object.toLowerCase()]),
  );
  assert.match(whole.answers, /^answers: \d+ words of .* \(1009 lines: \d+ repeated\)$/);
  assert.is.not(whole.contents.data, half.contents.data);
});

test("objects of several pieces are told from those that are not common", async () => {
  const data = folder({
    ...FACTS,
    "common_vocabs/common_vocab_cased.txt": "Paris\nRome\n",
    "autoprompt_data/R2/train.jsonl": rows(
      "Louvre > Paris",
      "a > New Paris",
      "b > zebra",
      "c > \u{4e00}\u{4e8c}",
      "d > paris",
    ),
  });
  const { leftOut } = await loadBenchmark({ data, reader: world.bert, relations: ["R2"] });
  const tokenizer = await loadTokenizer(world.bert);
  assert.ok(tokenizer.encode("zebra").length > 1);
  assert.ok(tokenizer.encode("\u{4e00}\u{4e8c}").includes(tokenizer.unk));
  assert.equal(
    leftOut.map(({ fact, reason }) => [fact.object, reason]),
    [
      ["New Paris", "multiPiece"],
      ["zebra", "multiPiece"],
      ["\u{4e00}\u{4e8c}", "uncommon"],
      ["paris", "case"],
    ],
  );
});

test("the fingerprint of facts is that of what is asked, not of what is said", async () => {
  const { contents } = await loadBenchmark({ data: world.data, reader: world.bert });
  const { relations, commonVocabulary, counts } = await loadFacts(world.data);
  const text = JSON.stringify({ relations, commonVocabulary, counts });
  assert.is(contents.data, createHash("sha256").update(text).digest("hex").slice(0, 16));
});

test("a reader to which None is not one token", async () => {
  const reader = readerWith("None", "Nobody-at-all");
  const said = await loadBenchmark({ data: world.data, reader }).then(
    () => "it was loaded",
    (error: Error) => error.message,
  );
  assert.is(
    said,
    '[benchmark] "None" is not one token of the masked LM; use one whose vocabulary has it',
  );
});

test.run();
