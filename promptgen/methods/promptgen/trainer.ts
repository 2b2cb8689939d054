/**
 * Trains the generator on the facts of all relations together, and measures it.
 *
 * A run keeps the weights with the best dev accuracy (mean over relations), looked for three times an epoch and before the first step.
 */
import type { Device } from "../../../engine/device.ts";
import { concat, reshape } from "../../../engine/ops/shape.ts";
import { saveCheckpoint, streamTensors, tensorsOf } from "../../../models/save.ts";
import type { Fact, Relation } from "../../facts/facts.ts";
import {
  distinctPrompts,
  encodeTemplate,
  type Probed,
  PromptProbe,
  scoresOf,
  TemplateProbe,
} from "../../probe.ts";
import { means, type Scores } from "../../report/report.ts";
import { bucketOf } from "../../training/buckets.ts";
import {
  type Evaluation,
  type LoopOptions,
  type LoopSettings,
  type Outcome,
  type Problem,
  train,
} from "../../training/loop.ts";
import type { JsonObject } from "../../training/run-folder.ts";
import { assemble, type Batch, subjectWidth } from "./batch.ts";
import { diagnose, objective } from "./objective.ts";
import type { Item, System } from "./system.ts";

/** The options of the paper that decide the weights. */
export interface TrainerSettings extends LoopSettings {
  /** Weight of the term with "None" for the subject. */
  readonly alpha: number;
}

/** PromptGen for the training loop: its loss terms are `object` and `none` (see `objective`). */
export function promptProblem(system: System, alpha: number): Problem<Item, Batch> {
  const { bart, generator, reader, layout } = system;
  return {
    parameters: bart.parameters,
    decays: bart.decays,
    items: () => system.items.train,
    width: ({ example }) => subjectWidth(example),
    buckets: layout.buckets,
    terms: ["object", "none"],
    watched: ["topProbability", "entropy"],
    collate: (items, width, rows) =>
      assemble(
        items.map(({ example }) => example),
        width,
        rows,
        layout,
      ),
    loss(batch, rng) {
      const prompts = generator.unroll(batch, { rng });
      const logits = reader.read(batch, prompts, generator.m);
      const { loss, object, none } = objective(logits, batch, alpha);
      const { top, entropy } = diagnose(prompts, batch.weights);
      const pair = (a: typeof object, b: typeof none) =>
        concat([reshape(a, [1]), reshape(b, [1])], 0);
      return { loss, terms: pair(object, none), watched: pair(top, entropy) };
    },
  };
}

/** Answers on some facts: scores by relation with the subject and with "None", and the prompts. */
export interface Measured {
  readonly items: readonly Item[];
  readonly probed: readonly Probed[];
  readonly scores: Scores;
  readonly none: Scores;
  /** Means over relations, per cent. */
  readonly accuracy: number;
  readonly noneAccuracy: number;
  readonly distinct: number;
}

/** Probes facts with the generator as it is. Plans are kept between calls. */
export class Examiner {
  readonly #system: System;
  readonly #batchSize: number;
  readonly probe: PromptProbe;

  constructor(device: Device, system: System, batchSize = 32) {
    this.#system = system;
    this.#batchSize = batchSize;
    const { generator, reader, allowed, layout } = system;
    this.probe = new PromptProbe(device, generator, reader, { allowed, layout, batchSize });
  }

  /** Undefined when the signal came. */
  async measure(
    items: readonly Item[],
    options: { signal?: AbortSignal | undefined; onProgress?(done: number): void } = {},
  ): Promise<Measured | undefined> {
    const { relations, layout } = this.#system;
    const bucket = ({ example }: Item) => bucketOf(subjectWidth(example), layout.buckets);
    const sorted = [...items].sort((a, b) => bucket(b) - bucket(a)); // longest plans first
    const probed: Probed[] = [];
    const chunk = 8 * this.#batchSize;
    for (let start = 0; start < sorted.length; start += chunk) {
      if (options.signal?.aborted) return undefined;
      const part = sorted.slice(start, start + chunk).map(({ example }) => example);
      probed.push(...(await this.probe.probe(part)));
      options.onProgress?.(probed.length);
    }
    const scores = new Map<string, { correct: number; total: number }>();
    const none = new Map<string, { correct: number; total: number }>();
    for (const { id } of relations) {
      const own = sorted.flatMap((item, i) => (item.relation.id === id ? [i] : []));
      const found = scoresOf(
        own.map((i) => sorted[i].example),
        own.map((i) => probed[i]),
      );
      scores.set(id, found.subject);
      none.set(id, found.none);
    }
    return {
      items: sorted,
      probed,
      scores,
      none,
      accuracy: means(relations, scores).all,
      noneAccuracy: means(relations, none).all,
      distinct: distinctPrompts(probed),
    };
  }
}

/** Scores of hand-written templates on the test facts of each relation. */
export async function templateScores(
  device: Device,
  { bert, tokenizers, allowed, relations }: System,
  template: (relation: Relation) => string = (relation) => relation.template,
): Promise<Scores> {
  const probe = new TemplateProbe(device, bert, allowed, tokenizers.bert.pad);
  const facts = relations.flatMap((relation) =>
    relation.test.map((fact: Fact) => ({
      id: relation.id,
      example: encodeTemplate(fact, template(relation), tokenizers.bert),
    })),
  );
  const answers = await probe.probe(facts.map(({ example }) => example));
  const scores = new Map<string, { correct: number; total: number }>();
  facts.forEach(({ id, example }, i) => {
    const { correct, total } = scores.get(id) ?? { correct: 0, total: 0 };
    const hit = answers[i] === example.object ? 1 : 0;
    scores.set(id, { correct: correct + hit, total: total + 1 });
  });
  return scores;
}

export interface TrainerOptions
  extends Pick<
    LoopOptions<Item, Batch>,
    "device" | "folder" | "resume" | "saveEvery" | "signal" | "onStep" | "onEvaluation" | "identity"
  > {
  readonly system: System;
  readonly settings: TrainerSettings;
  /** Asks the dev facts; one of its own when left out. */
  readonly examiner?: Examiner | undefined;
}

/**
 * Trains. With a folder, `best/` holds the best generator afterwards and the run can be resumed.
 * @throws NotFiniteError when the loss is not finite
 */
export async function trainPromptGen(options: TrainerOptions): Promise<Outcome> {
  const { device, system, settings, folder, signal } = options;
  const { alpha, ...loop } = settings;
  const examiner = options.examiner ?? new Examiner(device, system, settings.batchSize);
  // the untrained generator is the first best one
  if (folder && !options.resume) await saveCheckpoint(folder.best, device, system.bart);
  return train({
    ...options,
    settings: loop,
    problem: promptProblem(system, alpha),
    async evaluate(): Promise<Evaluation | undefined> {
      const measured = await examiner.measure(system.items.dev, { signal });
      return measured && { score: measured.accuracy, figures: figuresOf(measured) };
    },
    async saveBest() {
      await folder?.saveBest(streamTensors(device, tensorsOf(system.bart.weights)));
    },
  });
}

const figuresOf = ({ accuracy, noneAccuracy, distinct, items }: Measured): JsonObject => ({
  devAccuracy: accuracy,
  devNone: noneAccuracy,
  distinctPrompts: distinct,
  devFacts: items.length,
});
