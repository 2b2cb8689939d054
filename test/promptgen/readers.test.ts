/** PromptGen and fill-mask with each family of masked LMs, from a folder to training and answers. */
import * as assert from "uvu/assert";
import { compile } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { AdamW } from "../../engine/optim.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { dropoutState, Random } from "../../models/training/random.ts";
import { itemsOf } from "../../promptgen/benchmark.ts";
import type { TrainingBatch } from "../../promptgen/methods/promptgen/index.ts";
import { examinerOf } from "../../promptgen/run.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices, openDevices } from "../devices.ts";
import { printedBy } from "../tools/command.ts";
import { preparePromptGen, tinyOptions, tinyPair } from "./tiny.ts";
import { FAMILIES, READERS, tinyReader } from "./tiny-readers.ts";

const test = await onDevices("readers");

const [first] = await openDevices();
const home = await tinyPair(first);
const folders = new Map<string, string>();
for (const family of FAMILIES) folders.set(family, await tinyReader(family, first));
const reader = (family: string) => folders.get(family) ?? "";

for (const family of FAMILIES) {
  const { uncased, mark } = READERS[family];
  const objects = uncased ? "lowercase" : "as-written";
  const options = { ...tinyOptions(home), reader: reader(family), objects, relations: "P36" };

  test(`${family}: steps of training, an evaluation, words that it shares with the generator`, async (device) => {
    const run = await preparePromptGen(options);
    const { benchmark, prompter, problem } = run;
    assert.is(benchmark.reader.lm.constructor, READERS[family].model);
    const parameters = [...problem.parameters];
    const optimizer = new AdamW(parameters);
    const step = compile(device, (given: TrainingBatch, scalars: Tensor, rng: Tensor) => {
      const { loss } = problem.loss(given, rng);
      optimizer.update(grad(loss, parameters), scalars, [loss]);
      return { loss };
    });
    const width = problem.buckets[problem.buckets.length - 1];
    const batch = problem.collate(problem.items(0).slice(0, 4), width, 4, new Random(1, 0));
    const losses: number[] = [];
    for (let i = 1; i <= 4; i++) {
      const { loss } = await step(batch, optimizer.scalars(i, 1e-2), dropoutState(1, 1));
      losses.push(await loss.item());
    }
    assert.ok(losses.every(Number.isFinite), String(losses));
    assert.ok(losses[3] < losses[0], `what is trained learns: ${losses}`);
    const dev = itemsOf(benchmark.relations, "dev").slice(0, 10);
    const measured = await examinerOf(device, run).measure(dev);
    assert.is(measured?.answered.length, dev.length);

    // a word is shared where both have it as one token, each with its own mark of a word's start
    const own = await loadTokenizer(reader(family));
    const bart = await loadTokenizer(embeddedWorld().bart);
    const { generator, reader: shared } = prompter.vocabulary;
    const words = [...generator].slice(0, -1).map((id) => bart.word(id));
    assert.ok(words.length > 200, String(words.length));
    words.forEach((word, i) => {
      assert.is(own.token(shared[i]), mark === "Ġ" ? bart.token(generator[i]) : `${mark}${word}`);
    });
    assert.is(words.includes("capital"), true);
    assert.is(words.includes("Paris"), !uncased);
  });
}

test("what an uncased masked LM cannot answer, and how it can be asked", async () => {
  for (const family of FAMILIES.filter((one) => READERS[one].uncased)) {
    const options = { ...tinyOptions(home), reader: reader(family), relations: "P36" };
    const said = await preparePromptGen(options).then(String, (error: Error) => error.message);
    assert.match(said, "give --objects lowercase, or use a cased masked LM");
  }
});

for (const family of ["albert", "modernbert"]) {
  test(`${family}: fill-mask takes the space before its mask`, async (_, name) => {
    const tokenizer = await loadTokenizer(reader(family));
    const text = "Paris is the capital of [MASK] .";
    const options = ["--device", name, "--json", "--top-k", "3", "--model", reader(family)];
    const { masks } = JSON.parse(await printedBy("fill-mask.ts", [...options, text]));
    assert.is(masks[0].length, 3);
    for (const { id, token } of masks[0]) assert.is(tokenizer.token(id), token);
    const ids = tokenizer.encode(text);
    const bare = tokenizer.encode("Paris is the capital of[MASK] .");
    assert.equal(ids, bare, "one text, as lstrip says");
    assert.is(ids.filter((id) => id === tokenizer.mask).length, 1);
  });
}

test.run();
