/**
 * The words that the generator may write and the masked LM can read.
 *
 * Word w is common when the generator has the token `Ġw` (a word after a space) and the masked LM a
 * token for the same whole word: BERT's `w`, RoBERTa's `Ġw`. The pairing is one-to-one: a token spells
 * one word, and each vocabulary lists a token once. The last entry pairs BART's `</s>`, which ends a
 * segment of the prompt, with what ends a text for the masked LM, [SEP] or `</s>`.
 */
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";

/**
 * Class c of the generator's softmax is BART's token `bart[c]`, the masked LM's token `bert[c]`, and
 * spelled `words[c]`.
 */
export interface CommonVocabulary {
  /** Number of classes C: the pairs, then the end. */
  size: number;
  /** Index of `</s>` with [SEP] or `</s>`: the last. */
  end: number;
  /** BART ids, [C], ascending but for the last. */
  bart: Uint32Array<ArrayBuffer>;
  /** Ids of the masked LM, [C]. */
  bert: Uint32Array<ArrayBuffer>;
  words: readonly string[];
}

/** Pairs the two vocabularies. Throws when they share no word. */
export function pairVocabularies(bart: Tokenizer, bert: Tokenizer): CommonVocabulary {
  const pairs: { bart: number; bert: number; word: string }[] = [];
  for (const id of bart.vocabulary.values()) {
    const word = bart.word(id);
    const piece = word === undefined ? undefined : bert.wordIdOrUndefined(word);
    if (word !== undefined && piece !== undefined) pairs.push({ bart: id, bert: piece, word });
  }
  if (pairs.length === 0) {
    throw new Error(
      `[vocabulary] none of ${bart.size} generator tokens is a word of the masked LM's ${bert.size}; ` +
        "use a BART whose words follow a space (Ġword) and a masked LM of the same language and case",
    );
  }
  pairs.sort((a, b) => a.bart - b.bart);
  pairs.push({ bart: bart.eos, bert: bert.sep, word: bart.token(bart.eos) });
  return {
    size: pairs.length,
    end: pairs.length - 1,
    bart: Uint32Array.from(pairs, (pair) => pair.bart),
    bert: Uint32Array.from(pairs, (pair) => pair.bert),
    words: pairs.map((pair) => pair.word),
  };
}

/**
 * Ids of the words that an answer is chosen from, and the words that are not one token of the
 * masked LM.
 */
export interface CommonWords {
  /** Ids of the masked LM, [W], in the order of the words. */
  ids: Uint32Array<ArrayBuffer>;
  missing: string[];
  /** One line about the missing ones; empty when there are none. */
  message: string;
}

/** The argmax set of the benchmark, as ids of `bert`. Throws when no word is a token. */
export function commonWordIds(bert: Tokenizer, words: readonly string[]): CommonWords {
  const missing = words.filter((word) => bert.wordIdOrUndefined(word) === undefined);
  const found = words.filter((word) => bert.wordIdOrUndefined(word) !== undefined);
  const shown = missing.slice(0, 8).join(", ");
  const more = missing.length > 8 ? `, and ${missing.length - 8} more` : "";
  const message =
    missing.length === 0
      ? ""
      : `[vocabulary] ${missing.length} of ${words.length} common words are not one token of the masked LM ` +
        `and cannot be answers (${shown}${more})`;
  if (found.length === 0) {
    throw new Error(`${message || "[vocabulary] there are no common words"}; no answer is left`);
  }
  return { ids: Uint32Array.from(found, (word) => bert.wordId(word)), missing, message };
}
