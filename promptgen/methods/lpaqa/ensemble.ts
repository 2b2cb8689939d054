/**
 * LPAQA's optimised ensemble (Jiang et al., TACL 2020): the best candidates of a relation together, each with a weight that is learnt
 * by the likelihood of the training objects.
 *
 *     log P(y) = sum_i softmax(s)_i log p_i(y) + constant,    over the words that may be answers
 *
 * What a candidate's own softmax divides by is the same for all words, so that the weighted sum of the reader's logits gives the
 * same distribution, and one row of logits is left of those of all candidates.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { where } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { reshape, slice } from "../../../engine/ops/shape.ts";
import { softmax } from "../../../engine/ops/softmax.ts";
import { state, type Tensor, tensor } from "../../../engine/tensor.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import { groups } from "../../../models/training/buckets.ts";
import type { StepReport } from "../../../models/training/loop.ts";
import { type Benchmark, itemsOf } from "../../benchmark.ts";
import { checkTemplate } from "../../facts/templates.ts";
import { filledUp, rightPadded } from "../../training/padding.ts";
import type { Asked, Method, Prediction, Trace, Training } from "../method.ts";
import {
  loopSettings,
  NO_CLIP,
  type OptionsOf,
  type OptionTable,
  trainingOptions,
} from "../options.ts";
import { type Answering, answerProblem, trainAnswers } from "../shared/answering.ts";
import { filled } from "../shared/templates.ts";
import {
  bestOf,
  openPool,
  POOL_OPTIONS,
  type Pool,
  questionWidth,
  scoreCandidates,
  subjectLimit,
  subjectWidth,
} from "./pool.ts";

const OPTIONS = {
  ...POOL_OPTIONS,
  prompts: {
    kind: "number",
    value: "N",
    help: "candidates that are weighed, the best on the training facts; a fact costs N questions",
    initial: 30,
    world: 5,
    least: 1,
    most: 256,
    whole: true,
    structural: true,
  },
  ...trainingOptions({
    lr: 0.1,
    warmup: 0.1,
    weightDecay: 0,
    batchSize: 16,
    epochs: 10,
  }),
} as const satisfies OptionTable;

type EnsembleOptions = OptionsOf<typeof OPTIONS>;

const FILE = "ensemble.json";
/** The logit of a word that may be no answer. */
const NO_ANSWER = -1e4;
type Questions = {
  readonly ids: Tensor; // u32 [K * S * B, T]
  readonly mask: Tensor;
  readonly places: Tensor; // u32 [K, S * B]
};

/** A template with what its weight is the softmax of. */
type Weighed = { readonly template: string; readonly score: number };

/** Several templates for the relation that was last trained or restored; before that its manual one alone. */
export class EnsemblePrompter implements Answering {
  readonly limit: number;
  readonly contents: Readonly<Record<string, string>>;
  readonly remarks: readonly string[];
  readonly benchmark: Benchmark;
  readonly pool: Pool;
  /** f32 [N]; K templates use the first K. */
  readonly scores: Tensor;
  readonly parameters: readonly Tensor[];
  readonly decays = () => true;
  #own: { readonly relation: string; readonly templates: readonly string[] } | undefined;

  /** @param count the most templates of a relation */
  constructor(benchmark: Benchmark, pool: Pool, count: number) {
    this.benchmark = benchmark;
    this.pool = pool;
    this.scores = state("scores", new Float32Array(count), [count]);
    this.parameters = [this.scores];
    this.limit = subjectLimit(benchmark, pool);
    this.contents = pool.contents;
    this.remarks = pool.remarks;
  }

  /** Asks about a relation with these templates from now on, at most N, and about others with the manual one. */
  use(relation: string, templates: readonly string[]): void {
    this.#own = { relation, templates };
  }

  /** Gives all templates the same weight. */
  start(device: Device): void {
    device.write(this.scores, new Float32Array(this.scores.size));
  }

  width({ subjects }: Asked): number {
    return subjectWidth(this.benchmark, subjects);
  }

  /** All facts are of one relation. */
  collate(asked: readonly Asked[], _width: number, rows: number): Questions {
    const { reader } = this.benchmark;
    const own = filledUp(asked, rows);
    const templates = this.#of(own[0]);
    const questions = templates.flatMap((template) =>
      own[0].subjects.flatMap((_, s) =>
        own.map(({ subjects }) => filled(this.benchmark, template, subjects[s])),
      ),
    );
    const longest = questions.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    const width = questionWidth(this.benchmark, longest);
    const ids = questions.map((one) => one.ids);
    const places = Uint32Array.from(questions, ({ place }, row) => row * width + place);
    return {
      ...rightPadded(ids, width, reader.ids.pad),
      places: tensor(places, [templates.length, questions.length / templates.length]),
    };
  }

  /** Logits f32 [S * B, vocab_size], of the words that may be answers. */
  logits({ ids, mask, places }: Questions): Tensor {
    const { reader, allowed } = this.benchmark;
    const [count, rows] = places.shape;
    const each = reader.readTokens({ ids, mask }, reshape(places, [count * rows]));
    const mixed = matmul(this.#weights(count), reshape(each, [count, -1])); // [1, S * B * vocab_size]
    return where(allowed, reshape(mixed, [rows, -1]), NO_ANSWER);
  }

  predict(batch: Questions): Prediction {
    const [count] = batch.places.shape;
    return { logits: this.logits(batch), trace: { weights: this.#weights(count) } };
  }

  words(asked: Asked, { values }: Trace): string {
    return this.#of(asked)
      .map((template, i) => ({ template, weight: values.weights[i] }))
      .sort((a, b) => b.weight - a.weight)
      .map(({ template, weight }) => `${weight.toFixed(3)} ${template}`)
      .join(" | ");
  }

  async save(device: Device, folder: string): Promise<void> {
    const [scores] = await read(device, [this.scores]);
    const { relation = "", templates = [] } = this.#own ?? {};
    const own: Weighed[] = templates.map((template, i) => ({ template, score: scores[i] }));
    await writeWhole(join(folder, FILE), `${JSON.stringify({ [relation]: own }, null, 2)}\n`);
  }

  async restore(device: Device, folder: string): Promise<void> {
    const path = join(folder, FILE);
    const { relation, weighed } = await readEnsemble(path);
    if (weighed.length > this.scores.size) {
      throw new Error(
        `[ensemble] ${path} holds ${weighed.length} templates; open it with --prompts ${weighed.length} or more`,
      );
    }
    const scores = new Float32Array(this.scores.size);
    scores.set(weighed.map(({ score }) => score));
    device.write(this.scores, scores);
    const templates = weighed.map(({ template }) => template);
    this.use(relation, templates);
  }

  /** Softmax of the first scores, [1, K]. */
  #weights(count: number): Tensor {
    return softmax(reshape(slice(this.scores, 0, 0, count), [1, count]));
  }

  #of({ relation }: Pick<Asked, "relation">): readonly string[] {
    return this.#own?.relation === relation.id ? this.#own.templates : [relation.template];
  }
}

/** What `save` wrote. */
async function readEnsemble(
  path: string,
): Promise<{ readonly relation: string; readonly weighed: readonly Weighed[] }> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new Error(`[ensemble] ${path} cannot be read; name the folder of a finished run`, {
      cause,
    });
  }
  const [[relation, weighed] = [], ...more] = Object.entries<unknown>(Object(value));
  if (relation === undefined || more.length > 0 || !isWeighed(weighed)) {
    throw new Error(
      `[ensemble] ${path} does not give a relation its templates with scores; train it again`,
    );
  }
  for (const { template } of weighed) checkTemplate(template, path);
  return { relation, weighed };
}

const isWeighed = (value: unknown): value is readonly Weighed[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((one) => typeof one?.template === "string" && Number.isFinite(one.score));

export const ensemble: Method = {
  name: "ensemble",
  summary:
    "the best candidate templates of a relation together, weighed by the likelihood of its training facts (Jiang et al., 2020)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    candidates: "the manual template, then manual_paraphrase, mine, paraphrase; each template once",
    members: "the most accurate on all training facts; of equal ones the earlier",
    mixture: "of log-probabilities, over the words that may be answers",
    start: "equal weights",
    optimizer: "AdamW 0.9 0.999 1e-8 with bias correction, linear warm-up and decay, no clipping",
    order: "shuffled anew in each epoch",
  },
  row: () => "LPAQA (ensemble)",
  open: async (benchmark: Benchmark, { candidates, prompts }: EnsembleOptions, saved?: string) =>
    new EnsemblePrompter(
      benchmark,
      await openPool(benchmark, candidates, "candidates", saved),
      prompts,
    ),
  async train(
    prompter: EnsemblePrompter,
    training: Training & { readonly options: EnsembleOptions },
  ) {
    const { device, folder, options, relations, seed, buckets } = training;
    const [{ id }] = relations;
    const candidates = prompter.pool.templates.get(id) ?? [];
    const items = itemsOf(relations, "train");
    const { width } = answerProblem(prompter, items, buckets);
    const settings = loopSettings(options, { seed, clip: NO_CLIP });
    const { epochs, batchSize, accumulate = 1, maxSteps = 0 } = settings;
    const all = epochs * groups(items, width, buckets, accumulate * batchSize).length;
    const more = maxSteps > 0 ? Math.min(all, maxSteps) : all;
    const before = candidates.length;
    prompter.start(device);
    const search = await scoreCandidates(
      candidates,
      training,
      (one) => prompter.use(id, [one]),
      more,
    );
    if (!search.finished) {
      const step = search.accuracies.length;
      return { step, steps: before + more, finished: false, best: undefined };
    }
    const best = bestOf(search.accuracies, options.prompts);
    prompter.use(
      id,
      best.map((i) => candidates[i]),
    );
    const weighing = {
      ...training,
      resume: training.resume === true && folder !== undefined && existsSync(folder.last),
      onStep: (report: StepReport) =>
        training.onStep?.({ ...report, step: before + report.step, steps: before + report.steps }),
    };
    const outcome = await trainAnswers(prompter, weighing, NO_CLIP);
    return {
      ...outcome,
      step: before + outcome.step,
      steps: before + outcome.steps,
      best: outcome.best && { ...outcome.best, step: before + outcome.best.step },
    };
  },
};
