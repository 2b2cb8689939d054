/**
 * Ten training steps of a pair without dropout, in a process of its own: `losses.ts FOLDER PAIR BATCH`. Leaves the batches in
 * FOLDER/PAIR.BATCH.json for PyTorch, prints the losses, and what of memory was asked for and taken once the dev and test facts
 * were asked too.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { linearSchedule } from "../../../engine/optim.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { Learner } from "../../../models/training/learner.ts";
import { dropoutState, Random } from "../../../models/training/random.ts";
import { type Item, itemsOf, NONE } from "../../../promptgen/benchmark.ts";
import { memoryOf } from "../../../promptgen/memory.ts";
import { encodeExample } from "../../../promptgen/methods/promptgen/batch.ts";
import { promptProblem } from "../../../promptgen/methods/promptgen/index.ts";
import { FLOOR } from "../../../promptgen/methods/promptgen/objective.ts";
import { PromptGenPrompter } from "../../../promptgen/methods/promptgen/prompter.ts";
import { examinerOf, prepare, runOptions } from "../../../promptgen/run.ts";
import { TestAsker } from "../../../promptgen/test-facts.ts";
import { deviceFor } from "../../lib/run-options.ts";
import { memory } from "./process.ts";

const STEPS = 10;

/** What the process prints, one JSON object a line. */
export type LossLine =
  | {
      readonly kind: "step";
      readonly object: number;
      readonly none: number;
      readonly norm: number;
    }
  | {
      readonly kind: "memory";
      readonly description: string;
      /** What the plans were said to take, what the device handed out, the largest resident set; bytes. */
      readonly asked: number;
      readonly device: number;
      readonly peak: number;
    };

const say = (line: LossLine): void => console.log(JSON.stringify(line));

const [folder, pair, size] = process.argv.slice(2);
const batchSize = Number(size);
const run = await prepare(
  runOptions({
    method: "promptgen",
    data: join(folder, "data"),
    reader: join(folder, "bert"),
    generator: join(folder, `${pair}-still`),
    "batch-size": batchSize,
    epochs: 1,
  }),
);
const { benchmark, prompter, buckets, options } = run;
if (!(prompter instanceof PromptGenPrompter)) throw new Error("PromptGen has another prompter");
const { generator, vocabulary } = prompter;
const { alpha, "weight-decay": weightDecay, lr } = options.own;
const asked = await memoryOf(run);
const device = await deviceFor("fullsize", { device: "cpu" }, run, async () => asked);

const [width] = buckets;
const bothWays = (item: Item) => ({ ...item, subjects: [item.fact.subject, NONE] });
const all = itemsOf(benchmark.relations, "train");
const items = all.filter((item) => prompter.width(bothWays(item)) === width);
const batches = Array.from({ length: STEPS }, (_, i) =>
  Array.from({ length: batchSize }, (_, row) => items[(i * batchSize + row) % items.length]),
);
const rates = batches.map((_, i) => linearSchedule(i + 1, 2 * STEPS, 0.1, Number(lr)));

const tokenizers = {
  generator: await loadTokenizer(join(folder, pair)),
  reader: benchmark.encode,
};
const { bos, eos } = tokenizers.generator;
const given = {
  m: generator.m,
  n: generator.n,
  alpha,
  floor: FLOOR,
  weightDecay,
  rates,
  generator: [...vocabulary.generator],
  reader: [...vocabulary.reader],
  bartMask: tokenizers.generator.mask,
  ...benchmark.reader.ids,
  batches: batches.map((own) => {
    const examples = own.map((item) => encodeExample(bothWays(item), tokenizers));
    return {
      encoder: examples.map(({ encoder }) => encoder),
      prefix: examples.map((example) => [eos, bos, ...example.generator]),
      own: examples.map(({ reader }) => reader[0]),
      none: examples.map(({ reader }) => reader[1]),
      objects: own.map(({ fact }) => benchmark.tokenizer.wordId(fact.object)),
    };
  }),
};
writeFileSync(join(folder, `${pair}.${size}.json`), JSON.stringify(given));

const problem = promptProblem(prompter, all, buckets, Number(alpha));
const learner = new Learner(device, problem, { weightDecay: Number(weightDecay), clip: 1 });
learner.begin();
for (const [i, own] of batches.entries()) {
  const batch = problem.collate(own, width, batchSize, new Random(1, 0, i));
  const scalars = learner.optimizer.scalars(i + 1, rates[i]);
  const { report } = await learner.step(batch, dropoutState(1, i + 1), scalars);
  const [, , norm, , object, none] = await report.read();
  say({ kind: "step", object, none, norm });
}
const dev = itemsOf(benchmark.relations, "dev");
await examinerOf(device, run).measure(dev.slice(-batchSize)); // those with the longest subjects
await TestAsker.ofRun(device, run, prompter).ask(options.seed);
const { description, stats } = device;
say({ kind: "memory", description, asked, device: stats.bytes, peak: memory("VmHWM") });
process.exit(0);
