import { mkdirSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { itemsOf, loadBenchmark } from "../../../promptgen/benchmark.ts";
import { bucketsFor, Examiner } from "../../../promptgen/measure.ts";
import { Joined, type Prompter, untrained } from "../../../promptgen/methods/method.ts";
import { optionsOf } from "../../../promptgen/methods/options.ts";
import { TemplatePrompter } from "../../../promptgen/methods/shared/templates.ts";
import { template } from "../../../promptgen/methods/template.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { folder } from "../fixture.ts";

const test = await onDevices("methods");

const world = embeddedWorld();
const relations = ["P1303", "P36"];
const benchmark = await loadBenchmark({ data: world.data, reader: world.bert, relations });
const manual = new Map(benchmark.relations.map(({ id, template: own }) => [id, own]));

test("prompters of relations as one: each is restored before its relation is asked about", async (device) => {
  const home = folder({});
  const place = (id: string) => join(home, id);
  for (const id of relations) {
    mkdirSync(place(id));
    // what is saved for a relation is right for it alone
    const own = new Map(relations.map((other) => [other, `${id} : [X] [Y]`]));
    await new TemplatePrompter(benchmark, own).save(device, place(id));
  }
  const one = new TemplatePrompter(benchmark, manual);
  const joined: Prompter = new Joined(one, ({ id }) => place(id));
  assert.equal([joined.limit, joined.contents], [one.limit, one.contents]);
  await joined.restore(device, home);
  const examiner = new Examiner(device, benchmark, joined, { buckets: [64], batchSize: 8 });
  const items = itemsOf(benchmark.relations, "test");
  const answered = await examiner.ask(items.toReversed());
  assert.is(answered?.length, items.length);
  for (const { item, prompt } of answered ?? []) {
    assert.is(prompt, `${item.relation.id} : [X] [Y]`);
  }
  const said = await joined.save(device, home).then(String, (error: Error) => error.message);
  assert.match(said, /are saved one by one, in their own folders/);
});

test("a method that needs no steps saves its prompter, where there is a folder", async (device) => {
  const options = optionsOf(template.options, {});
  const prompter = await template.open(benchmark, options);
  const training = {
    device,
    relations: benchmark.relations,
    options,
    seed: 1,
    buckets: bucketsFor(prompter, benchmark.relations),
    evaluate: async () => undefined,
  };
  const done = { step: 0, steps: 0, finished: true, best: undefined };
  assert.equal(await untrained(prompter, training), done);
  const run = new RunFolder(folder({}));
  assert.equal(await template.train(prompter, { ...training, folder: run }), done);
  const again = await template.open(benchmark, options, run.best);
  const [relation] = benchmark.relations;
  const asked = { relation, fact: relation.test[0], subjects: ["x"] };
  const trace = { values: {}, rows: 1 };
  assert.is(again.words(asked, trace, 0), relation.template);
});

test.run();
