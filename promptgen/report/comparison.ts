/**
 * Accuracies side by side: a row for each relation and their mean, a column for each thing that was asked.
 *
 * It compares any scores with any others and knows no figure of the paper.
 */
import { accuracy, means, type Scores } from "../scores.ts";
import { percent } from "./figures.ts";
import { inTableOrder, type RelationRow } from "./relations.ts";
import type { Table } from "./table.ts";

/** One column of the table. */
export type ComparisonColumn = { readonly title: string; readonly scores: Scores };

/** Accuracy in per cent for each relation, and the mean over relations. */
export function comparison(
  relations: readonly RelationRow[],
  columns: readonly ComparisonColumn[],
): Table {
  const rows = inTableOrder(relations).map(({ id, type, label, facts }) => [
    id,
    type,
    label,
    String(facts),
    ...columns.map(({ scores }) => percent(accuracy(scores.get(id)))),
  ]);
  const facts = relations.reduce((sum, relation) => sum + relation.facts, 0);
  const all = columns.map(({ scores }) => percent(means(relations, scores).all));
  const names = ["relation", "type", "label"].map((head) => ({ head, align: "left" }) as const);
  const figures = ["facts", ...columns.map(({ title }) => title)];
  return {
    groups: [
      { columns: [...names, ...figures.map((head) => ({ head, align: "right" }) as const)] },
    ],
    rows: [...rows, ["mean", "", "over relations", String(facts), ...all]],
    rules: [rows.length],
  };
}
