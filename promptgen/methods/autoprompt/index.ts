/**
 * AutoPrompt (Shin et al., EMNLP 2020): a few tokens of the reader between subject and mask, one set a relation, searched for by
 * the gradient and kept where the training objects become more likely.
 */
import { tensor } from "../../../engine/tensor.ts";
import { bucketOf } from "../../../models/training/buckets.ts";
import type { Outcome } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import type { JsonObject } from "../../../models/training/run-folder.ts";
import { type Benchmark, type Item, itemsOf, objectIds } from "../../benchmark.ts";
import { textFingerprint } from "../../training/fingerprint.ts";
import { filledUp, rightPadded, rowWeights } from "../../training/padding.ts";
import { type Method, searched, type Training } from "../method.ts";
import type { OptionsOf, OptionTable } from "../options.ts";
import { AutoPromptPrompter } from "./prompter.ts";
import type { Draw, FactBatch, Found } from "./search.ts";
import { allowedTriggers } from "./tokens.ts";

const OPTIONS = {
  triggers: {
    kind: "number",
    value: "N",
    help: "tokens between the subject and the mask",
    initial: 5,
    least: 1,
    most: 64,
    whole: true,
    structural: true,
  },
  "num-candidates": {
    kind: "number",
    value: "N",
    help: "tokens that are tried in an iteration",
    initial: 10,
    least: 1,
    ceiling: 1000,
    whole: true,
  },
  iterations: {
    kind: "number",
    value: "N",
    help: "each may change one trigger",
    initial: 1000,
    world: 40,
    least: 1,
    ceiling: 1_000_000,
    whole: true,
  },
  "batch-size": {
    kind: "number",
    value: "N",
    help: "training facts a batch",
    initial: 32,
    world: 16,
    least: 1,
    ceiling: 4096,
    whole: true,
  },
  accumulation: {
    kind: "number",
    value: "N",
    help: "batches that a gradient and a comparison are made of; fewer where the facts do not suffice",
    initial: 1,
    least: 1,
    ceiling: 4096,
    whole: true,
  },
  filter: {
    kind: "choice",
    value: "CHOICE",
    help: "on: no training object, special token or capitalised token of several characters becomes a trigger",
    initial: "on",
    choices: ["on", "off"],
  },
  ask: {
    kind: "choice",
    value: "FORM",
    help: "ids: as they were searched for; text: as the words that they spell, read anew",
    initial: "ids",
    choices: ["ids", "text"],
    structural: true,
  },
} as const satisfies OptionTable;

type AutoPromptOptions = OptionsOf<typeof OPTIONS>;

const DRAW = 21; // purpose of the seed

/** Where a search stands. */
type Progress = {
  readonly step: number;
  readonly steps: number;
  /** The last step after which the dev facts were asked; -1 before the first time. */
  readonly evaluated: number;
  readonly triggers: readonly number[];
  readonly best: Best | null;
};

type Best = {
  readonly step: number;
  readonly score: number;
  readonly triggers: readonly number[];
};

/** A batch of training facts; `rows` is the size of all. */
export function factBatch(
  prompter: AutoPromptPrompter,
  items: readonly Item[],
  rows: number,
  buckets: readonly number[],
): FactBatch {
  const { benchmark } = prompter;
  const { encode, reader } = benchmark;
  const { cls, pad } = reader.ids;
  const heads = filledUp(items, rows).map(({ fact }) => [cls, ...encode(fact.subject)]);
  const most = Math.max(...heads.map((ids) => ids.length)) - 1;
  return {
    ...rightPadded(heads, 1 + bucketOf(most, buckets), pad),
    objects: tensor(Uint32Array.from(objectIds(benchmark, items, rows))),
    weights: rowWeights(items.length, rows),
  };
}

/** The search for one relation. What an iteration draws is a function of (seed, relation, iteration). */
class Search {
  readonly #prompter: AutoPromptPrompter;
  readonly #training: Training & { readonly options: AutoPromptOptions };
  readonly #items: readonly Item[];
  /** Separates the draws of relations. */
  readonly #stream: number;
  readonly #allowed: Uint32Array<ArrayBuffer>;
  readonly #mask: number;

  constructor(
    prompter: AutoPromptPrompter,
    training: Training & { readonly options: AutoPromptOptions },
  ) {
    const [relation] = training.relations;
    const { benchmark } = prompter;
    this.#prompter = prompter;
    this.#training = training;
    this.#items = itemsOf([relation], "train");
    this.#stream = Number.parseInt(textFingerprint(relation.id).slice(0, 7), 16);
    this.#allowed = allowedTriggers(benchmark, relation, training.options.filter === "on");
    this.#mask = benchmark.reader.ids.mask;
  }

  async run(): Promise<Outcome> {
    const { device, options, saveEvery = 50, signal, onStep } = this.#training;
    const search = this.#prompter.search(device, options["num-candidates"]);
    let at = await this.#begin();
    if (at.evaluated < 0) at = (await this.#evaluated(at)) ?? at;
    while (at.evaluated >= 0 && at.step < at.steps && !signal?.aborted) {
      const step = at.step + 1;
      const start = performance.now();
      const found = await search.iterate(at.triggers, this.#draw(step), this.#allowed);
      const moved = { ...at, step, triggers: found.triggers };
      const next = found.accepted === undefined ? moved : await this.#evaluated(moved, found);
      if (!next) break; // the signal came: the iteration is done again
      at = next;
      const { loss, gradientNorm } = found;
      onStep?.({
        ...searched(start, step),
        steps: at.steps,
        items: this.#drawn,
        terms: { loss },
        gradientNorm,
      });
      if (step % saveEvery === 0 && at.evaluated < step) await this.#save(at);
    }
    await this.#save(at);
    const { step, steps, best } = at;
    return {
      step,
      steps,
      finished: step === steps,
      best: best ? { step: best.step, score: best.score } : undefined,
    };
  }

  /** Training facts that an iteration draws. */
  get #drawn(): number {
    const { options } = this.#training;
    return Math.min(options.accumulation * options["batch-size"], this.#items.length);
  }

  #draw(step: number): Draw {
    const { options, seed, buckets } = this.#training;
    const size = options["batch-size"];
    const random = new Random(seed, DRAW, step, this.#stream);
    const batches = (): FactBatch[] => {
      const chosen = random.shuffled(this.#items).slice(0, this.#drawn);
      return Array.from({ length: Math.ceil(chosen.length / size) }, (_, i) => {
        const part = chosen.slice(i * size, (i + 1) * size);
        return factBatch(this.#prompter, part, size, buckets);
      });
    };
    return { slope: batches(), position: random.below(options.triggers), trial: batches() };
  }

  /** `at` with its triggers asked about the dev facts, logged and saved; undefined when the signal came. */
  async #evaluated(at: Progress, found?: Found): Promise<Progress | undefined> {
    const { device, folder, onEvaluation } = this.#training;
    const { step, triggers, best } = at;
    this.#prompter.use(triggers);
    const evaluation = await this.#training.evaluate();
    if (!evaluation) return undefined;
    const { score, figures } = evaluation;
    // as in the search itself: no prompt is worse than one that holds the mask
    const better = !best || best.triggers.includes(this.#mask) || score > best.score;
    if (better && folder) await this.#prompter.save(device, folder.best);
    const next = { ...at, evaluated: step, best: better ? { step, score, triggers } : best };
    const reached = found?.accepted === undefined ? undefined : found.scores[found.accepted];
    const row = {
      step,
      epoch: 0,
      logLikelihood: reached === undefined ? null : reached / this.#drawn,
      ...figures,
      triggers,
      prompt: this.#prompter.template,
      best: better,
    };
    await folder?.appendLog(row);
    await this.#save(next);
    onEvaluation?.(row);
    return next;
  }

  async #begin(): Promise<Progress> {
    const { folder, identity, options, resume } = this.#training;
    const triggers = new Array<number>(options.triggers).fill(this.#mask);
    const start = { step: 0, steps: options.iterations, evaluated: -1, triggers, best: null };
    if (!folder) return start;
    const saved = resume ? await folder.loadSearch(identity) : undefined;
    const at = saved === undefined ? start : (saved as unknown as Progress);
    await folder.cutLog(at.evaluated);
    return at;
  }

  async #save(at: Progress): Promise<void> {
    const { folder, identity } = this.#training;
    await folder?.saveSearch(at as unknown as JsonObject, identity);
  }
}

export const autoprompt: Method = {
  name: "autoprompt",
  summary: "tokens that the gradient points to, one set a relation (Shin et al., 2020)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    start: "every trigger is the mask token",
    draws:
      "in each iteration anew: facts of the gradient, the position, facts of the comparison; batches begin with the first of a shuffled order of all",
    ties: "of candidates the lowest id first; of equal log-likelihoods the first candidate, and none that only equals the triggers there are",
    masks:
      "while a trigger is the mask token any candidate is better, and any dev accuracy (the published --print-lama)",
    filter:
      "the first character behind a piece's ## or a space counts; tokens without a name are never candidates",
    selection:
      "top-1 on the relation's dev facts, asked by ids, before the first iteration and behind each that changes a trigger; the published code takes dev log-likelihood",
    text: "tokens joined by spaces, pieces to what stands before them, be it the subject",
  },
  prompts: "words",
  row: ({ triggers, ask }) =>
    ask === "text" ? "AutoPrompt, as text" : `AutoPrompt (${triggers} [T]s)`,
  open: async (benchmark: Benchmark, { triggers, ask }: AutoPromptOptions) =>
    new AutoPromptPrompter(benchmark, triggers, ask === "text"),
  train: (
    prompter: AutoPromptPrompter,
    training: Training & { readonly options: AutoPromptOptions },
  ) => new Search(prompter, training).run(),
};
