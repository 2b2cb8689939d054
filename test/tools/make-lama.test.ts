/** LAMA's facts split anew, on sentences that were made up for this test: what is stated, what is not, and what the vocabularies keep. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { loadCandidates } from "../../promptgen/facts/candidates.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { loadTemplates } from "../../promptgen/facts/templates.ts";
import {
  type Evidence,
  type EvidenceSettings,
  patternOf,
  promptOf,
  statedFacts,
} from "../../promptgen/world/evidence.ts";
import { cutTokenizer } from "../../tools/lib/cut-tokenizers.ts";
import { evidenceFiles, readEvidence } from "../../tools/lib/evidence-files.ts";
import { writeFolder } from "../../tools/lib/new-folder.ts";
import { printedBy, ROOT, refuses, temporary } from "./command.ts";

const test = suite("make-lama");
const home = temporary();

const [SUBJECTS, SPLITS] = [50, ["train", "dev", "test"] as const];
const OBJECTS: Readonly<Record<string, readonly string[]>> = {
  P1: ["piper", "fiddler", "drummer"],
  P2: ["brass", "copper", "silver", "gold"],
};
const PATTERNS: Readonly<Record<string, readonly string[]>> = {
  P1: [
    "{X} was a [MASK] of the old town .",
    "A [MASK] by trade , {X} went home",
    "They heard {X} , [MASK] .",
  ],
  P2: [
    "{X} was made of [MASK] .",
    "Its [MASK] gave {X} a name among the many old things of that large and quiet town",
  ],
};
const name = (i: number): string =>
  `${["Ab", "Ce", "Du", "Fo", "Ga"][i % 5]}${["rel", "nil", "sor", "tan"][i % 4]}${i}`;

/** Each subject has a fact of both relations; of every third one sentence says both. */
function evidence(): Evidence[] {
  const rows = Array.from({ length: SUBJECTS }, (_, i) =>
    ["P1", "P2"].flatMap((relation) => {
      const subject = name(i);
      const object = OBJECTS[relation][(i * 7) % OBJECTS[relation].length];
      const own = PATTERNS[relation].map((pattern) => pattern.replace("{X}", subject));
      const both = `The ${OBJECTS.P1[(i * 7) % 3]} ${subject} likes ${OBJECTS.P2[(i * 7) % 4]}`;
      const shared = i % 3 === 0 ? [both.replace(object, "[MASK]")] : [];
      return [...own, ...shared].map((sentence) => ({
        relation,
        subject,
        object,
        surface: object,
        sentence,
      }));
    }),
  );
  return rows.flat();
}

const SETTINGS: EvidenceSettings = {
  relations: ["P1", "P2"],
  words: 12,
  sentences: 3,
  unstated: 0.2,
  seed: 1,
};
const made = (more: Partial<EvidenceSettings> = {}, rows = evidence()) =>
  statedFacts(rows, () => true, { ...SETTINGS, ...more });

test("subjects are split 60 / 10 / 30 in every relation, and stay where they are in all of them", () => {
  const { relations } = made();
  const where = new Map<string, string>();
  for (const { facts } of relations) {
    assert.equal(facts.length, SUBJECTS);
    for (const { subject, split } of facts) {
      assert.equal(where.get(subject) ?? split, split, subject);
      where.set(subject, split);
    }
    const counts = SPLITS.map((split) => facts.filter((fact) => fact.split === split).length);
    assert.deepEqual(counts, [30, 5, 15]);
  }
  const splits = (own: typeof relations) => own.map(({ facts }) => facts.map(({ split }) => split));
  assert.deepEqual(splits(made().relations), splits(relations));
  assert.notDeepEqual(splits(made({ seed: 2 }).relations), splits(relations));
});

test("a relation's own shares hold where an earlier one has placed some of its subjects", () => {
  const rows = evidence().filter(
    ({ relation, subject }) => relation === "P2" || Number(subject.slice(5)) % 2 === 0,
  );
  const [first, second] = made({}, rows).relations;
  assert.equal(first.facts.length, SUBJECTS / 2);
  const counts = SPLITS.map((split) => second.facts.filter((fact) => fact.split === split).length);
  assert.deepEqual(counts, [30, 5, 15]);
});

test("of a fifth of each split no sentence says subject and object, also none about another fact", () => {
  for (const [seed, sentences] of [
    [1, 3],
    [2, 3],
    [3, 1],
  ]) {
    const { relations, corpus } = made({ seed, sentences });
    const words = corpus.map(({ text }) => new Set(text.split(" ")));
    const said = (subject: string, object: string) =>
      words.some((own) => own.has(subject) && own.has(object));
    for (const { id, facts } of relations) {
      for (const split of SPLITS) {
        const own = facts.filter((fact) => fact.split === split);
        const unstated = own.filter(({ isStated }) => !isStated);
        // more where the one sentence of a fact says an unstated one too
        assert.ok(unstated.length >= own.length / 5, `${id} ${split}`);
        if (sentences > 1) assert.equal(unstated.length, own.length / 5, `${id} ${split}`);
        for (const { subject, object, isStated } of own)
          assert.equal(said(subject, object), isStated);
      }
    }
  }
  const all = made({ unstated: 0 });
  assert.ok(all.relations.every(({ facts }) => facts.every(({ isStated }) => isStated)));
});

test("a text of two facts stands in the corpus once, and marks both objects", () => {
  const { relations, corpus } = made({ unstated: 0 });
  assert.equal(new Set(corpus.map(({ text }) => text)).size, corpus.length);
  const objects = new Set(Object.values(OBJECTS).flat());
  for (const { text, spans } of corpus) {
    const found = spans.map(([begin, end]) => text.slice(begin, end));
    assert.deepEqual(
      found,
      text.split(" ").filter((word) => objects.has(word)),
      text,
    );
    assert.equal(found.length, text.startsWith("The ") ? 2 : 1);
  }
  for (const { facts } of relations) {
    for (const { subject, object, patterns } of facts) {
      assert.ok(patterns.length > 0 && patterns.length <= SETTINGS.sentences);
      for (const pattern of patterns) {
        const text = pattern.replace("[X]", subject).replace("[Y]", object);
        assert.ok(
          corpus.some((one) => one.text === text),
          text,
        );
        assert.ok(text.split(" ").length <= SETTINGS.words);
      }
    }
  }
});

test("no more sentences of a fact than are asked for, the shortest of them", () => {
  const [{ facts }] = made({ sentences: 1 }).relations;
  for (const { subject, patterns } of facts) {
    const length = Number(subject.slice(5)) % 3 === 0 ? 5 : 6;
    assert.deepEqual(
      patterns.map((one) => one.split(" ").length),
      [length],
      patterns[0],
    );
  }
});

test("a sentence of one word more than are asked for stays out", () => {
  const longest = (words: number): number =>
    Math.max(...made({ words }).corpus.map(({ text }) => text.split(" ").length));
  assert.equal(longest(17), 17);
  assert.equal(longest(16), 9);
});

test("a sentence says subject and object once, as words of their own and as the fact spells them", () => {
  const of = (sentence: string, more: Partial<Evidence> = {}) =>
    patternOf({
      relation: "P1",
      subject: "Ann Ro",
      object: "piper",
      surface: "piper",
      sentence,
      ...more,
    });
  assert.equal(of("For Ann Ro, [MASK]s' $& king."), "For [X], [Y]s' $& king.");
  assert.equal(of("[MASK]: (Ann Ro)"), "[Y]: ([X])");
  const refused: readonly (readonly [sentence: string, more?: Partial<Evidence>])[] = [
    ["Ann Ro met Ann Ro , a [MASK] ."],
    ["Ann Rose was a [MASK] ."],
    ["éAnn Ro was a [MASK] ."],
    ["She was a [MASK] ."],
    ["Ann Ro , a [MASK] , was a piper ."],
    ["Ann Ro , [MASK] and [MASK] ."],
    ["Ann Ro was a [MASK] .", { surface: "Piper" }],
    ["Ann Ro [Y] was a [MASK] ."],
  ];
  for (const [sentence, more] of refused) assert.equal(of(sentence, more), undefined, sentence);
  assert.equal(of("Ann Ro was pipers' [MASK] ."), "[X] was pipers' [Y] .");
});

test("a prompt has the words beside the object, without the subject and words that are no token", () => {
  const isWord = (word: string): boolean => word !== "clavichord";
  const of = (pattern: string, before: number, behind: number) =>
    promptOf(pattern, { before, behind }, isWord);
  const pattern = "In 1912 [X]'s clavichord-case (a [Y]) was, it seems, sold.";
  assert.equal(of(pattern, 3, 2), "[X] case ( a [Y] ) was");
  assert.equal(of(pattern, 0, 0), "[X] [Y]");
  assert.equal(of(pattern, 8, 99), "[X] In 1912 ' s - case ( a [Y] ) was , it seems , sold .");
  assert.equal(of(pattern, 9, 1), undefined);
  assert.equal(of("The old [Y] of [X] , who left", 2, 3), "[X] The old [Y] of , who");
});

const golden = join(ROOT, "test", "golden", "tokenizers");
const write = (folder: string, path: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const lines = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** A data folder of these sentences, with vocabularies in the published layouts. */
function dataFolder(folder: string, rows: readonly Evidence[]): string {
  const objects = Object.values(OBJECTS).flat();
  const given = rows.map(({ relation, subject, object, surface, sentence }) => ({
    predicate_id: relation,
    sub_label: subject,
    obj_label: object,
    obj_surface: surface,
    masked_sentence: sentence,
  }));
  write(folder, "trex-evidence.jsonl.gz", gzipSync(lines(given)));
  const templates = ["P1", "P2", "P3"].map((relation) => ({
    relation,
    template: `[X] is the [Y] .`,
    label: relation,
    type: "N-1",
  }));
  for (const set of ["LAMA", "LPAQA"]) {
    write(folder, `lama/relation_metainfo/${set}_relations.jsonl`, lines(templates));
  }
  write(folder, "lama/common_vocabs/common_vocab_cased.txt", ["unheard", ...objects].join("\n"));
  for (const id of ["P1", "P2"])
    write(folder, `lpaqa/prompt/mine/${id}.jsonl`, lines([{ template: "[X]ish [Y]" }]));
  const vocabulary = readFileSync(join(golden, "bert-cased", "vocab.txt"), "utf8");
  write(
    folder,
    "tokenizers/bert-base-cased/vocab.txt",
    `${vocabulary.trimEnd()}\n${["None", "unheard", ...objects].join("\n")}\n`,
  );
  cpSync(join(golden, "roberta"), join(folder, "tokenizers", "bart-large"), { recursive: true });
  return folder;
}

const data = dataFolder(join(home, "data"), evidence());

test("cut vocabularies are smaller, and what occurs falls into the tokens of the whole ones", async () => {
  const out = join(home, "cut");
  const { evidence: rows } = await readEvidence(data);
  const shape = { before: 1, behind: 3 }; // of the words here both vocabularies have "a" and "of"
  const sizes = { width: 64, layers: 1, heads: 1 };
  const { files } = await evidenceFiles(data, rows, { ...SETTINGS, ...shape }, sizes);
  await writeFolder(out, files);
  const read = (path: string) => readFileSync(join(out, path), "utf8").trim().split("\n");
  const texts = read("reader.jsonl").map((line) => JSON.parse(line).text as string);
  const subjects = read("kinds.jsonl").map((line) => JSON.parse(line).subject as string);
  const written = read("generator.jsonl").map((line) => JSON.parse(line).text as string);
  const { relations } = statedFacts(rows, () => true, SETTINGS);
  const told = (subject: string, object: string): string[] =>
    texts.filter((text) => [subject, object].every((one) => text.split(" ").includes(one)));
  for (const { id, facts } of relations) {
    for (const { subject, object, isStated, patterns } of facts) {
      const own = written.filter(
        (line) => line.endsWith(` ${subject} is the ${object} .`) && line.startsWith(`${subject} `),
      );
      // the others of its sentences have fewer such words before the object
      const has = patterns.includes(PATTERNS[id][0].replace("{X}", "[X]").replace("[MASK]", "[Y]"));
      assert.equal(own.length, isStated && has ? 1 : 0, `${id} ${subject}`);
      const prompt = id === "P1" ? `${subject} a ${object} of` : `${subject} of ${object}`;
      for (const line of own) assert.equal(line, `${prompt} ${subject} is the ${object} .`);
      assert.equal(told(subject, object).length > 0, isStated);
    }
  }
  const asked = {
    bert: subjects.flatMap((subject) => [
      `${subject} is the [MASK] .`,
      `${subject}ish [MASK]`,
      "He is the [MASK] .",
    ]),
    bart: subjects.flatMap((subject) => [subject, `${subject} is the <mask> .`]),
  };
  for (const [model, published] of [
    ["bert", "bert-base-cased"],
    ["bart", "bart-large"],
  ] as const) {
    const whole = await loadTokenizer(join(data, "tokenizers", published));
    const cut = await loadTokenizer(join(out, model));
    const config = JSON.parse(readFileSync(join(out, model, "config.json"), "utf8"));
    assert.equal(config.vocab_size, cut.size);
    assert.equal(new Set(cut.vocabulary.values()).size, cut.size, "each id is a token's");
    assert.ok(cut.size < whole.size, model);
    for (const text of [...texts, ...asked[model], ...(model === "bart" ? written : [])]) {
      const tokens = whole.encode(text).map((id) => whole.token(id));
      assert.deepEqual(
        cut.encode(text).map((id) => cut.token(id)),
        tokens,
        text,
      );
    }
    for (const role of ["cls", "sep", "mask", "pad", "unk"] as const) {
      assert.equal(cut.token(cut.special(role)), whole.token(whole.special(role)));
    }
    assert.equal(cut.pad, config.pad_token_id);
  }
  assert.deepEqual(
    read("common_vocabs/common_vocab_cased.txt"),
    Object.values(OBJECTS).flat(),
    "what does not occur is no answer",
  );
});

test("a vocabulary whose merges are not known is not cut", async () => {
  const folder = join(home, "whole");
  const { files } = await loadTokenizer(join(data, "tokenizers", "bart-large"));
  for (const [file, text] of Object.entries(files)) write(folder, file, text ?? "");
  const whole = await loadTokenizer(folder);
  assert.ok(cutTokenizer(whole, ["and here"])["merges.txt"]);
  Object.assign(whole.files, { "merges.txt": "#version: 0.2\n" });
  assert.throws(
    () => cutTokenizer(whole, ["and here"]),
    /"and here" falls into .*, and into .*; use a published vocabulary/,
  );
});

test("the command writes facts that train reads, each with a sentence of its own; it overwrites nothing", async () => {
  const out = join(home, "made");
  const args = ["make-lama", "--out", out, "--relations", "P2,P1", "--words", "12"];
  const said = await printedBy("promptgen.ts", args, { env: { PROMPTGEN_DATA: data } });
  assert.match(said, /made: 100 facts of 2 relations, 20 of them unstated; \d+ texts;/);
  const { relations, remarks } = await loadFacts(out);
  assert.deepEqual(remarks, []);
  assert.deepEqual(
    relations.map(({ id, train, dev, test: own }) => [id, train.length, dev.length, own.length]),
    [
      ["P1", 30, 5, 15],
      ["P2", 30, 5, 15],
    ],
  );
  const known = relations.map(({ id, template }) => ({ id, template }));
  assert.deepEqual((await loadCandidates(out, known)).templates.get("P1"), [
    "[X] is the [Y] .",
    "[X]ish [Y]",
  ]);
  assert.deepEqual([...(await loadTemplates(out, "LPAQA")).keys()], ["P1", "P2"]);
  const rows = (path: string) =>
    readFileSync(join(out, path), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const patterns = new Map(
    rows("patterns.jsonl").map((row) => [`${row.relation} ${row.kind}`, row.pattern]),
  );
  for (const { id, train, dev, test: own } of relations) {
    for (const { subject } of [...train, ...dev, ...own]) {
      assert.match(patterns.get(`${id} ${subject}`) ?? "", /\[X\]/, `${id} ${subject}`);
    }
  }
  assert.equal(rows("unstated.jsonl").length, 20);
  assert.match(readFileSync(join(out, "lama-split.json"), "utf8"), /do not publish it/);
  const before = readFileSync(join(out, "reader.jsonl"));
  const env = { PROMPTGEN_DATA: data };
  assert.match(await printedBy("promptgen.ts", args, { env }), /made is there already/);
  await refuses(
    "promptgen.ts",
    [...args, "--seed", "2"],
    /was made with other settings; name another --out/,
    env,
  );
  assert.deepEqual(readFileSync(join(out, "reader.jsonl")), before);
  assert.deepEqual(
    readdirSync(home).filter((file) => file.endsWith(".part")),
    [],
  );
});

test("what is missing or broken is said, and nothing is written", async () => {
  const out = join(home, "wrong");
  const bare = join(home, "bare");
  write(bare, "trex-evidence.jsonl.gz", "plain text");
  const thin = dataFolder(
    join(home, "thin"),
    evidence().filter(({ relation, subject }) => relation === "P2" || subject === name(0)),
  );
  const cases: readonly (readonly [args: readonly string[], said: RegExp])[] = [
    [[], /\[make-lama\] no data folder; give --data DIR or set PROMPTGEN_DATA/],
    [
      ["--data", home],
      /trex-evidence\.jsonl\.gz does not exist; name the folder that holds it, with lama\//,
    ],
    [["--data", bare], /trex-evidence\.jsonl\.gz is not gzip, or damaged/],
    [
      ["--data", data, "--relations", "P1,P3,P9"],
      /\[data\] P3, P9: no relation with sentences and a manual template; choose among P1, P2/,
    ],
    [["--data", data, "--width", "100"], /--width is 100; give a multiple of 64/],
    [
      ["--data", thin, "--relations", "P1,P2"],
      /P1 is left without (train|dev) facts that have a sentence of 20 words or fewer; allow longer ones, or leave P1 out/,
    ],
  ];
  for (const [args, said] of cases) {
    await refuses("promptgen.ts", ["make-lama", "--out", out, ...args], said, {
      PROMPTGEN_DATA: undefined,
    });
  }
  assert.ok(!existsSync(out));
});

test.run();
