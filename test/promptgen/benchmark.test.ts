import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { itemsOf, loadBenchmark } from "../../promptgen/benchmark.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { FACTS, folder } from "./fixture.ts";

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
