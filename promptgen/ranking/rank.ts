/**
 * Ranks answers: each answer of a relation's space makes a sentence with a fact's subject, and the likeliest sentence is the
 * answer (Wiland et al. 2024). Whatever model gives sentences a likelihood is asked so, and answers may have any length.
 */

import { groupBy } from "../facts/group-by.ts";
import type { Score } from "../scores.ts";
import type { Scorer } from "./scorer.ts";
import { type RankedRelation, statement } from "./statements.ts";

/** How the tokens of a sentence make its score: their sum, its log-likelihood, or their mean, which favours no short answer. */
export const REDUCTIONS = ["sum", "mean"] as const;
export type Reduction = (typeof REDUCTIONS)[number];

/** What a ranking says of a fact. */
export type Place = {
  /** The answer of the highest score, the first of equal ones. */
  readonly answer: string;
  readonly right: boolean;
  /** 1 and the answers that score higher than the fact's own. */
  readonly rank: number;
};

/** One fact asked with one template: a line of a relation's file. */
export type RankRow = {
  readonly relation: string;
  /** Index of the template. */
  readonly template: number;
  readonly prompt: string;
  readonly subject: string;
  readonly object: string;
  readonly sum: Place;
  readonly mean: Place;
  /** Sums over the tokens of each answer's sentence, in the order of the answer space. */
  readonly scores: readonly number[];
  /** How many tokens each sentence has; score / tokens is its mean. */
  readonly tokens: readonly number[];
};

export type RankOptions = {
  /** Indices of the templates; all where left out. */
  readonly templates?: readonly number[] | undefined;
  /** Only so many of the first facts. */
  readonly limit?: number | undefined;
  /** Told after some facts how many sentences were scored since the last time. */
  readonly onScored?: ((sentences: number) => void) | undefined;
  /** Ends the work between two facts with its reason. */
  readonly signal?: AbortSignal | undefined;
};

/** Sentences that are scored together, so that their rows fill batches. */
const TOGETHER = 256;

/** Where the fact's own answer stands among all. */
export function placeOf(answers: readonly string[], scores: readonly number[], own: number): Place {
  const best = scores.reduce((most, score, i) => (score > scores[most] ? i : most), 0);
  const above = scores.filter((score) => score > scores[own]).length;
  return { answer: answers[best], right: best === own, rank: above + 1 };
}

/** Six digits behind the point are more than f32 holds. */
const rounded = (value: number): number => Number(value.toFixed(6));

/** How many sentences a relation has. */
export const sentencesOf = (
  { templates, answers, facts }: RankedRelation,
  { templates: chosen, limit = facts.length }: RankOptions = {},
): number => (chosen?.length ?? templates.length) * Math.min(limit, facts.length) * answers.length;

/**
 * Asks each fact of a relation with each template, template by template. The sentences of a few facts are held at a time.
 * @throws what `signal` was aborted with
 */
export async function rankRelation(
  scorer: Scorer,
  relation: RankedRelation,
  { templates: chosen, limit, onScored, signal }: RankOptions = {},
): Promise<RankRow[]> {
  const { id, answers, templates } = relation;
  const facts = relation.facts.slice(0, limit);
  const rows: RankRow[] = [];
  const together = Math.max(1, Math.ceil(TOGETHER / answers.length));
  for (const template of chosen ?? templates.keys()) {
    const prompt = templates[template];
    for (let start = 0; start < facts.length; start += together) {
      signal?.throwIfAborted();
      const own = facts.slice(start, start + together);
      const sentences = own.flatMap(({ subject }) =>
        answers.map((answer) => statement(relation, prompt, subject, answer)),
      );
      const found = await scorer.tokenScores(sentences);
      const sums = found.map((values) => values.reduce((a, b) => a + b, 0));
      for (const [i, { subject, object, answer }] of own.entries()) {
        const [from, to] = [i * answers.length, (i + 1) * answers.length];
        const scores = sums.slice(from, to);
        const tokens = found.slice(from, to).map(({ length }) => length);
        const means = scores.map((score, j) => score / tokens[j]);
        rows.push({
          relation: id,
          template,
          prompt,
          subject,
          object,
          sum: placeOf(answers, scores, answer),
          mean: placeOf(answers, means, answer),
          scores: scores.map(rounded),
          tokens,
        });
      }
      onScored?.(sentences.length);
    }
  }
  return rows;
}

/** Right answers of a relation by template, in the order of the templates. */
export function rankScores(rows: readonly RankRow[], reduction: Reduction): Map<number, Score> {
  const byTemplate = [...groupBy(rows, ({ template }) => template)].sort(([a], [b]) => a - b);
  return new Map(
    byTemplate.map(([template, own]) => {
      const correct = own.filter((row) => row[reduction].right).length;
      return [template, { correct, total: own.length }];
    }),
  );
}
