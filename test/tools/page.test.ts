/** What the page works out beside its models: links, facts that are pasted, words, packs. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readAddress, writeAddress } from "../../tools/page/address.ts";
import { cellsOf, readFacts } from "../../tools/page/facts-text.ts";
import { disk } from "../../tools/page/node/disk.ts";
import { completed, joined } from "../../tools/page/state.ts";
import { changedWords, duration, percent, pieces, prompts } from "../../tools/page/words.ts";
import { packed, unpack } from "../../tools/page/worker/pack.ts";

const test = suite("page");

test("a link gives back the state that it was made of, whatever the subject", () => {
  for (const subject of ["Peru", "São Tomé & Príncipe", 'a#b?c=d&e="<i>', "日本", "100 %+1"]) {
    const state = { view: "ask", relation: "P36", subject, other: "None" } as const;
    assert.equal(readAddress(writeAddress(state)), state);
  }
  const train = { view: "train", alpha: 0.45, seed: 7, device: "gpu:software" } as const;
  assert.equal(readAddress(writeAddress(train)), train);
  assert.is(writeAddress({ view: "own" }), "#own");
});

test("of a link that somebody made up only what can be is taken", () => {
  assert.equal(readAddress(""), { view: "ask" });
  assert.equal(readAddress("#constructor?__proto__=1"), { view: "ask" });
  const long = "x".repeat(201);
  for (const query of [
    `subject=${long}`,
    "subject=%00a",
    "subject=%E2%80%AEa",
    "subject=+",
    "relation=../../x",
    "alpha=2",
    "alpha=-1",
    "alpha=1e-3",
    "alpha=NaN",
    "seed=1.5",
    "seed=1000",
    "device=gpu:evil",
  ]) {
    assert.equal(readAddress(`#ask?${query}`), { view: "ask" }, query);
  }
});

test("a question gets what it lacks from the facts", () => {
  const fact = (subject: string) => ({ subject, object: "o", split: "test" });
  const relation = (id: string, ...subjects: readonly string[]) => ({
    id,
    label: id,
    template: "",
    type: "",
    facts: subjects.map(fact),
  });
  const relations = [relation("P1", "a", "b"), relation("P36", "c", "d")];
  const ask = (own: object) =>
    completed({ relation: "", subject: "", other: "", ...own }, { relations });
  assert.equal(ask({}), { relation: "P36", subject: "c", other: "d" });
  assert.equal(ask({ relation: "P1" }), { relation: "P1", subject: "a", other: "b" });
  assert.equal(ask({ relation: "P9", subject: "d" }), {
    relation: "P36",
    subject: "d",
    other: "c",
  });
  assert.equal(ask({ subject: "mine", other: "yours" }).subject, "mine");
});

test("steps that are taken again replace what they were", () => {
  const series = (steps: readonly number[], value: number) => {
    const column = steps.map(() => value);
    return { steps, object: column, none: column, entropy: column, topProbability: column };
  };
  const both = joined(series([1, 2, 3], 0), series([3, 4], 1));
  assert.equal(both.steps, [1, 2, 3, 4]);
  assert.equal(both.object, [0, 0, 1, 1]);
  assert.equal(joined(series([], 0), series([1], 2)).none, [2]);
});

const lines = (count: number, of: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => of(i)).join("\n");

test("facts are read from tabs, commas and JSON, with and without a head", () => {
  const want = { label: "capital", train: 4, dev: 1, test: 1 };
  const shape = (text: string) =>
    readFacts(text, "[X] : [Y]").relations.map(({ label, train, dev, test: own }) => ({
      label,
      train: train.length,
      dev: dev.length,
      test: own.length,
    }));
  assert.equal(shape(lines(6, (i) => `capital\tS${i}\tO${i}`)), [want]);
  assert.equal(shape(`object,relation,subject\n${lines(6, (i) => `O${i},capital,S${i}`)}`), [want]);
  assert.equal(shape(lines(6, (i) => `S${i},O${i}`)), [{ ...want, label: "facts" }]);
  const json = (i: number) =>
    JSON.stringify({ sub_label: `S${i}`, obj_label: `O${i}`, relation: "capital" });
  assert.equal(shape(`\r\n${lines(6, json).replaceAll("\n", "\r\n")}\r\n`), [want]);
  assert.equal(cellsOf('"a, ""b""", c ,"d"', false), ['a, "b"', "c", "d"]);
  assert.equal(cellsOf("a,,b", false), ["a", "", "b"]);
});

test("every fact is in one split, the same each time", () => {
  const text = lines(40, (i) => `r\tS${i}\tO${i}`);
  const [one] = readFacts(text, "[X] [Y]").relations;
  const all = [...one.train, ...one.dev, ...one.test].map(({ subject }) => subject);
  assert.is(new Set(all).size, 40);
  assert.is(all.length, 40);
  assert.equal(readFacts(text, "[X] [Y]").relations[0], one);
});

test("what is no fact is told with its line, and nothing is lost of the rest", () => {
  const good = lines(5, (i) => `S${i}\tO${i}`);
  const read = (text: string, template = "[X] has [Y] .") => readFacts(text, template);
  assert.match(
    read(`${good}\nlonely`).problems[0],
    /^Line 6 has 1 cells; write subject and object/,
  );
  assert.match(read(`${good}\nS9\t`).problems[0], /^Line 6 lacks its subject or its object/);
  assert.match(read(`${good}\nS\u0007\tO`).problems[0], /^Line 6 has the control character/);
  assert.match(
    read('{"subject": "a", "object": "b"}\n[1]').problems[0],
    /^Line 2 is no JSON object/,
  );
  assert.match(read("S\tO\nT\tO").problems[0], /^facts has 2 facts and needs 3/);
  assert.match(read(good, "no places").problems[0], /^facts: .*holds \[X\] nowhere/);
  assert.is(read(`${good}\nlonely`).relations[0].train.length, 3);
  const many = read(`${good}\n${lines(20, () => "x")}`).problems;
  assert.is(many.length, 7);
  assert.is(many[6], "And 14 more.");
  assert.throws(() => read("x".repeat(20_000_001)), /the limit is 20000000; give a part/);
});

test("prompts fall into their pieces", () => {
  assert.equal(
    pieces("[X] is <pay> [Y] .", "a [Y] b").map(({ kind, text }) => `${kind}:${text}`),
    ["subject:a [Y] b", "word:is", "vector:pay", "mask:", "word:."],
  );
  assert.equal(prompts("0.250 [X] a [Y] | 0.750 [Y] b [X]"), [
    { weight: "0.250", prompt: "[X] a [Y]" },
    { weight: "0.750", prompt: "[Y] b [X]" },
  ]);
  assert.equal(prompts("[X] in [Y]"), [{ weight: "", prompt: "[X] in [Y]" }]);
});

test("words that changed are found, also where others were put before them", () => {
  const changed = (before: string, now: string) =>
    changedWords(before, now)
      .map((is) => (is ? "x" : "."))
      .join("");
  assert.is(changed("a b c", "a b c"), "...");
  assert.is(changed("a b c", "a x c"), ".x.");
  assert.is(changed("a b c", "x a b c"), "x...");
  assert.is(changed("a b c", "c"), ".");
  assert.equal(changedWords(undefined, "a b"), [false, false]);
});

test("figures say when they are not quite nothing or all", () => {
  assert.equal([0, 0.001, 0.5, 0.934, 0.9999, 1].map(percent), [
    "0 %",
    "< 1 %",
    "50 %",
    "93 %",
    "> 99 %",
    "100 %",
  ]);
  assert.equal([0.2, 40, 600, 7200, 3e5].map(duration), [
    "less than a second",
    "40 s",
    "10 min",
    "2 h",
    "3 days",
  ]);
});

test("a pack gives back its files, and one that was cut off is refused", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const pack = packed({ runs: [] }, [
    { path: "/p/one", bytes },
    { path: "/p/deep/none", bytes: new Uint8Array(0) },
    { path: "/p/two", bytes: bytes.map((b) => b + 9) },
  ]);
  assert.is(unpack(pack, "x.pack").files.length, 3);
  assert.equal([...disk.bytes("/p/two")], [10, 11, 12]);
  assert.equal(disk.bytes("/p/deep/none").length, 0);
  for (const length of [0, 3, 20, pack.length - 1]) {
    assert.throws(() => unpack(pack.slice(0, length), "x.pack"), /x\.pack did not arrive whole/);
  }
});

test.run();
