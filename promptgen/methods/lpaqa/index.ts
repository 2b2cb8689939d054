/**
 * LPAQA (Jiang et al., TACL 2020), top-1: of many templates of a relation, mined, paraphrased or written, the one that answers most of
 * its training facts. The ensemble of several is in ensemble.ts.
 */
import type { Benchmark } from "../../benchmark.ts";
import type { Asked, Method, Training } from "../method.ts";
import type { OptionsOf, OptionTable } from "../options.ts";
import { TemplatePrompter, writePrompts } from "../shared/templates.ts";
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
  pool: {
    kind: "choice",
    value: "POOL",
    help: "candidates, or patterns: in their place the sentences that the embedded world's masked LM was pre-trained on, a ceiling",
    initial: "candidates",
    choices: ["candidates", "patterns"],
    structural: true,
  },
} as const satisfies OptionTable;

type LpaqaOptions = OptionsOf<typeof OPTIONS>;

/** Asks with one of a relation's candidates; before a choice with the manual template. */
export class CandidatePrompter extends TemplatePrompter {
  override readonly limit: number;
  override readonly contents: Readonly<Record<string, string>>;
  readonly remarks: readonly string[];
  readonly pool: Pool;
  readonly #benchmark: Benchmark;

  constructor(benchmark: Benchmark, pool: Pool) {
    super(benchmark, new Map(benchmark.relations.map(({ id, template }) => [id, template])));
    this.#benchmark = benchmark;
    this.pool = pool;
    this.limit = subjectLimit(benchmark, pool);
    this.contents = pool.contents;
    this.remarks = pool.remarks;
  }

  override width({ subjects }: Asked): number {
    return subjectWidth(this.#benchmark, subjects);
  }

  override collate(asked: readonly Asked[], _width: number, rows: number) {
    const widths = asked.map((one) => super.width(one));
    return super.collate(asked, questionWidth(this.#benchmark, Math.max(...widths)), rows);
  }
}

export const lpaqa: Method = {
  name: "lpaqa",
  summary:
    "of many candidate templates of a relation the one that is best on its training facts (Jiang et al., 2020)",
  scope: "relation",
  options: OPTIONS,
  choices: {
    candidates: "the manual template, then manual_paraphrase, mine, paraphrase; each template once",
    ties: "the earlier candidate",
    selection: "accuracy on all training facts; the dev facts are asked once, for the log",
  },
  prompts: "words",
  row: ({ pool }) => (pool === "patterns" ? "Best pre-training pattern" : "LPAQA"),
  open: async (benchmark: Benchmark, { candidates, pool }: LpaqaOptions, saved?: string) =>
    new CandidatePrompter(
      benchmark,
      await openPool(benchmark, candidates, pool === "patterns" ? "pool" : "candidates", saved),
    ),
  async train(prompter: CandidatePrompter, training: Training) {
    const { folder, identity, relations } = training;
    const [{ id }] = relations;
    const templates = prompter.pool.templates.get(id) ?? [];
    const steps = templates.length;
    const search = await scoreCandidates(templates, training, (one) => prompter.use(id, one));
    const { accuracies } = search;
    const step = accuracies.length;
    if (!search.finished) return { step, steps, finished: false, best: undefined };
    const [chosen] = bestOf(accuracies, 1);
    prompter.use(id, templates[chosen]);
    if (search.best) return { step, steps, finished: true, best: search.best };
    const dev = await training.evaluate();
    if (!dev) return { step, steps, finished: false, best: undefined };
    const row = {
      step,
      epoch: 0,
      template: templates[chosen],
      trainAccuracy: accuracies[chosen],
      ...dev.figures,
      best: true,
    };
    const best = { step, score: dev.score };
    if (folder) {
      await writePrompts(folder.best, new Map([[id, templates[chosen]]]));
      await folder.cutLog(-1);
      await folder.appendLog(row);
      await folder.saveSearch({ step, steps, accuracies, best }, identity);
    }
    training.onEvaluation?.(row);
    return { step, steps, finished: true, best };
  },
};
