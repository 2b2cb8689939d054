/**
 * What a finished run prints: accuracies side by side, and prompts in words.
 *
 * It knows a system and what was asked of it, and leaves the layout to the report.
 */
import type { Relation } from "../../promptgen/facts/facts.ts";
import type { Item, System } from "../../promptgen/methods/promptgen/system.ts";
import type { Candidate, Explained } from "../../promptgen/probe.ts";
import {
  type ComparisonColumn,
  comparison as compared,
} from "../../promptgen/report/comparison.ts";
import { relationRows } from "../../promptgen/report/relations.ts";
import { printTable } from "../../promptgen/report/table.ts";

/** Accuracy in per cent for each relation, and the mean over relations, as text. */
export function comparison(
  relations: readonly Relation[],
  columns: readonly ComparisonColumn[],
): string {
  return printTable(compared(relationRows(relations), columns));
}

/** Aligned columns, the first `left` of them to the left; a rule above the last row. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  left: number,
): string {
  const columns = head.map((title, i) => ({
    head: title,
    align: i < left ? ("left" as const) : ("right" as const),
  }));
  return printTable({ groups: [{ columns }], rows, rules: [rows.length - 1] });
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
