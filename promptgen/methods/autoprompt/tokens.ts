/** Tokens as triggers: which of the reader's may be some, and how they are spelled as a template. */
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Benchmark } from "../../benchmark.ts";
import type { Relation } from "../../facts/facts.ts";

/**
 * u32 [vocab_size]: 1 for each token that may be a trigger. Without `filtered` all that have a name; with it no object of the
 * relation's training facts, no special token, and none of several characters of which the first is upper case.
 * @throws one sentence where no token is left
 */
export function allowedTriggers(
  { tokenizer, reader }: Pick<Benchmark, "tokenizer" | "reader">,
  { id: relation, train }: Pick<Relation, "id" | "train">,
  filtered: boolean,
): Uint32Array<ArrayBuffer> {
  const allowed = new Uint32Array(reader.lm.vocabularySize);
  const objects = new Set(train.map(({ object }) => object));
  for (const id of tokenizer.vocabulary.values()) {
    if (id >= allowed.length || tokenizer.token(id) === "") continue;
    const isOut =
      filtered &&
      (tokenizer.isSpecial(id) ||
        isCapitalised(lettersOf(tokenizer, id)) ||
        objects.has(lettersOf(tokenizer, id)) ||
        objects.has(tokenizer.word(id) ?? ""));
    allowed[id] = isOut ? 0 : 1;
  }
  if (!allowed.includes(1)) {
    throw new Error(
      `[autoprompt] the filter leaves no token of the masked LM as a trigger for ${relation}: all are training objects, special or ` +
        "capitalised; use --filter off, or a masked LM with more words",
    );
  }
  return allowed;
}

const isCapitalised = (letters: string): boolean =>
  /^\p{Uppercase}/u.test(letters) && [...letters].length > 1;

/** A token without the mark of a piece that goes on with a word, and without the space of one that begins it. */
function lettersOf(tokenizer: Tokenizer, id: number): string {
  if (tokenizer.kind === "wordpiece") return tokenizer.token(id).replace(/^##(?=.)/, "");
  return tokenizer.decode([id]).trimStart();
}

/**
 * Triggers as a template that can be read as words: tokens behind each other, pieces joined to what stands before them, be it
 * the subject, as prompts of this kind are published.
 */
export function templateOf(tokenizer: Tokenizer, triggers: readonly number[]): string {
  const joined =
    tokenizer.kind === "wordpiece"
      ? triggers
          .map((id) => ` ${tokenizer.token(id)}`)
          .map((token) => token.replace(/^ ##(?=.)/, ""))
          .join("")
      : tokenizer.decode(triggers);
  return `[X]${joined} [Y] .`;
}
