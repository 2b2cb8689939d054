/**
 * The names that stood here before scores and tables went apart, for the commands that still use them; a result is
 * named by `method` there. It holds nothing of its own and goes with its last caller.
 */
import type { Scores } from "../scores.ts";
import { report as printed } from "./paper-tables.ts";
import type { RelationRow } from "./relations.ts";

export { type Means, means, type Score, type Scores, typesOf } from "../scores.ts";
export { majorityObject, majorityScores } from "./majority.ts";
export { isPaperBenchmark } from "./paper-tables.ts";
export { type RelationRow, relationRows } from "./relations.ts";

export type Result = {
  readonly method: string;
  readonly alpha?: number;
  readonly scores: Scores;
  readonly none?: Scores;
};

export function report(relations: readonly RelationRow[], results: readonly Result[]): string {
  return printed(
    relations,
    results.map(({ method, ...rest }) => ({ row: method, ...rest })),
  );
}
