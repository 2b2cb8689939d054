import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { Random } from "../../models/training/random.ts";
import { answersLine, commonWordIds } from "../../promptgen/answers.ts";
import {
  type Fact,
  filterFacts,
  loadFacts,
  lowercased,
  type Relation,
  splitByVocabulary,
} from "../../promptgen/facts/facts.ts";
import {
  countLeftOut,
  keptFacts,
  type LeftOut,
  leftOutMessage,
} from "../../promptgen/facts/left-out.ts";
import { FACTS, folder, rows, VOCAB_TXT } from "./fixture.ts";

const fact = (subject: string, object: string): Fact => ({ subject, object });
const reasons = (dropped: readonly { fact: Fact; reason: string }[]) =>
  dropped.map((one) => [one.fact.object, one.reason]);

const filter = suite("filter");

filter("an object that is common but for its spelling has a reason of its own", () => {
  const common = new Set(["Paris", "Québec", "grass", "A"]);
  const objects = {
    " Paris": "blank",
    "Paris ": "blank",
    "\u00a0Paris": "blank",
    "Paris\u200b": "blank",
    "\uFEFFParis": "blank",
    "\u3000grass\t": "blank",
    paris: "case",
    GRASS: "case",
    "Que\u0301bec": "unicode",
    Rome: "uncommon",
    "Paris grass": "uncommon",
    "a b": "uncommon",
  };
  const facts = Object.keys(objects).map((object) => fact("x", object));
  const { facts: kept, count, dropped } = filterFacts([...facts, fact("x", "Paris")], common);
  assert.equal(kept, [fact("x", "Paris")]);
  assert.equal(count, { raw: 13, repeated: 0, uncommon: 12, kept: 1 });
  assert.equal(reasons(dropped), Object.entries(objects));
});

filter("facts in equal facts out and left out; the kept ones by another computation", () => {
  const random = new Random(3, 0, 0);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.unit() * list.length)];
  const common = ["a", "b", "c d"];
  for (let round = 0; round < 50; round++) {
    const facts = Array.from({ length: 30 }, () =>
      fact(pick(["x", "y", "x ", "X"]), pick(["a", "A", " a", "b", "c d", "e"])),
    );
    const { facts: kept, count, dropped } = filterFacts(facts, new Set(common));
    const first = (one: Fact) =>
      facts.findIndex(({ subject, object }) => subject === one.subject && object === one.object);
    const want = facts.filter((one, i) => first(one) === i && common.includes(one.object));
    assert.equal(kept, want);
    const repeated = facts.filter((one, i) => first(one) < i).length;
    assert.equal(count, {
      raw: 30,
      repeated,
      uncommon: 30 - repeated - want.length,
      kept: want.length,
    });
    assert.is(dropped.length, 30 - kept.length);
    assert.is(dropped.filter(({ reason }) => reason === "repeated").length, repeated);
    assert.is(new Set([...kept, ...dropped.map((one) => one.fact)]).size, 30);
  }
});

filter("uncommon objects are kept for who asks for them", async () => {
  const asked: string[] = [];
  const { relations, counts, leftOut } = await loadFacts(folder(FACTS), {
    keep(object) {
      asked.push(object);
      return object === "Atlantis";
    },
  });
  assert.equal(asked, ["Atlantis"]);
  assert.equal(
    relations[1].train.map(({ object }) => object),
    ["Paris", "Atlantis", "Rome"],
  );
  assert.is(counts.train.uncommon, 0);
  assert.equal(
    leftOut.map(({ reason }) => reason),
    ["repeated"],
  );
});

filter("objects and common words are spelled in one way, before they are compared", async () => {
  const data = folder({
    ...FACTS,
    "common_vocabs/common_vocab_cased.txt": "Paris\nPARIS\nrome\ngrass\nfish\n",
    "autoprompt_data/R2/train.jsonl": rows("Louvre > PARIS", "Louvre > Paris", "Forum > Rome"),
  });
  const lower = await loadFacts(data, { spell: (word) => word.toLowerCase() });
  assert.equal(lower.commonVocabulary, ["paris", "rome", "grass", "fish"]);
  assert.equal(lower.relations[1].train, [fact("Louvre", "paris"), fact("Forum", "rome")]);
  assert.equal(lower.counts.train, { raw: 6, repeated: 1, uncommon: 0, kept: 5 });
  const { leftOut } = await loadFacts(data, { relations: ["R1"] });
  assert.equal(leftOut, []);
  const has = (word: string) => ["paris", "quebec", "café"].includes(word);
  assert.equal(
    ["Paris", "Québec", "Café", "Élan"].map((word) => lowercased(word, has)),
    ["paris", "quebec", "café", "élan"],
  );
});

filter("facts in two splits, lossy ones and subjects with blanks are kept and said", async () => {
  const data = folder({
    ...FACTS,
    "autoprompt_data/R2/dev.jsonl": rows("Louvre > Paris", "Orsay  > Paris"),
    "LAMA-TREx/R2.jsonl": rows("Forum > Rome", "M\uFFFDnster > Paris", "Orsay > Paris"),
  });
  const { relations, remarks } = await loadFacts(data, { relations: ["R2"] });
  assert.is(relations[0].test.length, 3);
  assert.equal(remarks, [
    "[data] facts that stand in an earlier split too, kept as the benchmark keeps them: 2 (R2: Louvre > Paris, R2: Forum > Rome)",
    "[data] facts that hold U+FFFD, what a text in another encoding became, kept though they should be written anew: 1 (R2: M\uFFFDnster > Paris)",
    '[data] facts with a blank or an invisible character around the subject, kept as they are: 1 (R2: "Orsay ")',
  ]);
});

filter("a split that loses all says which of its objects differ in spelling alone", async () => {
  const train = rows("a >  grass", "b > grass ", "c > Fish", "d > hay");
  const error = await loadFacts(folder({ ...FACTS, "autoprompt_data/R1/train.jsonl": train })).then(
    () => "it was read",
    ({ message }: Error) => message,
  );
  assert.match(
    error,
    /\(4 rows, 0 repeated, 4 with an object outside the common words, of which 2 with a blank around it, as " grass" and 1 with another case, as "Fish"\); add/,
  );
});

const line = suite("line");

const left = (
  relation: string,
  split: "train" | "dev" | "test",
  reason: LeftOut["reason"],
  own: Fact,
) => ({ relation, split, reason, fact: own }) satisfies LeftOut;

line(
  "one line by reason, with splits, relations and examples; visible whatever the facts hold",
  () => {
    assert.is(leftOutMessage([], 5, ["P1"]), "");
    const list = [
      left("P1", "train", "blank", fact("a", " b")),
      left("P1", "train", "blank", fact("c", " b")),
      left("P1", "test", "repeated", fact("s", "o")),
    ];
    assert.is(
      leftOutMessage(list, 12, ["P1"]),
      '[data] P1: 12 facts read, 3 left out (2 train, 1 test): 1 repeated (s > o); 2 with a blank or an invisible character around the object (" b")',
    );
    const more = Array.from({ length: 9 }, (_, i) =>
      left(`Q${i}`, "dev", "multiPiece", fact("x", `New ${i}`)),
    );
    const several = leftOutMessage([...list, ...more], 99, ["P1", "Q1"], ["Q1"]);
    assert.match(
      several,
      /^\[data\] 99 facts read, 12 left out \(2 train, 9 dev, 1 test\): 1 repeated \(P1 1: s > o\); /,
    );
    assert.match(
      several,
      /; 9 with an object of several pieces \(Q0 1, Q1 1, .*Q7 1, and 1 more: New 0, New 1, New 2, New 3, and 5 more\); relations left out: Q1$/,
    );
    const odd = leftOutMessage(
      [left("P1", "dev", "tooLong", fact(`\u202e\u{1f600}${"x".repeat(99)}`, "o"))],
      1,
      ["P1"],
    );
    assert.match(odd, /\(\\u\{202e\}\u{1f600}x+\.\.\.\)$/u);
    assert.ok(odd.length < 200);
  },
);

line("counts by relation, reason and split", () => {
  const list = [
    left("P1", "train", "blank", fact("a", " b")),
    left("P1", "test", "blank", fact("a", " b")),
    left("P2", "dev", "case", fact("a", "B")),
    left("__proto__", "dev", "case", fact("a", "B")),
  ];
  const counts = countLeftOut(list);
  assert.equal(JSON.parse(JSON.stringify(Object.entries(counts))), [
    ["P1", { blank: { train: 1, dev: 0, test: 1 } }],
    ["P2", { case: { train: 0, dev: 1, test: 0 } }],
    ["__proto__", { case: { train: 0, dev: 1, test: 0 } }],
  ]);
});

const relation = (id: string, train: Fact[], dev: Fact[], test: Fact[]): Relation => ({
  id,
  label: id,
  type: "N-1",
  template: "[X] [Y]",
  train,
  dev,
  test,
});

line(
  "a relation that loses a split goes with what it has left, and every fact is accounted for",
  () => {
    const good = fact("a", "good");
    const relations = [
      relation("P1", [good], [good], [good, fact("b", "bad")]),
      relation("P2", [good], [fact("b", "bad")], [good, fact("b", "bad")]),
    ];
    const {
      relations: kept,
      leftOut,
      emptied,
    } = keptFacts(relations, ({ object }) => (object === "bad" ? "tooLong" : undefined));
    assert.equal(kept, [relation("P1", [good], [good], [good])]);
    assert.equal(emptied, ["P2"]);
    assert.equal(
      leftOut.map(({ relation: id, split, reason }) => [id, split, reason]),
      [
        ["P1", "test", "tooLong"],
        ["P2", "dev", "tooLong"],
        ["P2", "test", "tooLong"],
        ["P2", "train", "relation"],
        ["P2", "test", "relation"],
      ],
    );
  },
);

line(
  "what the masked LM lacks: its case, several pieces, or the word; a matter of case is said",
  () => {
    const objects = ["paris", "Paris", "Québec", "New York", "Ur"];
    const all = objects.map((object) => fact("x", object));
    const has = (object: string) => ["paris", "quebec"].includes(object);
    const pieces = (object: string) => (object === "New York" ? 2 : 1);
    const split = splitByVocabulary([relation("P1", all, all, all)], has, pieces);
    assert.equal(reasons(split.leftOut).slice(0, 4), [
      ["Paris", "tokenCase"],
      ["Québec", "tokenCase"],
      ["New York", "multiPiece"],
      ["Ur", "noToken"],
    ]);
    // to a cased masked LM a word in another case is another word, of pieces
    const cased = splitByVocabulary([relation("P1", all, all, all)], has, () => 2);
    assert.equal(reasons(cased.leftOut).slice(0, 1), [["Paris", "multiPiece"]]);
    const upper = [fact("x", "Paris"), fact("x", "Ur")];
    assert.throws(
      () => splitByVocabulary([relation("P1", upper, upper, upper)], has),
      /no relation is left: it is a matter of case: the masked LM has 3 of the 6 in lower case; give --objects lowercase, or use a cased masked LM$/,
    );
    const none = [fact("x", "Ur"), fact("x", "Or"), fact("x", "Paris")];
    assert.throws(
      () => splitByVocabulary([relation("P1", none, none, none)], has),
      /no relation is left: use a masked LM whose vocabulary holds the objects$/,
    );
  },
);

const answers = suite("answers");

answers("where the words come from, how many lines they were and what became of each", async () => {
  const bert = createTokenizer({ "vocab.txt": VOCAB_TXT });
  const line = async (text: string) => {
    const root = folder({ ...FACTS, "words.txt": text });
    const { commonVocabulary, words } = await loadFacts(root, {
      commonVocabulary: `${root}/words.txt`,
      keep: () => true,
    });
    return answersLine(commonWordIds(bert, commonVocabulary), words).replace(root, "");
  };
  assert.is(await line("Paris\ncat\n"), "answers: 2 words of /words.txt (2 lines)");
  assert.is(await line("Paris"), "answers: 1 words of /words.txt (1 line)");
  assert.is(
    await line("\uFEFFParis\r\n cat\r\n\r\ncat\r\nAtlantis\r\nthe \r\n"),
    "answers: 3 words of /words.txt (6 lines: 1 empty, 1 repeated, 1 not one token of the masked LM, 2 taken without the blanks around them)",
  );
  const { words } = await loadFacts(folder(FACTS), {
    commonVocabulary: ["Paris"],
    keep: () => true,
  });
  assert.match(
    answersLine(commonWordIds(bert, ["Paris"]), words),
    /1 words of the words given \(1 line\)/,
  );
});

answers("words that are tokens in lower case only", () => {
  const bert = createTokenizer({ "vocab.txt": VOCAB_TXT });
  const { message } = commonWordIds(bert, ["Cat", "The", "dog", "cat"]);
  assert.match(
    message,
    /3 of 4 common words .* \(Cat, The, dog\); 2 of them are one in lower case, which --objects lowercase takes$/,
  );
  const few = commonWordIds(bert, ["Cat", "dog", "bird", "cat"]);
  assert.match(few.message, /\(Cat, dog, bird\)$/, "no advice where few are");
  assert.throws(
    () => commonWordIds(bert, ["Cat"]),
    /--objects lowercase takes; no answer is left$/,
  );
});

for (const one of [filter, line, answers]) one.run();
