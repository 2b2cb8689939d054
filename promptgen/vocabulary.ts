/**
 * The words that BART may write and BERT can read.
 *
 * Word w is common when BART has the token `Ġw` (a word after a space) and BERT the token `w` (a
 * whole word). The pairing is one-to-one: BART's bytes spell one string, and each vocabulary lists
 * a token once. The last entry pairs BART's `</s>`, which ends a segment of the prompt, with BERT's
 * [SEP].
 */
import type { Tokenizer } from "../models/tokenizer.ts";

/**
 * Class c of the generator's softmax is BART's token `bart[c]`, BERT's token `bert[c]`, and spelled
 * `words[c]`.
 */
export interface CommonVocabulary {
  /** Number of classes C: the pairs, then the end. */
  size: number;
  /** Index of `</s>` / [SEP]: the last. */
  end: number;
  /** BART ids, [C], ascending but for the last. */
  bart: Uint32Array<ArrayBuffer>;
  /** BERT ids, [C]. */
  bert: Uint32Array<ArrayBuffer>;
  words: readonly string[];
}

/** Pairs the two vocabularies. Throws when they share no word. */
export function pairVocabularies(bart: Tokenizer, bert: Tokenizer): CommonVocabulary {
  const special = new Set([bert.cls, bert.sep, bert.mask, bert.pad, bert.unk]);
  const pairs: { bart: number; bert: number; word: string }[] = [];
  for (const [token, id] of bart.vocabulary) {
    if (!token.startsWith("Ġ")) continue;
    const word = spell(token.slice(1));
    if (word === undefined || word === "" || word.startsWith("##")) continue;
    const piece = bert.idOrUndefined(word);
    if (piece !== undefined && !special.has(piece)) pairs.push({ bart: id, bert: piece, word });
  }
  if (pairs.length === 0) {
    throw new Error(
      `[vocabulary] none of ${bart.size} generator tokens is a word of the masked LM's ${bert.size}; ` +
        "use a BART whose words follow a space (Ġword) and a BERT of the same language and case",
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
  /** BERT ids, [W], in the order of the words. */
  ids: Uint32Array<ArrayBuffer>;
  missing: string[];
  /** One line about the missing ones; empty when there are none. */
  message: string;
}

/** The argmax set of the benchmark, as ids of `bert`. Throws when no word is a token. */
export function commonWordIds(bert: Tokenizer, words: readonly string[]): CommonWords {
  const missing = words.filter((word) => bert.idOrUndefined(word) === undefined);
  const found = words.filter((word) => bert.idOrUndefined(word) !== undefined);
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
  return { ids: Uint32Array.from(found, (word) => bert.id(word)), missing, message };
}

/**
 * Characters of byte-level BPE, by byte. Printable Latin-1 stands for itself; the other 68 bytes
 * (controls, space, soft hyphen) are, in ascending order, the code points from 256 on.
 */
const BYTE_OF = new Map<string, number>();
{
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    BYTE_OF.set(String.fromCharCode(printable ? byte : next++), byte);
  }
}

/**
 * The string that a byte-level token spells, or undefined when its bytes are not whole UTF-8
 * characters.
 */
function spell(token: string): string | undefined {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTE_OF.get(char);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(bytes),
    );
  } catch {
    return undefined;
  }
}
