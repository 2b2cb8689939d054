/**
 * `make-world`: what its dials say, counted over the sentences of the files that it writes by what these say of themselves
 * (patterns.jsonl, kinds.jsonl, the facts), and by nothing of the program that made them.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { loadFacts } from "../../promptgen/facts/facts.ts";
import { type MadeSettings, madeWorld } from "../../promptgen/world/made.ts";
import { filesOf } from "../../tools/lib/made-files.ts";
import { printedBy, refuses, temporary } from "./command.ts";

const test = suite("make-world");

const [RELATIONS, KINDS, PATTERNS, SUBJECTS, TOLD] = [4, 3, 2, 20, 5];
const SMALL: MadeSettings = {
  context: 1,
  distraction: 1,
  seed: 1,
  relations: RELATIONS,
  kinds: KINDS,
  patterns: PATTERNS,
  subjects: SUBJECTS,
  objects: 9,
  manual: 0.1,
  none: 0.05,
  pairs: 1,
  vague: 0.5,
  told: TOLD,
};

const home = temporary();

/** Texts by the names of their files. */
type World = ReadonlyMap<string, string>;
const make = (more: Partial<MadeSettings>): World =>
  filesOf(madeWorld({ ...SMALL, ...more }), { width: 128, layers: 2 });
const dialled = new Map<string, World>();
/** Dials of the small world; it is made once. */
function small(context: number, distraction: number): World {
  const key = `${context} ${distraction}`;
  const world = dialled.get(key) ?? make({ context, distraction });
  dialled.set(key, world);
  return world;
}

type Row = Readonly<Record<string, string>>;
const rows = (world: World, name: string): Row[] =>
  (world.get(name) ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

/** How often a text stands in a file of texts. */
const tally = (texts: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
};

/** A fact and a pattern: what the pattern's sentences about the subject say. */
type Pair = {
  readonly id: string;
  readonly isOwn: boolean;
  readonly subject: string;
  readonly pattern: string;
  /** Place of the pattern among those of its kind. */
  readonly place: number;
  readonly object: string;
  /** How often each object is said. */
  readonly said: ReadonlyMap<string, number>;
};

function readWorld(world: World) {
  const texts = rows(world, "reader.jsonl");
  const patterns = rows(world, "patterns.jsonl");
  const kinds = new Map(rows(world, "kinds.jsonl").map(({ subject, kind }) => [subject, kind]));
  const metainfo = rows(world, "relation_metainfo/LAMA_relations.jsonl");
  const facts = metainfo.flatMap(({ relation }) => [
    ...rows(world, `autoprompt_data/${relation}/train.jsonl`),
    ...rows(world, `autoprompt_data/${relation}/dev.jsonl`),
    ...rows(world, `LAMA-TREx/${relation}.jsonl`),
  ]);
  const templates = metainfo.map(({ template }) => template);
  const sentences = tally(texts.map(({ text }) => text));
  // what is said of whom in which pattern, by taking each sentence apart
  const said = new Map<string, Map<string, number>>();
  const others: string[] = [];
  const told = new Map<string, number>();
  for (const [text, times] of sentences) {
    const found = [...patterns.map(({ pattern }) => pattern), ...templates].flatMap((pattern) => {
      const [before, between, behind] = pattern.split(/\[X\]|\[Y\]/);
      const parts = new RegExp(`^${before}(\\w+)${between}(\\w+)${behind.replace(".", "\\.")}$`);
      const match = parts.exec(text);
      return match ? [{ pattern, subject: match[1], object: match[2] }] : [];
    });
    const [name, word, kind] = text.split(" ");
    if (kinds.get(name) === kind) {
      assert.equal(text, `${name} ${word} ${kind} .`);
      told.set(name, times);
      continue;
    }
    assert.equal(found.length, 1, `${text} is of one pattern`);
    const [{ pattern, subject, object }] = found;
    if (subject === "None" || templates.includes(pattern)) {
      for (let n = 0; n < times; n++) others.push(text);
      continue;
    }
    const key = `${subject} ${pattern}`;
    said.set(key, (said.get(key) ?? new Map()).set(object, times));
  }
  const pairs = facts.flatMap((fact): Pair[] =>
    patterns
      .filter(({ relation }) => relation === fact.predicate_id)
      .map(({ pattern, kind }, i) => ({
        place: i % PATTERNS,
        subject: fact.sub_label,
        pattern,
        id: `${fact.predicate_id} ${fact.sub_label}`,
        isOwn: kinds.get(fact.sub_label) === kind,
        object: fact.obj_label,
        said: said.get(`${fact.sub_label} ${pattern}`) ?? new Map(),
      })),
  );
  return { texts, facts, kinds, patterns, templates, pairs, others, told };
}

const share = (list: readonly Pair[], holds: (pair: Pair) => boolean): number =>
  list.filter(holds).length / list.length;
const isTrue = ({ said, object }: Pair): boolean => said.has(object);
const misleads = ({ said, object }: Pair): boolean =>
  [...said.keys()].some((one) => one !== object);

for (const [context, distraction] of [
  [0, 0],
  [0.5, 0],
  [1, 0.5],
  [1, 1],
  [0.25, 0.75],
]) {
  test(`context ${context} and distraction ${distraction} are what the sentences say`, () => {
    const { facts, pairs } = readWorld(small(context, distraction));
    assert.equal(facts.length, RELATIONS * KINDS * SUBJECTS);
    assert.equal(new Set(facts.map(({ sub_label }) => sub_label)).size, KINDS * SUBJECTS);
    const [own, foreign] = [
      pairs.filter(({ isOwn }) => isOwn),
      pairs.filter(({ isOwn }) => !isOwn),
    ];
    assert.equal(share(own, isTrue), 1, "each fact in each pattern of its kind");
    assert.equal(share(own, misleads), 0);
    assert.ok(Math.abs(share(foreign, isTrue) - (1 - context)) < 0.01, "context");
    const misled = new Set(foreign.filter(misleads).map(({ id }) => id));
    assert.ok(Math.abs(misled.size / facts.length - distraction) < 0.01, "distraction");
    // all of the others' patterns mislead about such a fact, with one object
    for (const own of Map.groupBy(foreign, ({ id }) => id).values()) {
      const objects = own.flatMap(({ said, object }) =>
        [...said.keys()].filter((o) => o !== object),
      );
      assert.equal(new Set(objects).size, objects.length === 0 ? 0 : 1);
      assert.ok(objects.length === 0 || objects.length === own.length);
    }
  });
}

test("a fact is stated in a kind's first pattern twice as often as in its second, half of them once there, few of them often", () => {
  const { pairs, kinds, told } = readWorld(small(0, 0));
  assert.deepEqual([...told.keys()].sort(), [...kinds.keys()].sort());
  assert.deepEqual([...new Set(told.values())], [TOLD], "how often a kind is told");
  const times = [...Map.groupBy(pairs, ({ id }) => id).values()].map((own) => {
    const counts = new Set(
      own.map(({ said, object, place }) => (said.get(object) ?? 0) / (PATTERNS - place)),
    );
    assert.equal(counts.size, 1);
    return [...counts][0] ?? 0;
  });
  const once = times.filter((count) => count === 1).length / times.length;
  assert.ok(once > 0.5 && once < 0.8, `${once} are stated once`);
  assert.ok(Math.max(...times) >= 5 && Math.max(...times) <= 8 && Math.min(...times) === 1);
});

test("dials change what is stated, and neither facts nor names, and settings are nested", () => {
  const [low, half, full] = [small(0, 0), small(0.5, 0), small(1, 1)].map(readWorld);
  const middle = readWorld(small(1, 0.5));
  assert.deepEqual([half.facts, full.facts], [low.facts, low.facts]);
  assert.deepEqual([half.patterns, full.patterns], [low.patterns, low.patterns]);
  const key = (own: readonly Pair[], i: number) => `${i} ${own[i].id}`;
  const which = ({ pairs }: typeof low, holds: (pair: Pair) => boolean): Set<string> =>
    new Set(pairs.flatMap((pair, i) => (holds(pair) ? [key(pairs, i)] : [])));
  const isWithin = (small: Set<string>, large: Set<string>) =>
    small.size < large.size && [...small].every((one) => large.has(one));
  assert.ok(isWithin(which(full, isTrue), which(half, isTrue)), "context 1 within 0.5");
  assert.ok(isWithin(which(half, isTrue), which(low, isTrue)), "context 0.5 within 0");
  assert.ok(isWithin(which(middle, misleads), which(full, misleads)), "distraction 0.5 within 1");
  middle.pairs.forEach((pair, i) => {
    if (misleads(pair)) assert.deepEqual(pair.said, full.pairs[i].said, "to the same object");
  });
});

test("subjects stay in one split, objects compete, and no two relations of four have one for a subject", () => {
  const world = small(1, 1);
  const splits = new Map<string, string>();
  for (const split of ["train", "dev", "test"]) {
    const own = ["M01", "M02", "M03", "M04"].flatMap((id) =>
      rows(
        world,
        split === "test" ? `LAMA-TREx/${id}.jsonl` : `autoprompt_data/${id}/${split}.jsonl`,
      ),
    );
    for (const { sub_label } of own) {
      assert.equal(splits.get(sub_label) ?? split, split, sub_label);
      splits.set(sub_label, split);
    }
  }
  const { facts, kinds } = readWorld(world);
  assert.equal(splits.size, kinds.size);
  const counts = tally([...splits].map(([subject, split]) => `${kinds.get(subject)} ${split}`));
  for (const kind of new Set(kinds.values())) {
    const own = ["train", "dev", "test"].map((split) => counts.get(`${kind} ${split}`));
    assert.deepEqual(
      own,
      [0.6, 0.1, 0.3].map((part) => part * SUBJECTS),
      kind,
    );
  }
  const objects = (id: string) =>
    new Set(facts.filter((f) => f.predicate_id === id).map((f) => f.obj_label));
  const [first, second, third] = ["M01", "M02", "M03"].map(objects);
  const common = (own: Set<string>) => [...first].filter((object) => own.has(object)).length;
  assert.ok(common(second) > 4, "two relations share their objects");
  assert.equal(common(third), 0);
  for (const own of Map.groupBy(facts, ({ sub_label }) => sub_label).values()) {
    assert.equal(new Set(own.map(({ obj_label }) => obj_label)).size, 4);
  }
});

test("the manual templates, nobody and the generator's pairs have their shares", () => {
  const world = make({ distraction: 0, manual: 0.5, none: 0.1, pairs: 0.25, vague: 0.5 });
  const { facts, others, pairs, templates, texts } = readWorld(world);
  const nobody = others.filter((text) => text.startsWith("None "));
  assert.ok(nobody.every((text) => / None( \w+)? \.$/.test(text)));
  assert.equal(nobody.length, Math.round(0.1 * (texts.length - nobody.length)));
  const manual = others.filter((text) => !text.startsWith("None "));
  assert.equal(manual.length, 0.5 * facts.length);
  const own = new Map(facts.map((f) => [`${f.predicate_id} ${f.sub_label}`, f.obj_label]));
  const isPlain = (text: string) =>
    templates.some((template, i) => {
      const [subject] = text.split(" ");
      const object = own.get(`M0${i + 1} ${subject}`) ?? "";
      return text === template.replace("[X]", subject).replace("[Y]", object);
    });
  const plain = manual.filter(isPlain).length / manual.length;
  assert.ok(plain > 0.35 && plain < 0.65, `${plain} in the template of their relation`);
  const lines = (world.get("generator.txt") ?? "").trim().split("\n");
  const statements = pairs.reduce((sum, { said, object }) => sum + (said.get(object) ?? 0), 0);
  const { kinds } = readWorld(world);
  assert.equal(lines.length, statements + TOLD * kinds.size);
  const two = lines.filter((line) => line.split(" .").length === 3).length / statements;
  assert.ok(Math.abs(two - 0.25) < 0.05, `${two} of the lines are pairs`);
});

test("the generator reads what is true as often as the reader, and what misleads once", () => {
  const world = small(1, 1);
  const { pairs } = readWorld(world);
  const counts = tally(
    (world.get("generator.txt") ?? "")
      .trim()
      .split("\n")
      .map((line) => line.split(" .")[0]),
  );
  for (const { said, object, pattern, subject } of pairs) {
    for (const [one, times] of said) {
      const text = pattern.replace("[X]", subject).replace("[Y]", one).split(" .")[0];
      assert.equal(counts.get(text), one === object ? times : 1, text);
    }
  }
});

test("spans mark the object, and every word is one token of each model", async () => {
  const world = small(1, 1);
  const { texts, facts, kinds } = readWorld(world);
  const objects = new Set([...facts.map(({ obj_label }) => obj_label), ...kinds.values(), "None"]);
  for (const { text, spans } of texts) {
    const [[begin, end]] = spans as unknown as readonly (readonly [number, number])[];
    assert.ok(objects.has(text.slice(begin, end)), `${text.slice(begin, end)} of ${text}`);
  }
  for (const model of ["bert", "bart"]) {
    const folder = join(home, model);
    mkdirSync(folder);
    writeFileSync(join(folder, "tokenizer.json"), world.get(`${model}/tokenizer.json`) ?? "");
    const tokenizer = await loadTokenizer(folder);
    const config = JSON.parse(world.get(`${model}/config.json`) ?? "");
    assert.equal(tokenizer.size, config.vocab_size);
    for (const { text } of texts.slice(0, 200)) {
      assert.equal(tokenizer.encode(text).length, text.split(" ").length, `${model}: ${text}`);
    }
  }
});

test("the same seed gives the same bytes, another one another world", () => {
  assert.deepEqual(make({}), small(1, 1));
  const { kinds } = readWorld(small(1, 1));
  const other = readWorld(make({ seed: 2 }));
  assert.ok([...other.kinds.keys()].filter((name) => kinds.has(name)).length < 3);
});

test("the command writes what is read as facts, 3,000 and more by default; it overwrites nothing", async () => {
  const out = join(home, "whole");
  const said = await printedBy("promptgen.ts", ["make-world", "--out", out]);
  assert.match(said, /3168 made facts of 12 relations about 792 made subjects/);
  const { relations, remarks } = await loadFacts(out);
  assert.deepEqual(remarks, []);
  const sizes = relations.map((own) => [own.train.length, own.dev.length, own.test.length]);
  assert.deepEqual(
    sizes,
    Array.from({ length: 12 }, () => [159, 27, 78]),
  );
  assert.deepEqual(
    readdirSync(home).filter((name) => name.endsWith(".part")),
    [],
  );
  const written = readFileSync(join(out, "reader.jsonl"));
  const again = await printedBy("promptgen.ts", ["make-world", "--out", out]);
  assert.match(again, /whole is there already/);
  const changed = ["make-world", "--out", out, "--seed", "3"];
  await refuses("promptgen.ts", changed, /was made with other settings; name another --out/);
  assert.deepEqual(readFileSync(join(out, "reader.jsonl")), written);
  const full = join(home, "full");
  mkdirSync(full);
  writeFileSync(join(full, "mine.txt"), "mine");
  await refuses(
    "promptgen.ts",
    ["make-world", "--out", full],
    /full holds other files; name another/,
  );
  assert.deepEqual(readdirSync(full), ["mine.txt"]);
});

test("what is no dial and no size is said, and nothing is written", async () => {
  const out = join(home, "wrong");
  const wrong: readonly (readonly [args: readonly string[], said: RegExp])[] = [
    [["--context", "1.5"], /^error \[make-world\] --context is 1\.5; give a number from 0 to 1$/],
    [["--distraction", "half"], /--distraction is half; give a number from 0 to 1/],
    [["--relations", "6"], /--relations is 6; give a multiple of 4/],
    [["--kinds", "1"], /--kinds is 1; give a whole number from 2 to 20/],
  ];
  for (const [args, said] of wrong) {
    await refuses("promptgen.ts", ["make-world", "--out", out, ...args], said);
  }
  assert.ok(!existsSync(out));
});

test.run();
