/** PromptGen with RoBERTa as the masked LM, from folders to a step of training. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { compile, read } from "../../../../engine/compile.ts";
import { grad } from "../../../../engine/grad.ts";
import type { Tensor } from "../../../../engine/tensor.ts";
import { RobertaForMaskedLM } from "../../../../models/roberta.ts";
import { saveCheckpoint } from "../../../../models/save.ts";
import { dropoutState, Random } from "../../../../models/training/random.ts";
import { itemsOf } from "../../../../promptgen/benchmark.ts";
import type { TrainingBatch } from "../../../../promptgen/methods/promptgen/index.ts";
import { examinerOf } from "../../../../promptgen/run.ts";
import { embeddedWorld } from "../../../../promptgen/world/world.ts";
import { onDevices, openDevices } from "../../../devices.ts";
import { initialValues } from "../../../models/parity.ts";
import { preparePromptGen, TINY_ROBERTA, tinyOptions, tinyPair } from "../../tiny.ts";

const test = await onDevices("PromptGen with RoBERTa");

const [first] = await openDevices();
const home = await tinyPair(first);
const reader = join(home, "roberta");
await saveCheckpoint(reader, first, RobertaForMaskedLM.random(TINY_ROBERTA, 3));
cpSync(join(embeddedWorld().bart, "tokenizer.json"), join(reader, "tokenizer.json"));
const options = { ...tinyOptions(home), reader };

async function assertRejects(work: Promise<unknown>, sentence: RegExp): Promise<void> {
  const said = await work.then(
    () => "it was done",
    (error: Error) => error.message,
  );
  assert.match(said, sentence);
}

test("a step has gradients, an evaluation has answers", async (device) => {
  const run = await preparePromptGen(options);
  const { benchmark, prompter, problem } = run;
  const { lm } = benchmark.reader;
  assert.instance(lm, RobertaForMaskedLM);
  assert.is(lm.positions, 64);
  const { vocabulary } = prompter;
  const words = [...vocabulary.generator].slice(0, -1);
  assert.equal([...vocabulary.reader].slice(0, -1), words, "one tokenizer, one id for each word");
  const step = compile(device, (batch: TrainingBatch, rng: Tensor) => {
    const { loss } = problem.loss(batch, rng);
    return { loss, gradients: grad(loss, [...problem.parameters]) };
  });
  const items = problem.items(0).slice(0, 4);
  const width = problem.buckets[problem.buckets.length - 1];
  const batch = problem.collate(items, width, 4, new Random(1, 0));
  const { loss, gradients } = await step(batch, dropoutState(1, 1));
  assert.ok(Number.isFinite(await loss.item()));
  let live = 0;
  for (const gradient of gradients) {
    const values = await gradient.read();
    assert.ok(values.every(Number.isFinite));
    if (values.some((v) => v !== 0)) live++;
  }
  assert.ok(live > gradients.length / 2, `${live} of ${gradients.length} gradients are not 0`);
  const dev = itemsOf(benchmark.relations, "dev").slice(0, 20);
  const measured = await examinerOf(device, run).measure(dev);
  assert.ok(measured?.accuracy.every((share) => share >= 0));
  assert.is(measured?.answered.length, dev.length);
});

test("another checkpoint's weights are put into the generator", async (device) => {
  const { prompter } = await preparePromptGen(options);
  const { bart } = embeddedWorld();
  const { prompter: other } = await preparePromptGen({ ...tinyOptions(home), generator: bart });
  const before = await read(device, [...prompter.generator.lm.parameters]);
  await assertRejects(
    prompter.restore(device, bart),
    /is \[.*\] in the model and .* in the checkpoint/,
  );
  assert.equal(
    await read(device, [...prompter.generator.lm.parameters]),
    before,
    "nothing written",
  );
  const states = [...other.generator.lm.parameters];
  const start = await Promise.all(states.map(initialValues));
  const write = (change: number) =>
    states.forEach((state, i) => {
      device.write(
        state,
        Float32Array.from(start[i], (v) => v + change),
      );
    });
  write(1);
  assert.not.equal(await read(device, states), start);
  await other.restore(device, bart);
  assert.equal(await read(device, states), start);
});

test("what is saved is a checkpoint with its tokenizer, and is restored bit for bit", async (device) => {
  const { prompter } = await preparePromptGen(options);
  const states = [...prompter.generator.lm.parameters];
  const trained = states.map((_, i) => new Float32Array(states[i].size).fill(0.25 + i));
  states.forEach((state, i) => {
    device.write(state, trained[i]);
  });
  const folder = join(home, `saved ${device.description}`.replaceAll(/\W/g, "-"));
  await prompter.save(device, folder);
  const { prompter: opened } = await preparePromptGen({ ...options, generator: folder });
  assert.equal(await read(device, [...opened.generator.lm.parameters]), trained);
  assert.equal(opened.vocabulary, prompter.vocabulary, "the tokenizer came along");
  const { prompter: restored } = await preparePromptGen(options);
  await restored.restore(device, folder);
  assert.equal(await read(device, [...restored.generator.lm.parameters]), trained);
});

test("a model without an embedding for <mask>, and one that is no masked LM", async () => {
  const folder = mkdtempSync(join(tmpdir(), "roberta-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const short = join(folder, "short");
  mkdirSync(short);
  await saveCheckpoint(
    short,
    first,
    RobertaForMaskedLM.random({ ...TINY_ROBERTA, vocab_size: 1942 }, 3),
  );
  cpSync(join(reader, "tokenizer.json"), join(short, "tokenizer.json"));
  const said = (path: string) =>
    preparePromptGen({ ...options, reader: path }).then(String, (error) => error.message);
  assert.is(
    await said(short),
    `[tokenizer] ${short}: the token "<mask>" has the id 1942, but the model's table of words has 1942 rows (vocab_size in ${short}/config.json); use tokenizer and weights of one checkpoint, or texts without it`,
  );
  writeFileSync(join(short, "config.json"), '{"model_type": "mobilebert"}');
  assert.match(
    await said(short),
    'model_type is "mobilebert"; the masked LMs that are supported are',
  );
});

test.run();
