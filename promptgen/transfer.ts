/**
 * Prompts asked of another reader: each fact with the words that were its prompt when the run asked its own. They come from facts.jsonl,
 * so that neither the run's reader nor its prompter is needed.
 */
import type { Device } from "../engine/device.ts";
import { widestQuestion } from "./audit.ts";
import { type Benchmark, type Item, itemsOf } from "./benchmark.ts";
import type { Relation } from "./facts/facts.ts";
import { checkTemplate } from "./facts/templates.ts";
import { bucketsOf, type MeasureOptions } from "./measure.ts";
import { TemplatePrompter } from "./methods/shared/templates.ts";
import type { FactRow } from "./report/fact-rows.ts";
import { TestAsker, type TestFacts } from "./test-facts.ts";

/** A template for each fact. */
class FactTemplates extends TemplatePrompter {
  readonly #prompts: ReadonlyMap<string, string>;

  constructor(benchmark: Benchmark, rows: readonly FactRow[]) {
    super(benchmark, new Map(benchmark.relations.map(({ id, template }) => [id, template])));
    this.#prompts = new Map(rows.map((row) => [keyOf(row), checkTemplate(row.prompt, "facts")]));
  }

  has(item: Item): boolean {
    return this.#prompts.has(keyOfItem(item));
  }

  protected override template(item: Item): string {
    return this.#prompts.get(keyOfItem(item)) ?? super.template(item);
  }
}

type Key = Pick<FactRow, "relation" | "subject" | "object">;

const keyOf = ({ relation, subject, object }: Key): string =>
  JSON.stringify([relation, subject, object]);

const keyOfItem = ({ relation, fact }: Item): string => keyOf({ relation: relation.id, ...fact });

/** What another reader answered. */
export type Transferred = {
  /** Those that it was asked about, with the test facts that it was asked. */
  readonly relations: readonly Relation[];
  /** What the run's own reader had answered to the same facts, in the same order. */
  readonly before: readonly FactRow[];
  readonly asked: TestFacts;
  /** How many facts of the run were asked, and why not the others. */
  readonly counts: string;
};

/**
 * Asks the facts of a run that the benchmark's reader can be asked: whose object is one token of it and whose question is not too long.
 * @param rows what the run's own reader answered
 * @returns undefined when the signal came
 * @throws one sentence where there is no such fact
 */
export async function transfer(
  device: Device,
  benchmark: Benchmark,
  rows: readonly FactRow[],
  seed: number,
  options: MeasureOptions = {},
): Promise<Transferred | undefined> {
  const prompter = new FactTemplates(benchmark, rows);
  const widest = widestQuestion({ benchmark, prompter });
  const own = itemsOf(benchmark.relations, "test").filter((item) => prompter.has(item));
  const fits = own.filter((item) => widest(item) <= prompter.limit);
  const kept = new Set(fits.map(({ fact }) => fact));
  const reasons: [count: number, what: string][] = [
    [rows.length - own.length, "of an object that is not one token of it"],
    [own.length - kept.size, "too long for its positions"],
  ];
  const gone = reasons.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const counts = `[transfer] ${kept.size} of ${rows.length} facts can be asked of the other masked LM${gone.length === 0 ? "" : `; not asked: ${gone.join(", ")}`}`;
  if (kept.size === 0) {
    throw new Error(
      `${counts}; name a masked LM whose vocabulary has the objects as they are written`,
    );
  }
  const relations = benchmark.relations
    .map((relation) => ({ ...relation, test: relation.test.filter((fact) => kept.has(fact)) }))
    .filter(({ test }) => test.length > 0);
  const buckets = bucketsOf(prompter, itemsOf(relations, "test"));
  const asker = new TestAsker(device, {
    benchmark: { ...benchmark, relations },
    prompter,
    buckets,
  });
  const asked = await asker.ask(seed, options);
  if (!asked) return undefined;
  const known = new Map(rows.map((row) => [keyOf(row), row]));
  const before = asked.rows.flatMap((row) => known.get(keyOf(row)) ?? []);
  return { relations, before, asked, counts };
}
