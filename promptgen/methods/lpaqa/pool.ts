/** The templates that a search chooses among, and how they stand on the training facts. */

import type { Benchmark } from "../../benchmark.ts";
import { type Candidates, loadCandidates, loadPatternCandidates } from "../../facts/candidates.ts";
import { textFingerprint } from "../../training/fingerprint.ts";
import { searched, type Training } from "../method.ts";
import type { OptionsOf, OptionTable } from "../options.ts";
import { filled } from "../shared/templates.ts";

export const POOL_OPTIONS = {
  candidates: {
    kind: "folder",
    value: "DIR",
    help: "templates to choose among, in LPAQA's layout: prompt/{mine,paraphrase}/P17.jsonl, prompt/manual_paraphrase/P17.txt",
    initial: "world",
    embedded: "data",
    structural: true,
  },
} as const satisfies OptionTable;

export type PoolOptions = OptionsOf<typeof POOL_OPTIONS>;

/** Candidates by relation, what a run notices a change by, and sentences about how they were read. */
export type Pool = Candidates & { readonly contents: Readonly<Record<string, string>> };

/**
 * Reads LPAQA's candidates, or with "patterns" the sentences of pre-training.
 * @param saved what is saved asks with what was chosen, and there is nothing to choose among
 */
export async function openPool(
  benchmark: Benchmark,
  candidates: string,
  from: "candidates" | "pool",
  saved?: string,
): Promise<Pool> {
  if (saved !== undefined) return { templates: new Map(), remarks: [], contents: {} };
  const { data, relations } = benchmark;
  const problem = (template: string) => problemOf(benchmark, template);
  const found =
    from === "pool"
      ? await loadPatternCandidates(data, relations, problem)
      : await loadCandidates(candidates, relations, problem);
  return { ...found, contents: { [from]: textFingerprint(JSON.stringify([...found.templates])) } };
}

/** Why the reader cannot be asked with a template. */
function problemOf(benchmark: Benchmark, template: string): string | undefined {
  const { tokenizer } = benchmark;
  const mask = tokenizer.token(tokenizer.mask);
  if (template.includes(mask)) return `holds ${mask}, which the masked LM fills; write [Y] alone`;
  const count = filled(benchmark, template, "").ids.length;
  const most = longestTemplate(benchmark);
  return count > most
    ? `has ${count} tokens, more than ${most}, which is half of what the masked LM reads; shorten it`
    : undefined;
}

/** Tokens that a candidate may have without its subject. */
const longestTemplate = ({ reader }: Benchmark): number => Math.floor(reader.lm.positions / 2);

/** Places that are left for a subject, whichever candidate stands around it; any that could, where none is there. */
export function subjectLimit(benchmark: Benchmark, { templates }: Pool): number {
  if (templates.size === 0) return benchmark.reader.lm.positions - longestTemplate(benchmark);
  const own = [...templates.values()].flat().map((one) => filled(benchmark, one, "").ids.length);
  return benchmark.reader.lm.positions - own.reduce((most, length) => Math.max(most, length), 0);
}

/** What a question is put into a bucket by: its longest subject, for the templates around it change. */
export const subjectWidth = (
  { encode }: Pick<Benchmark, "encode">,
  subjects: readonly string[],
): number => subjects.reduce((most, text) => Math.max(most, encode(text).length), 1);

/** Widths are multiples of this, so that a few plans serve templates of any length. */
const STEP = 8;

/** The width of a batch whose longest question has `longest` tokens. */
export function questionWidth({ reader }: Pick<Benchmark, "reader">, longest: number): number {
  const { positions } = reader.lm;
  if (longest <= positions) return Math.min(positions, Math.ceil(longest / STEP) * STEP);
  throw new Error(
    `[candidates] a question has ${longest} tokens and the masked LM reads ${positions}; shorten the longest candidates`,
  );
}

/** Where a search stands: training accuracies of the first candidates. */
export type Search = {
  readonly accuracies: readonly number[];
  /** All candidates were scored; the signal did not come. */
  readonly finished: boolean;
  /** What came after the scoring, where a run that goes on has done that too. */
  readonly best: { readonly step: number; readonly score: number } | undefined;
};

/**
 * Asks the training facts with each candidate. Where the search stands is saved after each, and gone on with.
 * @param use makes a template the one that is asked with
 * @param more steps that come after it, for those who watch
 */
export async function scoreCandidates(
  templates: readonly string[],
  training: Training,
  use: (template: string) => void,
  more = 0,
): Promise<Search> {
  const { folder, identity, relations, resume, signal } = training;
  const steps = templates.length;
  if (steps === 0) {
    throw new Error("[candidates] a saved prompter has none to choose among; open one without it");
  }
  const saved = resume ? await folder?.loadSearch(identity, training.earlier) : undefined;
  const { accuracies, best } = standOf(saved, steps, folder?.search);
  const items = relations.reduce((sum, { train }) => sum + train.length, 0);
  while (accuracies.length < steps) {
    if (signal?.aborted) return { accuracies, finished: false, best };
    use(templates[accuracies.length]);
    const start = performance.now();
    const found = await training.evaluate("train");
    if (!found) return { accuracies, finished: false, best };
    accuracies.push(found.score);
    const step = accuracies.length;
    await folder?.saveSearch({ step, steps, accuracies, best: null }, identity);
    training.onStep?.({
      ...searched(start, step),
      steps: steps + more,
      items,
      terms: { accuracy: found.score },
    });
  }
  return { accuracies, finished: true, best };
}

/** What search.json says; nothing for a search that begins. */
function standOf(
  saved: Readonly<Record<string, unknown>> | undefined,
  steps: number,
  path = "",
): { accuracies: number[]; best: Search["best"] } {
  if (saved === undefined) return { accuracies: [], best: undefined };
  const { accuracies, best } = saved;
  const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
  const { step, score } = Object(best);
  const fits =
    Array.isArray(accuracies) &&
    accuracies.length <= steps &&
    accuracies.every(isNumber) &&
    (best === null || (accuracies.length === steps && step === steps && isNumber(score)));
  if (fits) return { accuracies, best: best === null ? undefined : { step, score } };
  throw new Error(
    `[resume] ${path} does not give the training accuracies of ${steps} candidates; start another run`,
  );
}

/** Places of the best `count`, the best first; of equal ones the earlier. */
export const bestOf = (accuracies: readonly number[], count: number): number[] =>
  accuracies
    .map((_, i) => i)
    .sort((a, b) => accuracies[b] - accuracies[a] || a - b)
    .slice(0, count);
