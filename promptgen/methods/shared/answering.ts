/**
 * Training by the object's cross-entropy alone, through the frozen reader: what methods with free vectors share. A prompter's
 * compiled step and its moments are kept, so that relations that are trained one after the other make them once.
 */
import { isDeepStrictEqual } from "node:util";
import type { Device } from "../../../engine/device.ts";
import { crossEntropy } from "../../../engine/ops/cross-entropy.ts";
import { div, mul } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { reshape } from "../../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../../engine/tensor.ts";
import type { Training as Dropout } from "../../../models/nn.ts";
import { Learner } from "../../../models/training/learner.ts";
import {
  type LoopSettings,
  type Outcome,
  type Problem,
  train,
} from "../../../models/training/loop.ts";
import { type Benchmark, type Item, itemsOf, objectIds } from "../../benchmark.ts";
import { rowWeights } from "../../training/padding.ts";
import type { Asked, Batch, Prompter, Training } from "../method.ts";
import { loopSettings, type TrainingOptions } from "../options.ts";

/** A prompter that can be trained so. */
export type Answering = Prompter & {
  readonly benchmark: Benchmark;
  /** What is trained, never empty. */
  readonly parameters: readonly Tensor[];
  readonly decays: (name: string) => boolean;
  /** Inside `compile`: logits f32 [S * B, vocab_size]; dropout is on where it is given. */
  logits(batch: Batch, dropout?: Dropout): Tensor;
};

type AnswerBatch = {
  readonly questions: Batch;
  readonly objects: Tensor; // u32 [B]
  readonly weights: Tensor; // f32 [B]
};

/** A training fact is asked with its own subject. */
const own = (item: Item): Asked => ({ ...item, subjects: [item.fact.subject] });

/** For the training loop: the mean of -log P(object), called `object`. */
export function answerProblem(
  prompter: Answering,
  items: readonly Item[],
  buckets: readonly number[],
): Problem<Item, AnswerBatch> {
  const { benchmark, parameters, decays } = prompter;
  return {
    parameters,
    decays,
    items: () => items,
    width: (item) => prompter.width(own(item)),
    buckets,
    terms: ["object"],
    collate: (part, width, rows) => ({
      questions: prompter.collate(part.map(own), width, rows),
      objects: tensor(Uint32Array.from(objectIds(benchmark, part, rows))),
      weights: rowWeights(part.length, rows),
    }),
    loss({ questions, objects, weights }, rng) {
      const losses = crossEntropy(prompter.logits(questions, { rng }), objects);
      const loss = div(sum(mul(losses, weights)), sum(weights));
      return { loss, terms: reshape(loss, [1]) };
    },
  };
}

type Kept = {
  readonly device: Device;
  readonly settings: LoopSettings;
  readonly learner: Learner<AnswerBatch>;
};

/** The last learner of each set of parameters, by its first. */
const kept = new WeakMap<Tensor, Kept>();

/** Trains a prompter whose parameters are at their start, or goes on; best/ of the folder then holds the best on the dev facts. */
export function trainAnswers(
  prompter: Answering,
  training: Training & { readonly options: TrainingOptions },
  clip: number,
): Promise<Outcome> {
  const { device, folder, options, relations, seed, buckets } = training;
  const problem = answerProblem(prompter, itemsOf(relations, "train"), buckets);
  const settings = loopSettings(options, { seed, clip });
  const [first] = problem.parameters;
  const last = kept.get(first);
  const learner =
    last?.device === device && isDeepStrictEqual(last.settings, settings)
      ? last.learner
      : new Learner(device, problem, settings);
  kept.set(first, { device, settings, learner });
  return train({
    ...training,
    problem,
    learner,
    settings,
    async saveBest() {
      if (folder) await prompter.save(device, folder.best);
    },
  });
}
