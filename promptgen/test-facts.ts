/** The test facts of a run: asked with every filler of the audit, counted, and as the rows of facts.jsonl. */
import type { Device } from "../engine/device.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { type AuditedFact, Auditor } from "./audit.ts";
import { itemsOf } from "./benchmark.ts";
import type { Measured, MeasureOptions } from "./measure.ts";
import type { Prompter } from "./methods/method.ts";
import {
  type FactAnswer,
  type FactFigures,
  type FactRow,
  factFigures,
  factScores,
  fillersOf,
} from "./report/fact-rows.ts";
import { askedAtOnce, type Prepared } from "./run.ts";
import type { Scores } from "./scores.ts";

/** What a run's prompter answered about the test facts. */
export type TestFacts = {
  /** With the own subject and with "None". */
  readonly measured: Measured;
  /** In the order of the facts. */
  readonly facts: readonly AuditedFact[];
  readonly rows: readonly FactRow[];
  /** Sentences about what was not asked. */
  readonly remarks: readonly string[];
};

/** Asks the test facts of runs that share a prompter. */
export class TestAsker {
  readonly #benchmark: Prepared["benchmark"];
  readonly #auditor: Auditor;

  constructor(
    device: Device,
    run: Pick<Prepared, "benchmark" | "prompter" | "buckets">,
    batchSize = 32,
  ) {
    this.#benchmark = run.benchmark;
    this.#auditor = new Auditor(device, run, batchSize);
  }

  /** For a run whose best prompter is this one. */
  static ofRun(device: Device, run: Prepared, prompter: Prompter): TestAsker {
    return new TestAsker(device, { ...run, prompter }, askedAtOnce(run, "test"));
  }

  /** @returns undefined when the signal came */
  async ask(seed: number, options: MeasureOptions = {}): Promise<TestFacts | undefined> {
    const { relations, tokenizer } = this.#benchmark;
    const audited = await this.#auditor.ask(itemsOf(relations, "test"), seed, options);
    if (!audited) return undefined;
    return { ...audited, rows: audited.facts.map((fact) => rowOf(fact, tokenizer)) };
  }
}

function rowOf(
  { item, prompt, answers, top, fillers, figures }: AuditedFact,
  tokenizer: Tokenizer,
): FactRow {
  const { relation, fact } = item;
  const word = (id: number) => tokenizer.word(id) ?? tokenizer.token(id);
  const answered = (subject: string, { id, right, rank, logP }: (typeof answers)[number]) => ({
    subject,
    answer: word(id),
    right,
    rank,
    // that of a sure answer may be a little more than nothing, or -0
    logP: logP < 0 ? logP : 0,
  });
  const others = [...fillers].map(([name, { subject, answer }]): [string, FactAnswer] => [
    name,
    answered(subject, answer),
  ]);
  return {
    relation: relation.id,
    subject: fact.subject,
    object: fact.object,
    prompt,
    own: answered(fact.subject, answers[0]),
    // a probability of -1 fills the list where there are fewer answer words
    top: top[0]
      .filter(({ probability }) => probability >= 0)
      .map(({ id, probability }) => [word(id), probability] as const),
    fillers: Object.fromEntries(others),
    ...(figures === undefined ? {} : { figures }),
  };
}

/** A row of results.json from the facts. */
export function resultsOfFacts(rows: readonly FactRow[]): {
  readonly own: Scores;
  readonly fillers: Readonly<Record<string, Scores>>;
  readonly figures: FactFigures;
} {
  const fillers = fillersOf(rows).map((name) => [name, factScores(rows, name)]);
  return {
    own: factScores(rows),
    fillers: Object.fromEntries(fillers),
    figures: factFigures(rows),
  };
}
