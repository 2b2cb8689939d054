/** What a finished run prints: accuracies side by side, and prompts in words. */
import type { Relation } from "../../promptgen/facts/facts.ts";
import type { Item, System } from "../../promptgen/methods/promptgen/system.ts";
import type { Candidate, Explained } from "../../promptgen/probe.ts";
import { means, type Scores, typesOf } from "../../promptgen/report/report.ts";

/** One column of the table. */
export interface Column {
  readonly title: string;
  readonly scores: Scores;
}

/** Accuracy in per cent for each relation, and the mean over relations. */
export function comparison(relations: readonly Relation[], columns: readonly Column[]): string {
  const types = typesOf(relations);
  const sorted = [...relations].sort(
    (a, b) => types.indexOf(a.type) - types.indexOf(b.type) || (a.id < b.id ? -1 : 1),
  );
  const percent = (scores: Scores, id: string): string => {
    const { correct, total } = scores.get(id) ?? { correct: 0, total: 0 };
    return total === 0 ? "-" : ((100 * correct) / total).toFixed(1);
  };
  const rows = sorted.map(({ id, type, label, test }) => [
    id,
    type,
    label,
    String(test.length),
    ...columns.map(({ scores }) => percent(scores, id)),
  ]);
  const all = columns.map(({ scores }) => means(relations, scores).all.toFixed(1));
  const facts = relations.reduce((sum, { test }) => sum + test.length, 0);
  const head = ["relation", "type", "label", "facts", ...columns.map(({ title }) => title)];
  const last = ["mean", "", "over relations", String(facts), ...all];
  return table(head, [...rows, last], 3);
}

/** Aligned columns, the first `left` of them to the left; a rule above the last row. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  left: number,
): string {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i].length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join("  ")
      .trimEnd();
  const rule = "-".repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [line(head), rule, ...rows.slice(0, -1).map(line), rule, line(rows[rows.length - 1])].join(
    "\n",
  );
}

/** A generated prompt with its answers, three lines. */
export function explanation({ fact, relation }: Item, found: Explained, system: System): string {
  const { vocabulary, tokenizers } = system;
  const word = (c: number): string => vocabulary.words[c];
  const mask = tokenizers.bert.token(tokenizers.bert.mask);
  const answer = (id: number) => tokenizers.bert.word(id) ?? tokenizers.bert.token(id);
  const { before, behind } = found.prompt;
  const prompt = [fact.subject, ...before.map(word), mask, ...behind.map(word)].join(" ");
  const top = (candidates: readonly Candidate[]): string =>
    candidates
      .map(({ id, probability }) => `${answer(id)} ${(100 * probability).toFixed(0)}%`)
      .join(", ");
  const right =
    found.answer === tokenizers.bert.wordId(fact.object) ? "right" : `wrong: ${fact.object}`;
  return [
    `${relation.id} ${relation.label} of ${fact.subject}`,
    `  prompt  ${prompt}`,
    `  answers ${top(found.answers)} (${right})`,
    `  "None"  ${top(found.noneAnswers)}`,
  ].join("\n");
}
