/** PromptGen with RoBERTa as the masked LM, from folders to a step of training. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { compile, read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import { saveCheckpoint } from "../../models/save.ts";
import type { Batch } from "../../promptgen/methods/promptgen/batch.ts";
import { loadSystem } from "../../promptgen/methods/promptgen/system.ts";
import { Examiner, promptProblem } from "../../promptgen/methods/promptgen/trainer.ts";
import { dropoutState, Random } from "../../promptgen/training/random.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { loadGenerator, sourcesOf } from "../../tools/commands/runs.ts";
import { onDevices, openDevices } from "../devices.ts";
import { initialValues } from "../models/parity.ts";
import { TINY_ROBERTA, tinyOptions, tinyPair } from "./tiny.ts";

const test = await onDevices("PromptGen with RoBERTa");

const [first] = await openDevices();
const home = await tinyPair(first);
const mlm = join(home, "roberta");
await saveCheckpoint(mlm, first, RobertaForMaskedLM.random(TINY_ROBERTA, 3));
cpSync(join(embeddedWorld().bart, "tokenizer.json"), join(mlm, "tokenizer.json"));
const options = { ...tinyOptions(home), mlm };

test("a step has gradients, an evaluation has answers", async (device) => {
  const system = await loadSystem(sourcesOf(options));
  assert.instance(system.bert, RobertaForMaskedLM);
  assert.is(system.bert.positions, 64);
  const { vocabulary } = system;
  const words = [...vocabulary.bart].slice(0, -1);
  assert.equal([...vocabulary.bert].slice(0, -1), words, "one tokenizer, one id for each word");
  const problem = promptProblem(system, 0.3);
  const step = compile(device, (batch: Batch, rng: Tensor) => {
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
  const measured = await new Examiner(device, system, 16).measure(system.items.dev.slice(0, 20));
  assert.ok(measured && measured.accuracy >= 0);
});

test("another checkpoint's weights are put into the generator", async (device) => {
  const system = await loadSystem(sourcesOf(options));
  const { bart } = embeddedWorld();
  const other = await loadSystem(sourcesOf({ ...tinyOptions(home), generator: bart }));
  const failed = await loadGenerator(device, system, bart).catch((error) => error.message);
  assert.match(failed, "values do not fill");
  await loadGenerator(device, other, bart);
  const states = [...other.bart.weights.parameters.values()];
  const values = await read(device, states);
  for (const [i, state] of states.entries()) assert.equal(values[i], await initialValues(state));
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
  cpSync(join(mlm, "tokenizer.json"), join(short, "tokenizer.json"));
  const said = (path: string) =>
    loadSystem(sourcesOf({ ...options, mlm: path })).then(String, (error) => error.message);
  assert.is(
    await said(short),
    "[prompt] the masked LM has embeddings for 1942 tokens, but its tokenizer gives one of its own tokens the id 1942; use a checkpoint that has it",
  );
  writeFileSync(join(short, "config.json"), '{"model_type": "electra"}');
  assert.match(await said(short), 'model_type is "electra"; the masked LMs that are supported are');
});

test.run();
