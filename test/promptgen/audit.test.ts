/** The leak audit beside each of its questions asked alone, and what it draws. */
import * as assert from "uvu/assert";
import type { Device } from "../../engine/device.ts";
import { loadTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { type AuditedFact, Auditor, OTHER } from "../../promptgen/audit.ts";
import { type Item, itemsOf } from "../../promptgen/benchmark.ts";
import { Examiner } from "../../promptgen/measure.ts";
import { OptiPromptPrompter } from "../../promptgen/methods/optiprompt.ts";
import { filled } from "../../promptgen/methods/shared/templates.ts";
import { type Prepared, prepare, runOptions } from "../../promptgen/run.ts";
import { TestAsker } from "../../promptgen/test-facts.ts";
import { transfer } from "../../promptgen/transfer.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";
import { tinyOptions, tinyPair } from "./tiny.ts";

const test = await onDevices("audit");

const NAMES = ["None", "other", "It", "He", "[MASK]", "empty"];
const relations = "P1303,P36";

/** Some test facts of both relations. */
const someOf = ({ benchmark }: Prepared): Item[] =>
  itemsOf(benchmark.relations, "test").filter((_, i) => i % 5 === 0);

/** Each question in a batch of its own, one subject at a time. */
async function asksAlone(device: Device, run: Prepared, facts: readonly AuditedFact[]) {
  const { benchmark, prompter } = run;
  for (const fact of facts) {
    for (const [name, { subject, answer }] of fact.fillers) {
      const filler = { name, of: () => subject };
      const subjects = [subject];
      const examiner = new Examiner(device, benchmark, prompter, {
        buckets: [prompter.width({ ...fact.item, subjects })],
        batchSize: 1,
        fillers: [filler],
      });
      const [alone] = (await examiner.ask([fact.item])) ?? [];
      const where = `${fact.item.fact.subject} asked with ${name}`;
      assert.is(answer.id, alone.answers[0].id, where);
      assert.is(answer.rank, alone.answers[0].rank, where);
      assert.ok(Math.abs(answer.logP - alone.answers[0].logP) < 1e-3, where);
      assert.is(fact.prompt, alone.prompt, where);
    }
  }
}

test("every question as asked alone: templates", async (device) => {
  const run = await prepare(runOptions({ method: "template", relations }));
  const audited = await new Auditor(device, run, 3).ask(someOf(run), 5);
  const facts = audited?.facts ?? [];
  assert.ok(facts.length > 5);
  for (const { fillers } of facts) assert.equal([...fillers.keys()], NAMES);
  await asksAlone(device, run, facts.slice(0, 3));
  // not all alike, or nothing was seen
  const [first] = facts;
  assert.ok(new Set([...first.fillers.values()].map(({ answer }) => answer.logP)).size > 4);
});

test("every question as asked alone: free vectors", async (device) => {
  const run = await prepare(runOptions({ method: "optiprompt", relations: "P36" }));
  assert.instance(run.prompter, OptiPromptPrompter);
  const audited = await new Auditor(device, run, 3).ask(someOf(run).slice(0, 2), 5);
  await asksAlone(device, run, audited?.facts ?? []);
});

test("every question as asked alone: PromptGen, whose prompt stays the own subject's", async (device) => {
  const home = await tinyPair(device);
  const run = await prepare(runOptions(tinyOptions(home)));
  const audited = await new Auditor(device, run, 3).ask(someOf(run).slice(0, 2), 5);
  const facts = audited?.facts ?? [];
  assert.is(facts.length, 2);
  await asksAlone(device, run, facts);
});

test("the other subject is of training, has another object, and is drawn by the seed", async (device) => {
  const run = await prepare(runOptions({ method: "majority", relations }));
  const auditor = new Auditor(device, run, 32);
  const items = itemsOf(run.benchmark.relations, "test");
  const drawn = async (own: readonly Item[], seed: number) => {
    const audited = await auditor.ask(own, seed);
    return (audited?.facts ?? []).map(({ fillers }) => fillers.get(OTHER)?.subject);
  };
  const [one, two] = [await drawn(items, 1), await drawn(items, 2)];
  assert.equal(await drawn(items, 1), one);
  assert.not.equal(one, two);
  // each fact's on its own
  assert.equal(await drawn(items.toReversed().slice(3), 1), one.toReversed().slice(3));
  items.forEach(({ relation, fact }, i) => {
    const all = [...relation.train, ...relation.dev, ...relation.test];
    const subject = one[i];
    assert.ok(relation.train.some((own) => own.subject === subject));
    assert.not(all.some((own) => own.subject === subject && own.object === fact.object));
  });
});

test("a relation with one object has no other subject, and a reader without a word is not asked with it", async (device) => {
  const run = await prepare(runOptions({ method: "majority", relations }));
  const { benchmark } = run;
  const [first, second] = benchmark.relations;
  const alike = first.train.map((fact) => ({ ...fact, object: first.test[0].object }));
  const changed = [{ ...first, train: alike, test: first.test.slice(0, 1) }, second];
  const { tokenizer } = benchmark;
  const encode = (text: string) => (text === "He" ? [tokenizer.unk] : benchmark.encode(text));
  const own = { ...run, benchmark: { ...benchmark, relations: changed, encode } };
  const audited = await new Auditor(device, own, 32).ask(itemsOf(changed, "test"), 1);
  const [fact, next] = [audited?.facts[0], audited?.facts[1]];
  assert.equal([...(fact?.fillers.keys() ?? [])], ["None", "It", "[MASK]", "empty"]);
  assert.equal([...(next?.fillers.keys() ?? [])], ["None", "other", "It", "[MASK]", "empty"]);
  assert.equal(audited?.remarks, [
    '[audit] "He" is unknown to the masked LM\'s tokenizer; nothing is asked with it',
    `[audit] 1 fact of ${first.id} cannot be asked with another subject: no training subject of the relation has only other objects`,
  ]);
  const empty = new Auditor(device, own, 32).ask([], 1);
  assert.match(await empty.catch(({ message }) => message), /there are no facts to ask/);
});

/** The token before each mask of a question, and which of the masks is the object's. */
function masks(tokenizer: Tokenizer, template: string, subject: string) {
  const encode = (text: string) => tokenizer.encode(text);
  const { ids, place } = filled({ tokenizer, encode }, template, subject);
  const tokens = ids.map((id) => tokenizer.token(id));
  const at = ids.flatMap((id, i) => (id === tokenizer.mask ? [i] : []));
  return { tokens: tokens.slice(1, -1).join(" "), which: at.indexOf(place), count: at.length };
}

test("the object's mask among others, and no subject at all", async () => {
  const world = embeddedWorld();
  const bert = await loadTokenizer(world.bert);
  assert.equal(masks(bert, "[X] is in [Y] .", "[MASK]"), {
    tokens: "[MASK] is in [MASK] .",
    which: 1,
    count: 2,
  });
  assert.is(masks(bert, "[Y] is in [X] .", "[MASK]").which, 0);
  assert.is(masks(bert, "[MASK] [X] is [Y] [MASK]", "[MASK]").which, 2);
  assert.is(masks(bert, "[MASK] [Y] is [X] [MASK]", "Peru").which, 1);
  assert.is(masks(bert, "is [Y] in [X]", "").tokens, "is [MASK] in");
  const roberta = await loadTokenizer(world.bart);
  const words = (template: string) => masks(roberta, template, "").tokens;
  const plain = (text: string) => roberta.encode(text).map((id) => roberta.token(id));
  assert.is(words("The capital of [X] is [Y] ."), plain("The capital of is<mask> .").join(" "));
  assert.is(words("[X] is in [Y] ."), plain("is in<mask> .").join(" "));
  assert.is(words("[Y] is in [X]"), plain("<mask> is in").join(" "));
  assert.is(masks(roberta, "[X] is in [Y] .", "<mask>").which, 1);
});

test("the rows of a run, and its prompts asked of its own reader again", async (device) => {
  const run = await prepare(runOptions({ method: "template", relations }));
  const own = await TestAsker.ofRun(device, run, run.prompter).ask(3);
  const rows = own?.rows ?? [];
  assert.is(rows.length, itemsOf(run.benchmark.relations, "test").length);
  const [row] = rows;
  assert.is(row.prompt, run.benchmark.relations[0].template);
  assert.is(row.top.length, 5);
  assert.is(row.top[0][0], row.own.answer);
  assert.ok(
    Math.abs(
      Math.exp(row.own.logP) -
        (row.top.find(([w]) => w === row.object)?.[1] ?? Math.exp(row.own.logP)),
    ) < 1e-5,
  );
  assert.is(row.fillers.empty.subject, "");
  const again = await transfer(device, run.benchmark, rows, 3);
  assert.equal(again?.asked.rows, rows);
  assert.equal(again?.before, rows);
  assert.is(
    again?.counts,
    `[transfer] ${rows.length} of ${rows.length} facts can be asked of the other masked LM`,
  );
});

test("each fact is asked of another reader with its own prompt; objects that it lacks are counted", async (device) => {
  const run = await prepare(runOptions({ method: "template", relations }));
  const own = await TestAsker.ofRun(device, run, run.prompter).ask(3);
  const rows = (own?.rows ?? []).map((one, i) =>
    i % 2 === 0 ? { ...one, prompt: "In [Y] is [X] ." } : one,
  );
  const unknown = [
    { ...rows[0], object: "no word" },
    { ...rows[1], object: "none either" },
  ];
  const done = await transfer(device, run.benchmark, [...rows, ...unknown], 3);
  assert.equal(
    done?.counts,
    `[transfer] ${rows.length} of ${rows.length + 2} facts can be asked of the other masked LM; not asked: 2 of an object that is not one token of it`,
  );
  const now = done?.asked.rows ?? [];
  assert.equal(
    now.map(({ prompt }) => prompt),
    rows.map(({ prompt }) => prompt),
  );
  now.forEach((one, i) => {
    if (i % 2 === 1) assert.ok(Math.abs(one.own.logP - rows[i].own.logP) < 1e-4);
    else assert.ok(Math.abs(one.own.logP - rows[i].own.logP) > 1e-4);
  });
  const nothing = transfer(device, run.benchmark, unknown, 3);
  assert.match(
    await nothing.catch(({ message }) => message),
    /^\[transfer\] 0 of 2 facts .*; name a masked LM whose vocabulary has the objects/,
  );
});

test.run();
