/** The pre-tokenizers of a tokenizer.json, which cut a normalized text into words, each as Python's `tokenizers` does. */
import { toByteCharacters } from "./bytes.ts";
import { bertWords, byteLevelWords, PUNCTUATION_MARK, WORD_MEMBERS } from "./exact.ts";
import {
  ANYTHING,
  boolean,
  character,
  count,
  inner,
  list,
  type Option,
  oneOf,
  type Part,
  partOf,
  refuse,
  type Types,
} from "./parts.ts";
import {
  BEHAVIORS,
  type Behavior,
  compile,
  cut,
  type Finder,
  finder,
  PATTERN,
} from "./patterns.ts";

/** A word, and whether it begins where the whole text does. */
export type Piece = { readonly text: string; readonly first: boolean };

export type PreTokenizer = (piece: Piece) => Piece[];

const BEHAVIOR = oneOf(BEHAVIORS, "Isolated");

/** Options of Metaspace, the pre-tokenizer and the decoder; `add_prefix_space` and `str_rep` are of older files. */
export const METASPACE: Readonly<Record<string, Option>> = {
  replacement: character(),
  prepend_scheme: oneOf(["always", "first", "never"], "always"),
  split: boolean(true),
  add_prefix_space: boolean(true),
  str_rep: ANYTHING,
};

/** Options of ByteLevel; offsets of tokens are not computed here. */
export const BYTE_LEVEL: Readonly<Record<string, Option>> = {
  add_prefix_space: boolean(true),
  trim_offsets: boolean(true),
  use_regex: boolean(true),
};

const TYPES: Types = {
  BertPreTokenizer: {},
  ByteLevel: BYTE_LEVEL,
  CharDelimiterSplit: { delimiter: character() },
  Digits: { individual_digits: boolean(false) },
  FixedLength: {
    length: {
      ...count(5),
      says: "a whole number of 1 or more",
      holds: (n) => count().holds(n) && n !== 0,
    },
  },
  Metaspace: METASPACE,
  Punctuation: { behavior: BEHAVIOR },
  Sequence: { pretokenizers: list },
  Split: { pattern: PATTERN, behavior: { ...BEHAVIOR, initial: undefined }, invert: boolean() },
  Whitespace: {},
  WhitespaceSplit: {},
};

const WORDS = finder(new RegExp(`[${WORD_MEMBERS}]+|[^\\p{White_Space}[${WORD_MEMBERS}]]+`, "gv"));
const SPACE = finder(/\p{White_Space}/gu);
const PUNCTUATION = finder(PUNCTUATION_MARK);
const NUMBER = finder(/\p{N}/gu);

/**
 * The pre-tokenizer of an entry; null leaves a text whole. `alone`: the text comes to it as it was written, so that its
 * beginning is known. Throws for what is not computed here.
 */
export function preTokenizer(entry: unknown, place: string, alone: boolean): PreTokenizer {
  if (entry === null || entry === undefined) return (piece) => (piece.text === "" ? [] : [piece]);
  const part = partOf(entry, TYPES, place);
  const { options } = part;
  const behavior = options.behavior as Behavior;
  switch (part.type) {
    case "BertPreTokenizer":
      return ({ text, first }) =>
        bertWords(text).map((word) => ({ text: word, first: first && text.startsWith(word) }));
    case "ByteLevel":
      return byteLevel(options.add_prefix_space === true, options.use_regex === true);
    case "CharDelimiterSplit":
      return splitting(finder(compile({ String: options.delimiter }, place)), "Removed");
    case "Digits":
      return splitting(NUMBER, options.individual_digits === true ? "Isolated" : "Contiguous");
    case "FixedLength":
      return splitting(finder(new RegExp(`[\\s\\S]{1,${options.length}}`, "gu")), "Isolated");
    case "Metaspace":
      return metaspace(part, alone);
    case "Punctuation":
      return splitting(PUNCTUATION, behavior);
    case "Sequence": {
      let written = alone;
      const steps = inner(part, "pretokenizers", (step, at) => {
        const made = preTokenizer(step, at, written);
        const { type } = step as { type?: string };
        if (type === "ByteLevel" || type === "Metaspace") written = false;
        return made;
      });
      return (piece) => steps.reduce((pieces, step) => pieces.flatMap(step), [piece]);
    }
    case "Split":
      return splitting(finder(compile(options.pattern, place)), behavior, options.invert === true);
    case "Whitespace":
      return splitting(WORDS, "Removed", true);
    default:
      return splitting(SPACE, "Removed");
  }
}

const splitting =
  (find: Finder, behavior: Behavior, invert = false): PreTokenizer =>
  ({ text, first }) =>
    cut(text, find, behavior, invert).map(([start, end]) => ({
      text: text.slice(start, end),
      first: first && start === 0,
    }));

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  return ({ text, first }) => {
    const spaced = addPrefixSpace && !text.startsWith(" ") ? ` ${text}` : text;
    const words = useRegex ? byteLevelWords(spaced) : [spaced];
    return words.map((word, i) => ({ text: toByteCharacters(word), first: first && i === 0 }));
  };
}

/** How a Metaspace marks the beginning of a text: `add_prefix_space` false is "never". */
export const schemeOf = ({ options }: Part): string =>
  options.add_prefix_space === false ? "never" : String(options.prepend_scheme);

function metaspace(part: Part, alone: boolean): PreTokenizer {
  const scheme = schemeOf(part);
  if (scheme === "first" && !alone) {
    refuse(
      part.place,
      '(Metaspace) has prepend_scheme "first" behind a normalizer, a ByteLevel or a Metaspace',
      '"always", "never", or "first" without them',
    );
  }
  const mark = String(part.options.replacement);
  const find = finder(compile({ String: mark }, part.place));
  return ({ text, first }) => {
    const marked = text.replaceAll(" ", () => mark);
    const prepended =
      (scheme === "always" || (scheme === "first" && first)) && !marked.startsWith(mark);
    const whole = { text: prepended ? mark + marked : marked, first };
    return part.options.split === true ? splitting(find, "MergedWithNext")(whole) : [whole];
  };
}
