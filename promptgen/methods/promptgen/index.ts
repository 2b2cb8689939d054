/**
 * PromptGen (Zhang et al., Findings of NAACL 2022): a sequence-to-sequence model writes a soft prompt for each subject, a
 * frozen masked LM reads it, and both terms of the loss train the writer. Its prompter is in prompter.ts, its loss in
 * objective.ts.
 */
import { concat, reshape } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import { type Problem, train } from "../../../models/training/loop.ts";
import { type Benchmark, type Item, itemsOf, NONE, objectIds } from "../../benchmark.ts";
import { rowWeights } from "../../training/padding.ts";
import type { Asked, Method, Training } from "../method.ts";
import { loopSettings, type OptionsOf, type OptionTable, trainingOptions } from "../options.ts";
import type { PromptBatch } from "./batch.ts";
import { diagnose, FLOOR, objective, readPrompts } from "./objective.ts";
import { PromptGenPrompter, VOCABULARIES } from "./prompter.ts";

/** The paper's options; batch size and epochs are ours. */
const OPTIONS = {
  generator: {
    kind: "model",
    value: "DIR or NAME",
    help: "BART checkpoint that writes prompts: a directory with config.json, weights and tokenizer, or a name on the Hugging Face Hub as facebook/bart-large",
    initial: "world",
    embedded: "bart",
    structural: true,
  },
  alpha: {
    kind: "number",
    value: "X",
    help: 'weight of the term that punishes answers that need no subject: log P(object | "None")',
    initial: 0.3,
    least: 0,
    ceiling: 1000,
  },
  m: {
    kind: "number",
    value: "N",
    help: "soft words before the mask",
    initial: 10,
    least: 1,
    ceiling: 1000,
    whole: true,
    structural: true,
  },
  n: {
    kind: "number",
    value: "N",
    help: "soft words behind the mask",
    initial: 5,
    least: 0,
    ceiling: 1000,
    whole: true,
    structural: true,
  },
  vocabulary: {
    kind: "choice",
    value: "SET",
    help: "what the generator may write: common, all words that both models have, or no-objects, those that are no object of the relations' training facts (answers stay what they are)",
    initial: "common",
    choices: VOCABULARIES,
    structural: true,
  },
  ...trainingOptions({
    lr: 5e-5,
    warmup: 0.1,
    weightDecay: 1e-3,
    batchSize: 32,
    epochs: 10,
    world: { lr: 1e-4, epochs: 12 },
  }),
} as const satisfies OptionTable;

export type PromptGenOptions = OptionsOf<typeof OPTIONS>;

/** What a training step takes. */
export type TrainingBatch = PromptBatch & { readonly objects: Tensor; readonly weights: Tensor };

/** A training fact is asked with its own subject and with "None". */
const bothWays = (item: Item): Asked => ({ ...item, subjects: [item.fact.subject, NONE] });

/** PromptGen for the training loop: its loss terms are `object` and `none` (see `objective`). */
export function promptProblem(
  prompter: PromptGenPrompter,
  items: readonly Item[],
  buckets: readonly number[],
  alpha: number,
): Problem<Item, TrainingBatch> {
  const { generator, vocabulary, benchmark } = prompter;
  return {
    parameters: generator.lm.parameters,
    decays: generator.lm.decays,
    items: () => items,
    width: (item) => prompter.width(bothWays(item)),
    buckets,
    terms: ["object", "none"],
    watched: ["topProbability", "entropy"],
    collate: (own, width, rows) => ({
      ...prompter.questions(own.map(bothWays), width, rows),
      objects: tensor(Uint32Array.from(objectIds(benchmark, own, rows))),
      weights: rowWeights(own.length, rows),
    }),
    loss(batch, rng) {
      const prompts = generator.unroll(batch, { rng });
      const logits = readPrompts(benchmark.reader, batch, prompts, vocabulary, generator.m);
      const { loss, object, none } = objective(logits, batch, alpha);
      const { top, entropy } = diagnose(prompts, batch.weights);
      const pair = (a: Tensor, b: Tensor) => concat([reshape(a, [1]), reshape(b, [1])], 0);
      return { loss, terms: pair(object, none), watched: pair(top, entropy) };
    },
  };
}

export const promptgen: Method = {
  name: "promptgen",
  summary:
    "a generator writes a soft prompt for each subject; all relations are trained together (Zhang et al., 2022)",
  scope: "all",
  options: OPTIONS,
  choices: {
    encoderInput: "the manual template with <mask> for the object",
    decoderPrefix: "</s> <s> subject",
    commonVocabulary:
      "words that follow a space in BART and are whole words in BERT, and </s> with [SEP]",
    earlyStop:
      "an argmax of </s> ends the segment; later slots are masked, positions count live slots",
    temperature: 1,
    finalPeriod: false,
    none: 'the same prompt with "None" for the subject, in the masked LM only',
    floor: FLOOR,
    dropout: "the generator's own in training, none in the masked LM",
    optimizer:
      "AdamW 0.9 0.999 1e-8, no decay on biases and LayerNorm, linear warm-up and decay, clip 1.0",
  },
  prompts: "words",
  row: ({ vocabulary }) => (vocabulary === "no-objects" ? "PromptGen, no objects" : "PromptGen"),
  open: (benchmark: Benchmark, options: PromptGenOptions, saved?: string) =>
    PromptGenPrompter.load(benchmark, saved ?? options.generator, options),
  train(prompter: PromptGenPrompter, training: Training & { readonly options: PromptGenOptions }) {
    const { options, relations, buckets, folder, device, seed } = training;
    const items = itemsOf(relations, "train");
    return train({
      ...training,
      problem: promptProblem(prompter, items, buckets, options.alpha),
      settings: loopSettings(options, { seed, clip: 1 }),
      async saveBest() {
        if (folder) await prompter.save(device, folder.best);
      },
    });
  },
};
