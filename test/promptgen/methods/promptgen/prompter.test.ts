/** PromptGen as a prompter: what it says a prompt is, and what its reader reads. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../../../engine/device.ts";
import { type Benchmark, itemsOf } from "../../../../promptgen/benchmark.ts";
import type { Relation } from "../../../../promptgen/facts/facts.ts";
import { bucketsFor, Examiner } from "../../../../promptgen/measure.ts";
import type { Asked, Prompter } from "../../../../promptgen/methods/method.ts";
import { PromptGenPrompter } from "../../../../promptgen/methods/promptgen/prompter.ts";
import { TemplatePrompter } from "../../../../promptgen/methods/shared/templates.ts";
import { examinerOf } from "../../../../promptgen/run.ts";
import { onDevices, openDevices } from "../../../devices.ts";
import { closeForward } from "../../../models/parity.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "../../tiny.ts";

const test = suite("PromptGen's prompter");
const each = await onDevices("PromptGen's prompter");

const [first] = await openDevices();
const home = await tinyPair(first);
const options = { ...tinyOptions(home), m: 4, n: 2 };
const { benchmark, prompter } = await preparePromptGen(options);
const [relation] = benchmark.relations;
const [fact] = relation.test;
const asked: Asked = { relation, fact, subjects: [fact.subject, "None"] };

test("a prompt in words: live slots, [X] and [Y]", () => {
  const { words, end } = prompter.vocabulary;
  // slot-major, two rows
  const trace = {
    values: {
      best: Uint32Array.of(0, 5, 1, end, 2, 6, 3, 7, 4, 8, end, 9),
      live: Uint32Array.of(1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1),
    },
    rows: 2,
  };
  assert.is(
    prompter.words(asked, trace, 0),
    `[X] ${words[0]} ${words[1]} ${words[2]} ${words[3]} [Y] ${words[4]}`,
  );
  assert.is(prompter.words(asked, trace, 1), `[X] ${words[5]} [Y] ${words[8]} ${words[9]}`);
  const dead = { ...trace, values: { ...trace.values, live: new Uint32Array(12) } };
  assert.is(prompter.words(asked, dead, 0), "[X] [Y]");
});

test("widths follow the longest subject that is asked with, whatever was asked before", () => {
  const long = { ...asked, subjects: [fact.subject, "a b c d e f g h i j k l"] };
  const own = prompter.width(asked);
  assert.ok(prompter.width(long) >= 12);
  assert.is(prompter.width(asked), own);
  const { lm, m, n } = prompter.generator;
  assert.ok(prompter.limit <= lm.positions - (m + n + 3));
  const batch = prompter.collate([asked, asked], own, 3);
  assert.equal(batch.readerIds.shape, [6, 1 + own]);
  assert.equal(batch.prefixIds.shape, [own + 2, 3]);
});

test("slots that leave no room", async () => {
  const wide = await preparePromptGen({ ...options, m: 600, n: 40 }).then(
    () => "it has room",
    (error: Error) => error.message,
  );
  assert.match(wide, /^\[prompt\] m 600 and n 40 leave no room for a subject in \d+ positions/);
});

each(
  "without objects: no prompt has one, answers may be one, and a folder knows it",
  async (device) => {
    const { generator } = options;
    const load = (relations: string, vocabulary: string) =>
      preparePromptGen({ ...options, vocabulary, relations });
    const [all, none] = [await load("P1303,P36", "common"), await load("P1303,P36", "no-objects")];
    const train = itemsOf(none.benchmark.relations, "train");
    const objects = new Set(train.map((one) => one.fact.object));
    const { words } = none.prompter.vocabulary;
    assert.equal(
      words,
      all.prompter.vocabulary.words.filter((word) => !objects.has(word)),
    );
    assert.ok(words.length < all.prompter.vocabulary.size - 10);
    assert.is(none.benchmark.answers, all.benchmark.answers);
    const items = itemsOf(none.benchmark.relations, "test").slice(0, 9);
    const answered = await examinerOf(device, none).ask(items);
    for (const { prompt, figures } of answered ?? []) {
      assert.not(prompt.split(" ").some((word) => objects.has(word)));
      assert.equal(figures, { objectMass: 0, objectsMass: 0 });
    }
    // saved, it is asked about other relations with the words of its training
    const folder = join(home, "lacking");
    await none.prompter.save(device, folder);
    const other = await load("P17", "no-objects");
    const structure = { m: 4, n: 2, vocabulary: "no-objects" };
    const opened = await PromptGenPrompter.load(other.benchmark, folder, structure);
    assert.equal(opened.vocabulary.words, words);
    const said = (of: Promise<unknown>) =>
      of.then(
        () => "it is taken",
        ({ message }) => message,
      );
    assert.match(
      await said(other.prompter.restore(device, folder)),
      /was trained without \d+ words and is asked without \d+, or others; ask it about the relations/,
    );
    assert.match(await said(all.prompter.restore(device, folder)), /is asked without 0, or others/);
    assert.match(await said(none.prompter.restore(device, generator)), /without 0 words and is/);
    await none.prompter.restore(device, folder);
    for (const text of ["{", "[1]", "{}"]) {
      writeFileSync(join(folder, "lacking.json"), text);
      assert.match(
        await said(PromptGenPrompter.load(other.benchmark, folder, structure)),
        /lacking\.json is (not JSON|no list of words); start another run$/,
      );
    }
  },
);

each("whoever copies a printed prompt asks what the hard prompter asks", (device) =>
  copies(device, { m: 4, n: 2 }),
);
each("so does who copies one that ends with the mask", (device) => copies(device, { m: 4, n: 0 }));

async function copies(device: Device, slots: { m: number; n: number }): Promise<void> {
  const hard = await PromptGenPrompter.load(benchmark, options.generator, slots, true);
  const items = itemsOf(benchmark.relations, "test");
  const examine = (own: Benchmark, one: Prompter) =>
    new Examiner(device, own, one, { buckets: bucketsFor(one, own.relations), batchSize: 16 });
  const written = await examine(benchmark, hard).ask(items);
  assert.ok(written);
  // each fact as a relation of its own, its prompt as the template
  const own = written.map(({ item, prompt }, i): [Relation, string] => [
    { ...item.relation, id: `R${i}`, train: [item.fact], dev: [item.fact], test: [item.fact] },
    prompt,
  ]);
  const relations = own.map(([one]) => one);
  const prompts = new Map(own.map(([{ id }, prompt]) => [id, prompt]));
  const copied = { ...benchmark, relations };
  const answered = await examine(copied, new TemplatePrompter(copied, prompts)).ask(
    itemsOf(relations, "test"),
  );
  assert.ok(new Set(prompts.values()).size > 2, "there are different prompts");
  answered?.forEach(({ answers }, i) => {
    answers.forEach((want, s) => {
      const got = written[i].answers[s];
      assert.equal([got.id, got.rank], [want.id, want.rank], prompts.get(`R${i}`));
      closeForward([{ name: "log P", got: [got.logP], want: [want.logP] }], 1e-5);
    });
  });
  assert.is(answered?.length, items.length);
  const isBehind = ({ prompt }: { prompt: string }) => !prompt.endsWith("[Y]");
  assert.is(written.some(isBehind), slots.n > 0);
}

test.run();
each.run();
