import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Item, itemsOf, loadBenchmark, NONE } from "../../../promptgen/benchmark.ts";
import { bucketsFor, Examiner } from "../../../promptgen/measure.ts";
import type { Prompter } from "../../../promptgen/methods/method.ts";
import { optionsOf } from "../../../promptgen/methods/options.ts";
import { filled, TemplatePrompter } from "../../../promptgen/methods/shared/templates.ts";
import { template } from "../../../promptgen/methods/template.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";
import { onDevices } from "../../devices.ts";
import { closeForward } from "../../models/parity.ts";
import { folder } from "../fixture.ts";

const test = suite("templates");
const each = await onDevices("templates");

const world = embeddedWorld();
const benchmark = await loadBenchmark({ data: world.data, reader: world.bert });
const { relations, tokenizer } = benchmark;
const manual = new Map(relations.map(({ id, template: own }) => [id, own]));
const said = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);

test("a template as the reader reads it", () => {
  const last = filled(benchmark, "The capital of [X] is [Y] .", "France");
  assert.is(tokenizer.decode(last.ids.slice(1, -1)), "The capital of France is [MASK].");
  assert.equal([last.ids[0], last.ids.at(-1)], [tokenizer.cls, tokenizer.sep]);
  assert.is(last.ids[last.place], tokenizer.mask);
  assert.is(filled(benchmark, "[Y] is the capital of [X] .", "[MASK]").place, 1);
  const behind = filled(benchmark, "[X] has the capital [Y] .", "[MASK]");
  assert.is(behind.place, behind.ids.lastIndexOf(tokenizer.mask));
  assert.not(behind.place === behind.ids.indexOf(tokenizer.mask));
});

each("in padded batches each question is answered as it is alone", async (device) => {
  const long = new Map(manual);
  const [first, second] = relations;
  long.set(second.id, `It is said by many who have seen it , ${second.template}`);
  const prompter = new TemplatePrompter(benchmark, long);
  const items: Item[] = itemsOf([first, second], "test");
  const width = (item: Item) => prompter.width({ ...item, subjects: [item.fact.subject, NONE] });
  const widths = [...new Set(items.map(width))].sort((a, b) => a - b);
  assert.ok(widths.length > 1, "there is something to pad");
  const examine = (buckets: readonly number[], batchSize: number) =>
    new Examiner(device, benchmark, prompter, { buckets, batchSize }).ask(items);
  const padded = await examine(bucketsFor(prompter, relations), 16);
  const alone = await examine(widths, 1);
  padded?.forEach(({ answers, prompt, item }, i) => {
    assert.is(prompt, long.get(item.relation.id));
    answers.forEach((got, s) => {
      const want = alone?.[i].answers[s];
      assert.equal([got.id, got.rank], [want?.id, want?.rank], item.fact.subject);
      closeForward([{ name: "log P", got: [got.logP], want: [want?.logP ?? 0] }], 1e-5);
    });
  });
  assert.is(padded?.length, items.length);
});

each("manual templates name many objects of the world", async (device) => {
  const options = optionsOf(template.options, {});
  const prompter = await template.open(benchmark, options);
  const examiner = new Examiner(device, benchmark, prompter, {
    buckets: bucketsFor(prompter, relations),
  });
  const measured = await examiner.measure(itemsOf(relations, "test"));
  const [own, none] = measured?.accuracy ?? [];
  assert.ok(own > 15 && own > none, `${own} with the subject, ${none} with "None"`);
  assert.is(measured?.distinct, new Set(manual.values()).size);
  assert.is(template.row(options), "Manual");
});

test("a published set comes from the data's folder, and must have every relation", async () => {
  const lines = relations.map(({ id }) => ({ relation: id, template: `[Y] of [X] in ${id}` }));
  const text = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  const data = folder({
    "relation_metainfo/LPAQA_relations.jsonl": text(lines),
    "relation_metainfo/AutoPrompt_relations.jsonl": text(lines.slice(1)),
  });
  const [relation] = relations;
  const asked = { relation, fact: relation.test[0], subjects: ["x"] };
  const open = (set: string) => template.open({ ...benchmark, data }, { templates: set });
  const trace = { values: {}, rows: 1 };
  assert.is((await open("LPAQA")).words(asked, trace, 0), `[Y] of [X] in ${relation.id}`);
  assert.is((await open("manual")).words(asked, trace, 0), relation.template);
  assert.is(
    await said(open("AutoPrompt")),
    `[templates] there is no template for ${relation.id}; add one, or leave the relation out`,
  );
  assert.is(template.row({ templates: "LPAQA" }), "LPAQA (published)");
  assert.is(template.row({ templates: "AutoPrompt" }), "AutoPrompt (5 [T]s)");
  assert.throws(
    () => optionsOf(template.options, { templates: "LAMA" }),
    "[options] templates is LAMA; choose among manual, LPAQA, AutoPrompt",
  );
});

each("saved and restored", async (device) => {
  const path = folder({});
  const other = new Map([...manual].map(([id, own]) => [id, `Yes , ${own}`]));
  await new TemplatePrompter(benchmark, other).save(device, path);
  assert.equal(
    JSON.parse(readFileSync(join(path, "prompts.json"), "utf8")),
    Object.fromEntries(other),
  );
  const [relation] = relations;
  const asked = { relation, fact: relation.test[0], subjects: [relation.test[0].subject] };
  const words = (prompter: Prompter) => prompter.words(asked, { values: {}, rows: 1 }, 0);
  const prompter: Prompter = new TemplatePrompter(benchmark, manual);
  const width = prompter.width(asked);
  await prompter.restore(device, path);
  assert.is(words(prompter), `Yes , ${relation.template}`);
  assert.is(
    prompter.width(asked),
    width + tokenizer.encode("Yes ,").length,
    "what is asked is what was restored",
  );
  const opened = await template.open(benchmark, { templates: "manual" }, path);
  assert.is(words(opened), `Yes , ${relation.template}`);
});

each("a saved file that is not there, is not JSON, or lacks [Y]", async (device) => {
  const path = folder({});
  const file = join(path, "prompts.json");
  const restore = () => said(new TemplatePrompter(benchmark, manual).restore(device, path));
  assert.is(
    await restore(),
    `[templates] ${file} does not exist; name the folder of a saved prompter`,
  );
  writeFileSync(file, "{");
  assert.is(await restore(), `[templates] ${file} is not JSON; save the prompter again`);
  writeFileSync(file, '{"P36": "[X] alone"}');
  assert.match(await restore(), /"\[X\] alone" holds \[Y\] nowhere/);
});

test.run();
each.run();
