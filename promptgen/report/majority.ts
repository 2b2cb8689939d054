/**
 * The majority baseline: every fact of a relation is answered with its most frequent training object.
 *
 * It knows facts and counts, and asks no model.
 */
import type { Fact, Relation } from "../facts/facts.ts";
import type { Score } from "../scores.ts";

/** The most frequent object; of equally frequent ones the first. Throws for no facts. */
export function majorityObject(facts: readonly Fact[]): string {
  const times = new Map<string, number>();
  for (const { object } of facts) times.set(object, (times.get(object) ?? 0) + 1);
  let best: string | undefined;
  for (const [object, n] of times) if (n > (times.get(best ?? "") ?? 0)) best = object;
  if (best === undefined) throw new Error("[report] no facts, so no most frequent object");
  return best;
}

/** Scores of answering every test fact with the relation's most frequent training object. */
export function majorityScores(relations: readonly Relation[]): Map<string, Score> {
  return new Map(
    relations.map(({ id, train, test }) => {
      const answer = majorityObject(train);
      const correct = test.filter(({ object }) => object === answer).length;
      return [id, { correct, total: test.length }] as const;
    }),
  );
}
