import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Benchmark, itemsOf, loadBenchmark } from "../../../promptgen/benchmark.ts";
import { bucketsFor, Examiner } from "../../../promptgen/measure.ts";
import { byFrequency, majority } from "../../../promptgen/methods/majority.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { closeForward } from "../../models/parity.ts";
import { folder } from "../fixture.ts";
import { facts, RELATIONS, SCORES } from "../report/world.ts";

const test = suite("majority");
const each = await onDevices("majority");

const world = embeddedWorld();
const benchmark = await loadBenchmark({ data: world.data, reader: world.bert });

test("objects by how often they are seen; of equally frequent ones the first", () => {
  assert.equal(byFrequency(facts("y", "x", "x")), [
    ["x", 2],
    ["y", 1],
  ]);
  assert.equal(byFrequency(facts("b", "a", "a", "b", "c")), [
    ["b", 2],
    ["a", 2],
    ["c", 1],
  ]);
  assert.equal(byFrequency([]), []);
});

test("answering with it scores what was counted by hand", () => {
  const scores = RELATIONS.map(({ id, train, test: asked }) => {
    const [[answer]] = byFrequency(train);
    const correct = asked.filter(({ object }) => object === answer).length;
    return [id, { correct, total: asked.length }];
  });
  assert.equal(scores, [...SCORES]);
});

/** Training facts of made objects for the first relations of the world; the others keep their own. */
const withTraining = (...objects: string[][]): Benchmark => ({
  ...benchmark,
  relations: benchmark.relations.map((relation, i) =>
    objects[i] ? { ...relation, train: facts(...objects[i]) } : relation,
  ),
});

/** The words that an answer is chosen from. */
const common = ["Paris", "Rome", "London", "Berlin"];

each(
  "the share of the training facts is the probability, frequency is the rank",
  async (device) => {
    const [A, B] = [
      ["Rome", "Paris", "Paris", "London"],
      ["London", "Rome", "Rome", "London", "Paris"],
    ];
    const made = withTraining(A, B);
    const prompter = await majority.open(made, {});
    const examiner = new Examiner(device, made, prompter, {
      buckets: bucketsFor(prompter, made.relations),
      batchSize: 3,
    });
    const asked = [made.relations[1], made.relations[0]].flatMap((relation) =>
      common.map((object) => ({ relation, fact: { subject: "x", object } })),
    );
    const answered = await examiner.ask(asked);
    const wanted: readonly (readonly [rank: number, share: number])[] = [
      [3, 1 / 5], // Paris, of which there are fewer than of the two others
      [2, 2 / 5], // Rome is as frequent as London, but came later
      [1, 2 / 5],
      [4, 0],
      [1, 2 / 4],
      [2, 1 / 4], // before London
      [3, 1 / 4],
      [4, 0],
    ];
    answered?.forEach(({ answers, prompt }, i) => {
      const [rank, share] = wanted[i];
      const [own, none] = answers;
      assert.equal(none, own, "the subject is not looked at");
      assert.is(own.rank, rank, `rank of fact ${i}`);
      assert.is(own.right, rank === 1);
      assert.is(own.id, made.tokenizer.id(i < 4 ? "London" : "Paris"));
      closeForward([{ name: "share", got: [Math.exp(own.logP)], want: [share] }]);
      assert.is(prompt, i < 4 ? "London" : "Paris");
    });
  },
);

each("scores on the world are counts of its facts", async (device) => {
  const prompter = await majority.open(benchmark, {});
  const examiner = new Examiner(device, benchmark, prompter, { buckets: [1] });
  const measured = await examiner.measure(itemsOf(benchmark.relations, "test"));
  for (const { id, train, test: asked } of benchmark.relations) {
    const [[answer]] = byFrequency(train);
    const correct = asked.filter(({ object }) => object === answer).length;
    for (const scores of measured?.scores ?? []) {
      assert.equal(scores.get(id), { correct, total: asked.length }, id);
    }
  }
});

each("saved and restored, it answers from the facts that it was made of", async (device) => {
  const trained = await majority.open(withTraining(["Rome"], ["Berlin"]), {});
  const path = folder({});
  await trained.save(device, path);
  const [relation] = benchmark.relations;
  const asked = [{ relation, fact: { subject: "x", object: "Rome" } }];
  const rankIn = async (prompter: typeof trained) => {
    const examiner = new Examiner(device, benchmark, prompter, { buckets: [1], batchSize: 1 });
    const before = await examiner.ask(asked);
    return before?.map(({ answers: [own], prompt }) => [own.right, prompt]);
  };
  const other = await majority.open(withTraining(["Paris"], ["Paris"]), {});
  assert.equal(await rankIn(other), [[false, "Paris"]]);
  await other.restore(device, path);
  assert.equal(await rankIn(other), [[true, "Rome"]]);
  assert.equal(await rankIn(await majority.open(benchmark, {}, path)), [[true, "Rome"]]);
});

test("a relation without objects, a file that is missing", async () => {
  const said = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);
  const [{ id }] = benchmark.relations;
  assert.is(
    await said(majority.open(withTraining([]), {})),
    `[majority] ${id} has no training objects; train on facts of all relations`,
  );
  const empty = folder({});
  assert.is(
    await said(majority.open(benchmark, {}, empty)),
    `[majority] ${join(empty, "objects.json")} cannot be read; train it again`,
  );
  const lacking = join(empty, "lacking");
  mkdirSync(lacking);
  writeFileSync(join(lacking, "objects.json"), "{}");
  assert.match(await said(majority.open(benchmark, {}, lacking)), `${id} has no training objects`);
});

test.run();
each.run();
