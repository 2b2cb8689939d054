/**
 * The words that the generator may write and the masked LM can read.
 *
 * Word w is common when the generator has the token `Ġw` (a word after a space) and the masked LM a
 * token for the same whole word: BERT's `w`, RoBERTa's `Ġw`. The pairing is one-to-one: a token spells
 * one word, and each vocabulary lists a token once. The last entry pairs BART's `</s>`, which ends a
 * segment of the prompt, with what ends a text for the masked LM, [SEP] or `</s>`.
 */
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";

/** Class c of the generator's softmax is its token `generator[c]`, the reader's token `reader[c]`, and spelled `words[c]`. */
export type CommonVocabulary = {
  /** Number of classes C: the pairs, then the end. */
  readonly size: number;
  /** Index of `</s>` with [SEP] or `</s>`: the last. */
  readonly end: number;
  /** Ids of the generator, [C], ascending but for the last. */
  readonly generator: Uint32Array<ArrayBuffer>;
  /** Ids of the reader, [C]. */
  readonly reader: Uint32Array<ArrayBuffer>;
  readonly words: readonly string[];
};

/**
 * Pairs the two vocabularies. Throws when they share no word.
 *
 * @param rows of each model's table of words: ids beyond them are no words of it
 * @param without ids of the reader that no class may have
 */
export function pairVocabularies(
  generator: Tokenizer,
  reader: Tokenizer,
  rows = { generator: generator.size, reader: reader.size },
  without: ReadonlySet<number> = new Set(),
): CommonVocabulary {
  const found: { generator: number; reader: number; word: string }[] = [];
  for (const id of generator.vocabulary.values()) {
    const word = generator.word(id);
    const piece = word === undefined ? undefined : reader.wordIdOrUndefined(word);
    if (word === undefined || piece === undefined) continue;
    if (id < rows.generator && piece < rows.reader)
      found.push({ generator: id, reader: piece, word });
  }
  if (found.length === 0) {
    throw new Error(
      `[vocabulary] none of ${generator.size} generator tokens is a word of the masked LM's ${reader.size}; ` +
        "use a BART whose words follow a space (Ġword) and a masked LM of the same language and case",
    );
  }
  const pairs = found.filter((pair) => !without.has(pair.reader));
  if (pairs.length === 0) {
    throw new Error(
      `[vocabulary] all ${found.length} common words are objects, and none is left to write; use --vocabulary common`,
    );
  }
  pairs.sort((a, b) => a.generator - b.generator);
  pairs.push({
    generator: generator.eos,
    reader: reader.sep,
    word: generator.token(generator.eos),
  });
  return {
    size: pairs.length,
    end: pairs.length - 1,
    generator: Uint32Array.from(pairs, (pair) => pair.generator),
    reader: Uint32Array.from(pairs, (pair) => pair.reader),
    words: pairs.map((pair) => pair.word),
  };
}
