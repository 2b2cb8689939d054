/** Runs written as strings of marks, for the tests of what is computed from facts. */
import type { FactAnswer, FactRow } from "../../../promptgen/report/fact-rows.ts";
import type { RelationRow } from "../../../promptgen/report/relations.ts";
import type { RowRun } from "../../../promptgen/report/rows.ts";

export const RELATIONS: readonly RelationRow[] = [
  { id: "A", label: "label of A", type: "1-1", facts: 4 },
  { id: "B", label: "label of B", type: "N-1", facts: 2 },
  { id: "C", label: "label of C", type: "N-1", facts: 1 },
];

/** By relation, a mark for each fact: 1 right, 0 wrong, x wrong and far from right. */
export type Marks = Readonly<Record<string, string>>;

export const answers = (right: boolean, rank: number): FactAnswer => ({
  subject: "own",
  answer: right ? "it" : "another",
  right,
  rank: right ? 1 : rank,
  logP: -1,
});

/** @param fillers marks of the same facts with something else for the subject, by its name */
export function run(
  seed: number | undefined,
  marks: Marks,
  fillers: Readonly<Record<string, Marks>> = {},
): RowRun {
  const facts = Object.entries(marks).flatMap(([relation, own]) =>
    [...own].map((mark, i): FactRow => {
      const others = Object.entries(fillers).map(([name, theirs]) => [
        name,
        answers(theirs[relation][i] === "1", 2),
      ]);
      return {
        relation,
        subject: `${relation}${i}`,
        object: `o${i % 3}`,
        prompt: "[X] [Y]",
        own: answers(mark === "1", mark === "x" ? 10 * (i + 2) : i + 2),
        top: [],
        fillers: Object.fromEntries(others),
      };
    }),
  );
  return { facts, ...(seed === undefined ? {} : { seed }) };
}
