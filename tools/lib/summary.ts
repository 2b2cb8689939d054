/** What a finished run prints of single facts. */
import type { Benchmark } from "../../promptgen/benchmark.ts";
import type { Candidate, Explained } from "../../promptgen/measure.ts";
import { visible } from "../../promptgen/report/table.ts";

/**
 * A prompt with its answers, four lines.
 * @param judged whether the fact's object is known, so that the answer is right or wrong
 */
export function explanation(
  { item, prompt, answers, top }: Explained,
  { tokenizer }: Pick<Benchmark, "tokenizer">,
  judged = true,
): string {
  const { fact, relation } = item;
  const answer = (id: number) => tokenizer.word(id) ?? tokenizer.token(id);
  const inWords = prompt.replace(/\[[XY]\]/g, (slot) =>
    slot === "[X]" ? fact.subject : tokenizer.token(tokenizer.mask),
  );
  const shown = (candidates: readonly Candidate[]): string =>
    candidates
      .map(({ id, probability }) => `${answer(id)} ${(100 * probability).toFixed(0)}%`)
      .join(", ");
  const right = answers[0].right ? " (right)" : ` (wrong: ${fact.object})`;
  return [
    `${relation.id} ${relation.label} of ${fact.subject}`,
    `  prompt  ${inWords}`,
    `  answers ${shown(top[0])}${judged ? right : ""}`,
    `  "None"  ${shown(top[1])}`,
  ]
    .map(visible)
    .join("\n");
}
