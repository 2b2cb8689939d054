/**
 * Templates that an encoder-decoder writes (Gao et al., 2021, LM-BFF): it reads subject and object of some training facts with a gap
 * behind each, and fills both gaps with one text for all of the facts, by a beam search over averaged logits. One template a relation,
 * which the reader reads as words; nothing is trained. Who writes, T5 or BART, is in writers.ts.
 */
import { readCheckpoint } from "../../../models/formats/checkpoint.ts";
import { AverageGenerator, type Hypothesis } from "../../../models/generation/average.ts";
import { modelType, seq2Seq } from "../../../models/registry.ts";
import { rowsRemark } from "../../../models/rows.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Evaluation, Outcome } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import type { JsonObject } from "../../../models/training/run-folder.ts";
import type { Benchmark } from "../../benchmark.ts";
import { modelFingerprint } from "../../training/fingerprint.ts";
import { type Method, type Prompter, searched, type Training } from "../method.ts";
import type { Options, OptionsOf, OptionTable } from "../options.ts";
import { readPrompts, TemplatePrompter } from "../shared/templates.ts";
import { SearchedPrompter, type Source } from "./prompter.ts";
import { bartWriter, t5Writer, type WriterOf } from "./writers.ts";

/** What the option is called that names the writer. */
const OPTION = { t5: "t5", bart: "generator" } as const;

const SEARCH = {
  facts: {
    kind: "number",
    value: "N",
    help: "training facts of a relation that a template has to fit, drawn by the seed",
    initial: 32,
    least: 1,
    ceiling: 4096,
    whole: true,
  },
  beam: {
    kind: "number",
    value: "N",
    help: "texts that are pursued side by side; the time grows with facts times beam",
    initial: 100,
    world: 40,
    least: 1,
    ceiling: 1000,
    whole: true,
  },
  steps: {
    kind: "number",
    value: "N",
    help: "the most tokens of a text, with what stands for subject and object",
    initial: 18,
    least: 3,
    ceiling: 200,
    whole: true,
    structural: true,
  },
  choose: {
    kind: "choice",
    value: "BY",
    help: "which text becomes the template: likelihood, the most probable; dev, the most accurate on the dev facts",
    initial: "likelihood",
    choices: ["likelihood", "dev"],
  },
} as const satisfies OptionTable;

type LmBffOptions = OptionsOf<typeof SEARCH>;

/** Tokens that a text is tried to go on with, beside as many as there are beams. */
const SPARE = 3;
/** Pieces of the reader in a template, for each token of the writer. */
const PIECES = 1.5;
/** The purpose of the seed. */
const FACTS = 41;

/** A text that is a template. */
type Candidate = { readonly template: string; readonly logLikelihood: number };

/** Where the search of a relation stands; `step` counts the steps of the beam search and then the candidates that were asked. */
type Stand = {
  readonly step: number;
  readonly hypotheses: readonly Hypothesis[];
  /** Whether it is made among templates alone, as none was found otherwise. */
  readonly again: boolean;
  /** What the dev facts said of the first candidates. */
  readonly dev: readonly Evaluation[];
};

/** The search of one relation. */
class TemplateSearch {
  readonly #prompter: SearchedPrompter;
  readonly #source: Source;
  readonly #training: Training;
  readonly #options: LmBffOptions;
  /** When the step that is running began. */
  #since = performance.now();
  readonly #generator: AverageGenerator;
  /** Steps and candidates, at most. */
  readonly steps: number;
  #stand: Stand = { step: 0, hypotheses: [], again: false, dev: [] };

  constructor(
    prompter: SearchedPrompter,
    source: Source,
    training: Training,
    generator: AverageGenerator,
  ) {
    this.#prompter = prompter;
    this.#source = source;
    this.#training = training;
    this.#options = training.options as LmBffOptions;
    this.#generator = generator;
    const { steps, beam, choose } = this.#options;
    this.steps = steps + (choose === "dev" ? beam : 1);
  }

  async run(): Promise<Outcome> {
    const { folder, resume, identity } = this.#training;
    const saved = resume ? await folder?.loadSearch(identity) : undefined;
    if (saved) this.#stand = saved as unknown as Stand;
    else await folder?.cutLog(-1);
    const [{ id }] = this.#training.relations;
    const candidates = await this.#find();
    const best = candidates && (await this.#choose(candidates));
    const { step } = this.#stand;
    if (!best) return { step, steps: this.steps, finished: false, best: undefined };
    this.#prompter.use(id, best.template);
    return { step: this.steps, steps: this.steps, finished: true, best: best.found };
  }

  /** The templates that are written, best first; undefined when the signal came. */
  async #find(): Promise<readonly Candidate[] | undefined> {
    const { relations } = this.#training;
    const hypotheses = await this.#write();
    if (!hypotheses) return undefined;
    const found = this.#candidates(hypotheses);
    if (found.length > 0) return found;
    if (!this.#stand.again) {
      await this.#save({ step: 0, hypotheses: [], again: true, dev: [] });
      return this.#find();
    }
    throw new Error(
      `[lm-bff] none of the ${hypotheses.length} texts that ${this.#source.where} wrote for ${relations[0].id} is a template that the masked LM can read; use a better generator, or a larger --beam`,
    );
  }

  /** The texts of the beam search; undefined when the signal came. */
  async #write(): Promise<readonly Hypothesis[] | undefined> {
    const { seed, relations, signal } = this.#training;
    const { facts: count, beam, steps } = this.#options;
    const { step, hypotheses, again } = this.#stand;
    if (step >= steps) return hypotheses;
    const facts = new Random(seed, FACTS).shuffled(relations[0].train).slice(0, count);
    const { writer } = this.#source;
    const found = await this.#generator.search(
      facts.map((fact) => writer.source(fact)),
      {
        ...writer.search(facts, { only: again ? steps : undefined }),
        beams: beam,
        steps,
        choices: beam + SPARE,
        from: step === 0 ? undefined : { step, hypotheses },
        signal,
        onStep: (at, kept) =>
          this.#note({ step: at, hypotheses: kept, again, dev: [] }, facts.length),
      },
    );
    if (found) await this.#save({ step: steps, hypotheses: found, again, dev: [] });
    return found;
  }

  /** The templates among the texts, best first, each once. */
  #candidates(hypotheses: readonly Hypothesis[]): readonly Candidate[] {
    const { relations } = this.#training;
    const all = hypotheses.flatMap(({ ids, logLikelihood }) => {
      const template = this.#source.writer.template(ids);
      return template === undefined ? [] : [{ template, logLikelihood }];
    });
    const once = all.filter(
      ({ template }, i) => all.findIndex((other) => other.template === template) === i,
    );
    return once.filter(({ template }) => this.#prompter.fits(relations[0], template));
  }

  /** The candidate that becomes the template; undefined when the signal came. */
  async #choose(
    candidates: readonly Candidate[],
  ): Promise<{ template: string; found: Outcome["best"] } | undefined> {
    const { relations, folder, device, onEvaluation } = this.#training;
    const { steps, choose } = this.#options;
    const [{ id }] = relations;
    const asked = choose === "dev" ? candidates : candidates.slice(0, 1);
    for (const { template } of asked.slice(this.#stand.dev.length)) {
      this.#prompter.use(id, template);
      const evaluation = await this.#training.evaluate();
      if (!evaluation) return undefined;
      const { dev } = this.#stand;
      const next = { ...this.#stand, step: steps + dev.length + 1, dev: [...dev, evaluation] };
      await this.#note(next, relations[0].dev.length);
    }
    const { dev } = this.#stand;
    const score = highest(dev);
    const at = dev.findIndex((one) => one.score === score); // of equal ones the most probable
    const { template, logLikelihood } = asked[at];
    if (!folder) return { template, found: { step: this.steps, score } };
    await folder.writeJson(
      "candidates.json",
      candidates.map((one, i) => ({
        ...one,
        ...(dev[i] === undefined ? {} : { dev: dev[i].score }),
      })),
    );
    const row = {
      step: this.steps,
      epoch: 0,
      logLikelihood,
      candidates: candidates.length,
      again: this.#stand.again,
      ...dev[at].figures,
      best: true,
    };
    await folder.cutLog(-1);
    await folder.appendLog(row);
    onEvaluation?.(row);
    const own = { ...this.#prompter.benchmark, relations };
    await new TemplatePrompter(own, new Map([[id, template]])).save(device, folder.best);
    return { template, found: { step: this.steps, score } };
  }

  /** Takes a step into the account. */
  async #note(stand: Stand, items: number): Promise<void> {
    const since = this.#since;
    this.#since = performance.now();
    await this.#save(stand);
    const { step, hypotheses, dev } = stand;
    this.#training.onStep?.({
      ...searched(since, step),
      steps: this.steps,
      items,
      terms: {
        "log-likelihood": hypotheses[0]?.logLikelihood ?? 0,
        ...(dev.length === 0 ? {} : { "best dev": highest(dev) }),
      },
    });
  }

  async #save(stand: Stand): Promise<void> {
    this.#stand = stand;
    const { folder, identity } = this.#training;
    await folder?.saveSearch({ ...stand, steps: this.steps } as unknown as JsonObject, identity);
  }
}

const highest = (dev: readonly Evaluation[]): number => Math.max(...dev.map(({ score }) => score));

/** One for each prompter, which keeps its plans from relation to relation. */
const generators = new WeakMap<SearchedPrompter, AverageGenerator>();

async function train(prompter: Prompter, training: Training): Promise<Outcome> {
  if (!(prompter instanceof SearchedPrompter) || !prompter.source) {
    throw new Error("[lm-bff] a saved prompter writes no templates; open one without it");
  }
  const generator =
    generators.get(prompter) ?? new AverageGenerator(training.device, prompter.source.lm);
  generators.set(prompter, generator);
  return new TemplateSearch(prompter, prompter.source, training, generator).run();
}

/** What may write, by its method. */
type Kind = {
  readonly name: string;
  readonly summary: string;
  readonly row: string;
  readonly help: string;
  /** Its model_type, which is what the world calls its own. */
  readonly type: "t5" | "bart";
  readonly writer: WriterOf;
  readonly choices: JsonObject;
};

async function sourceOf({ name, type, writer }: Kind, where: string): Promise<Source> {
  const checkpoint = await readCheckpoint(where);
  const given = modelType(checkpoint);
  if (given !== type) {
    const [wanted, other] = type === "t5" ? ["T5", BART] : ["BART", T5];
    const remedy = given === other.type ? `, or use --method ${other.name}` : "";
    throw new Error(
      `[${name}] --${OPTION[type]}: ${where} has the model_type ${JSON.stringify(given ?? null)}, and templates are written by a ${wanted} here; name one${remedy}`,
    );
  }
  const tokenizer = await loadTokenizer(where);
  const lm = seq2Seq(checkpoint);
  const without = rowsRemark(tokenizer, lm.vocabularySize, where);
  return {
    where,
    option: OPTION[type],
    lm,
    writer: writer(lm, tokenizer, where),
    fingerprint: await modelFingerprint(checkpoint, where),
    remarks: [...lm.weights.remarks, ...(without === undefined ? [] : [without])],
  };
}

const methodOf = (kind: Kind): Method => ({
  name: kind.name,
  summary: kind.summary,
  scope: "relation",
  options: {
    [OPTION[kind.type]]: {
      kind: "model",
      value: "DIR or NAME",
      help: kind.help,
      initial: "world",
      structural: true,
      embedded: kind.type,
    },
    ...SEARCH,
  },
  choices: {
    ...kind.choices,
    selection: "of the texts that are kept after the last step, by choose",
    unfinished: "a text that has not ended after the last step may be the template",
    again:
      "where none of the texts is a template, the search is made again and no text may become anything else",
    fit: `a text is passed over that has more than ${PIECES} pieces of the masked LM for each step, or makes a fact longer than its positions`,
  },
  prompts: "words",
  row: ({ choose }) => (choose === "dev" ? `${kind.row}, best on dev` : kind.row),
  async open(benchmark: Benchmark, options: LmBffOptions & Options, saved?: string) {
    const pieces = Math.ceil(PIECES * options.steps);
    if (saved === undefined) {
      const source = await sourceOf(kind, String(options[OPTION[kind.type]]));
      return new SearchedPrompter(benchmark, source, pieces);
    }
    const prompter = new SearchedPrompter(benchmark, undefined, pieces);
    for (const [id, template] of await readPrompts(saved)) prompter.use(id, template);
    return prompter;
  },
  train,
});

const T5: Kind = {
  name: "lm-bff",
  summary:
    "templates that a T5 writes for some training facts at once, one a relation (Gao et al., 2021)",
  row: "Gao et al. (2021)",
  help: "T5 checkpoint that writes the templates, with its own tokenizer: a directory, or a name on the Hugging Face Hub; the published search took google-t5/t5-3b",
  type: "t5",
  writer: t5Writer,
  choices: {
    input: "subject <extra_id_0> object <extra_id_1>, without </s>",
    first:
      "any token may be the first; a text without both sentinels, in their order, is no template",
  },
};

const BART: Kind = {
  name: "lm-bff-bart",
  summary: "the search of lm-bff, where only a BART is at hand",
  row: "Gao et al. with BART",
  help: "BART checkpoint that writes the templates: a directory, or a name on the Hugging Face Hub as facebook/bart-large",
  type: "bart",
  writer: bartWriter,
  choices: {
    input: "<s> subject <mask> object <mask> </s>",
    copies:
      "the decoder has read </s> <s> subject before the first part, and the object before the second",
    object:
      "that the object follows is one more choice of the first part: its logit is the mean of those of each fact's own first piece, and the softmax is over the vocabulary and it",
  },
};

export const lmBff = methodOf(T5);
export const lmBffBart = methodOf(BART);
