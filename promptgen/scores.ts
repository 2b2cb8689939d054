/**
 * The arithmetic of scores: counts of right answers by relation, their means, sums over runs, the spread over seeds.
 *
 * It knows relations by id and type only: no files, no models, no tables. All figures are per cent.
 */

/** Answers counted on one relation. */
export type Score = { readonly correct: number; readonly total: number };

/** Scores by relation id. */
export type Scores = ReadonlyMap<string, Score>;

/**
 * Means over relations, not over facts: those of each type, and of all (the paper's "All" is the mean of 41
 * accuracies). `pooled` is the share of right answers among all facts.
 */
export type Means = {
  readonly types: ReadonlyMap<string, number>;
  readonly all: number;
  readonly pooled: number;
};

/** A mean with the sample standard deviation (over n - 1), which one value does not have. */
export type Spread = { readonly mean: number; readonly deviation: number | undefined };

const TYPE_ORDER: readonly string[] = ["1-1", "N-1", "N-M"];

/** Share of right answers; undefined when nothing was asked. */
export function accuracy(score: Score | undefined): number | undefined {
  return score === undefined || !(score.total > 0)
    ? undefined
    : (100 * score.correct) / score.total;
}

/** Types in the paper's order, then any others by name. */
export function typesOf(relations: readonly { readonly type: string }[]): string[] {
  const rank = (type: string) =>
    TYPE_ORDER.includes(type) ? TYPE_ORDER.indexOf(type) : TYPE_ORDER.length;
  return [...new Set(relations.map(({ type }) => type))].sort(
    (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1),
  );
}

/** Means of `scores` over `relations`. Throws when a relation has no score or no facts. */
export function means(
  relations: readonly { readonly id: string; readonly type: string }[],
  scores: Scores,
): Means {
  if (relations.length === 0) throw new Error("[scores] there are no relations to average over");
  let correct = 0;
  let total = 0;
  const found = relations.map(({ id, type }) => {
    const score = scores.get(id);
    const share = accuracy(score);
    if (score === undefined || share === undefined) {
      throw new Error(
        `[scores] relation ${id} has no scored fact; score every relation or leave it out`,
      );
    }
    correct += score.correct;
    total += score.total;
    return { type, share };
  });
  const over = (rows: typeof found) =>
    rows.reduce((sum, { share }) => sum + share, 0) / rows.length;
  const types = typesOf(relations).map(
    (type) => [type, over(found.filter((row) => row.type === type))] as const,
  );
  return { types: new Map(types), all: over(found), pooled: (100 * correct) / total };
}

/** Right answers and questions of several runs, added up relation by relation. */
export function added(runs: readonly Scores[]): Scores {
  const sum = new Map<string, Score>();
  for (const [id, { correct, total }] of runs.flatMap((scores) => [...scores])) {
    const before = sum.get(id) ?? { correct: 0, total: 0 };
    sum.set(id, { correct: before.correct + correct, total: before.total + total });
  }
  return sum;
}

/** Throws for no values. */
export function meanAndDeviation(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error("[scores] there are no values to average over");
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length === 1) return { mean, deviation: undefined };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}
