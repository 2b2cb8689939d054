/**
 * What normalizers, pre-tokenizers and added tokens are made of, as Python's `tokenizers` has it: letters in lower case one by
 * one (a last Σ becomes σ), Unicode's white space (U+0085 is, U+FEFF is not), marks, punctuation and normal forms of the Unicode
 * tables that Python's wheels are built with, and added tokens found only where they ask for it.
 *
 * Ranges below were found by asking Python's tokenizers 0.23 about every code point. They name the
 * characters that it takes for unassigned and a newer table does not: on a host with an older table
 * they change nothing.
 */

/** Members of a character class from hexadecimal code points and ranges. */
export const members = (ranges: string): string =>
  ranges
    .trim()
    .split(/\s+/)
    .map((range) =>
      range
        .split("-")
        .map((point) => `\\u{${point}}`)
        .join("-"),
    )
    .join("");

/** Letters and numbers to the host, neither to the byte-level pre-tokenizer (Unicode 16). */
const YOUNG_WORDS = members(`
  88F C5C CDC A7CE-A7CF A7D2 A7D4 A7F1 10940-10959 10EC5-10EC7 11DB0-11DDB 11DE0-11DE9 16EA0-16EB8
  16EBB-16ED3 16FF2-16FF6 187F8-187FF 18D09-18D1E 18D80-18DF2 1E6C0-1E6DE 1E6E0-1E6E2 1E6E4-1E6E5
  1E6E7-1E6ED 1E6F0-1E6F4 1E6FE-1E6FF 2B73A-2B73F 2CEA2-2CEAD 323B0-33479`);

/** Assigned to the host, not assigned to regular expressions (Unicode 16). */
export const YOUNG = `
  88F C5C CDC 1ACF-1ADD 1AE0-1AEB 20C1 2B96 A7CE-A7CF A7D2 A7D4 A7F1 FBC3-FBD2 FD90-FD91
  FDC8-FDCE 10940-10959 10EC5-10EC7 10ED0-10ED8 10EFA-10EFB 11B60-11B67 11DB0-11DDB 11DE0-11DE9
  16EA0-16EB8 16EBB-16ED3 16FF2-16FF6 187F8-187FF 18D09-18D1E 18D80-18DF2 1CCFA-1CCFC 1CEBA-1CED0
  1CEE0-1CEF0 1E6C0-1E6DE 1E6E0-1E6F5 1E6FE-1E6FF 1F6D8 1F777-1F77A 1F8D0-1F8D8 1FA54-1FA57 1FA8A
  1FA8E 1FAC8 1FACD 1FAEA 1FAEF 1FBFA 2B73A-2B73F 2CEA2-2CEAD 323B0-33479`;

/** What NFC, NFD, NFKC and NFKD leave alone: taken apart, put together or put in order by the host only. */
const YOUNG_FORMS = members(`
  7FD 897-89F 8CA-8D3 9FE C3C D3B-D3C EBA 1715 1ABF-1ADD 1AE0-1AEB 1DF6-1DFA 32FF A7F1-A7F4 A82C
  AB69 105C9 105D2 105DA 105E4 10781-10785 10787-107B0 107B2-107BA 10D24-10D27 10D69-10D6D
  10EAB-10EAC 10EFA-10EFB 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 11382-11385 1138B 1138E
  11390-11391 113C2 113C5 113C7-113C8 113CE-113D0 1145E 11839-1183A 11935 11938 1193D-1193E 11943
  119E0 11A34 11A47 11A99 11D42 11D44-11D45 11D97 11F41-11F42 1611E 16121-16129 1612F 16D63
  16D67-16D6A 16FF0-16FF1 1CCD6-1CCF9 1E030-1E06D 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF
  1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5 1F16C 1FBF0-1FBF9`);

/** Punctuation to the host, part of a word to BERT (Unicode 8). */
const YOUNG_PUNCTUATION = members(`
  61D 9FD A76 C77 C84 1B4E-1B4F 1B7D-1B7F 2E43-2E4F 2E52-2E5D 10D6E 10EAD 10ED0 10F55-10F59
  10F86-10F89 113D4-113D5 113D7-113D8 1144B-1144F 1145A-1145B 1145D 11660-1166C 116B9 1183B
  11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11BE1 11C41-11C45 11C70-11C71
  11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16D6D-16D6F 16E97-16E9A 16FE2 1E5FF 1E95E-1E95F`);

/** Was punctuation when BERT's tables were made. */
const FORMER_PUNCTUATION = members("166D 111C9");

/** Format characters to the host, kept by BERT. */
const YOUNG_CONTROLS = members("890-891 8E2 110CD 13430-1343F");

/** Marks, or letters made of several, to the host; neither taken apart nor removed by BERT. */
const YOUNG_MARKS = members(`
  7FD 897-89F 8CA-8E1 9FE AFA-AFF B55 C04 C3C D00 D3B-D3C D81 EBA ECE 180F 1885-1886 1ABF-1ADD
  1AE0-1AEB 1DF6-1DFB A82C A8C5 A8FF A9BD 105C9 105E4 10D24-10D27 10D69-10D6D 10EAB-10EAC
  10EFA-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 111C9 111CF 1123E 11241 1133B 11383
  11385 1138E 11391 113BB-113C0 113C5 113C7-113C8 113CE 113D0 113D2 113E1-113E2 11438-1143F
  11442-11444 11446 1145E 1182F-11837 11839-1183A 11938 1193B-1193C 1193E 11943 119D4-119D7
  119DA-119DB 119E0 11A01-11A0A 11A33-11A38 11A3B-11A3E 11A47 11A51-11A56 11A59-11A5B 11A8A-11A96
  11A98-11A99 11B60 11B62-11B64 11B66 11C30-11C36 11C38-11C3D 11C3F 11C92-11CA7 11CAA-11CB0
  11CB2-11CB3 11CB5-11CB6 11D31-11D36 11D3A 11D3C-11D3D 11D3F-11D45 11D47 11D90-11D91 11D95 11D97
  11EF3-11EF4 11F00-11F01 11F36-11F3A 11F40 11F42 11F5A 13440 13447-13455 1611E-16129 1612D-1612F
  16D68-16D6A 16F4F 16FE4 1CF00-1CF2D 1CF30-1CF46 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024
  1E026-1E02A 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF
  1E6F5 1E944-1E94A`);

/** Was a mark when BERT's tables were made. */
const FORMER_MARKS = members("1734 1171E");

/** Marks to the host, not removed by the normalizer StripAccents (Unicode 8, and a few that it never takes). */
const KEPT_MARKS = members(`
  7FD 897-89F 8CA-8D3 9FE AFA-AFF B55 C04 C3C CF3 D00 D3B-D3C D81 EBA ECE 1715 180F 1ABF-1ADD
  1AE0-1AEB 1CF7 1DF6-1DFA A82C A8FF 10D24-10D27 10D69-10D6D 10EAB-10EAC 10EFA-10EFF 10F46-10F50
  10F82-10F85 11070 11073-11074 110C2 11145-11146 111C9 111CE-111CF 11241 1133B 113B8-113C0 113C2
  113C5 113C7-113CA 113CC-113D0 113D2 113E1-113E2 1145E 1182C-1183A 11930-11935 11937-11938
  1193B-1193E 11940 11942-11943 119D1-119D7 119DA-119E0 119E4 11A01-11A0A 11A33-11A39 11A3B-11A3E
  11A47 11A51-11A5B 11A8A-11A99 11B60-11B67 11D31-11D36 11D3A 11D3C-11D3D 11D3F-11D45 11D47
  11D8A-11D8E 11D90-11D91 11D93-11D97 11EF3-11EF6 11F00-11F01 11F03 11F34-11F3A 11F3E-11F42 11F5A
  13440 13447-13455 1611E-1612F 16F4F 16F7F-16F87 16FE4 16FF0-16FF1 1CF00-1CF2D 1CF30-1CF46 1E08F
  1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5`);

/** A range of Unicode's extension E begins at 2B920 instead of 2B820, as in the Rust library. */
const CHINESE = members(`
  3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2B73F 2B740-2B81F 2B920-2CEAF 2F800-2FA1F`);

const PUNCTUATION = `[[\\p{P}!-\\/:-@\\[-\`\\{-~]--[${YOUNG_PUNCTUATION}]]${FORMER_PUNCTUATION}`;
const LETTER = `[\\p{L}--[${YOUNG_WORDS}]]`;
const NUMBER = `[\\p{N}--[${YOUNG_WORDS}]]`;

const CONTROLS = new RegExp(
  `[[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}\\uFFFD]--[\\t\\n\\r${YOUNG_CONTROLS}]]`,
  "gv",
);
const CHINESE_CHARACTERS = new RegExp(`[${CHINESE}]`, "gv");
const UNMARKED = new RegExp(`([${YOUNG_MARKS}]+)`, "v");
const MARKS = new RegExp(`[\\p{Mn}${FORMER_MARKS}]`, "gv");
const ACCENTS = new RegExp(`[[\\p{M}\\u{1CF2}\\u{1CF3}]--[${KEPT_MARKS}]]`, "gv");
export const PUNCTUATION_MARK = new RegExp(`[${PUNCTUATION}]`, "gv");
const BERT_WORDS = new RegExp(`[${PUNCTUATION}]|[^\\p{White_Space}[${PUNCTUATION}]]+`, "gv");
const BYTE_LEVEL_WORDS = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?${LETTER}+| ?${NUMBER}+| ?[^\\p{White_Space}${LETTER}${NUMBER}]+` +
    "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+",
  "gv",
);

/** The options of tokenizer.json's BertNormalizer. */
export type BertRules = {
  readonly clean_text: boolean;
  readonly handle_chinese_chars: boolean;
  /** Null: as `lowercase`. */
  readonly strip_accents: boolean | null;
  readonly lowercase: boolean;
};

/** A text as BERT's words are cut from it. */
export function normalizeForBert(text: string, rules: BertRules): string {
  let made = text;
  if (rules.clean_text) made = made.replace(CONTROLS, "").replace(/\p{White_Space}/gu, " ");
  if (rules.handle_chinese_chars) made = made.replace(CHINESE_CHARACTERS, " $& ");
  if (rules.strip_accents ?? rules.lowercase) made = stripAccents(made);
  return rules.lowercase ? lowerCase(made) : made;
}

const stripAccents = (text: string): string =>
  text
    .split(UNMARKED) // odd places hold what matched
    .map((part, i) => (i % 2 === 1 ? part : part.normalize("NFD").replace(MARKS, "")))
    .join("");

/** JavaScript's only rule that looks beyond a character is the one for a last Σ. */
export const lowerCase = (text: string): string => text.replaceAll("Σ", "σ").toLowerCase();

/** The words that BERT cuts a normalized text into; punctuation marks are words. */
export const bertWords = (text: string): string[] => text.match(BERT_WORDS) ?? [];

/** The words that byte-level BPE cuts a text into; nothing is lost. */
export const byteLevelWords = (text: string): string[] => text.match(BYTE_LEVEL_WORDS) ?? [];

const LEFT_ALONE = new RegExp(`([${YOUNG_FORMS}]+)`, "v");

/** A text in one of Unicode's normal forms. */
export const inForm = (text: string, form: "NFC" | "NFD" | "NFKC" | "NFKD"): string =>
  text
    .split(LEFT_ALONE) // odd places hold what matched
    .map((part, i) => (i % 2 === 1 ? part : part.normalize(form)))
    .join("");

/** A text without its marks. */
export const withoutMarks = (text: string): string => text.replace(ACCENTS, "");

/** An entry of tokenizer.json's `added_tokens`. */
export type AddedToken = {
  readonly id: number;
  readonly content: string;
  /** Only where no letter, mark, digit or underscore stands beside it. */
  readonly single_word: boolean;
  /** Takes the white space before it, or behind it, along. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in normalized text. */
  readonly normalized: boolean;
};

/** A stretch of text, or the id of the added token that stood there. */
export type Section = string | number;

/** What words consist of, beside numbers that are no digits (Unicode 16). */
export const WORD_MEMBERS = `[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]--[${members(YOUNG)}]`;
const WORD_BEFORE = new RegExp(`[${WORD_MEMBERS}]$`, "v");
const WORD_BEHIND = new RegExp(`^[${WORD_MEMBERS}]`, "v");

/** Cuts a text at the added tokens: at each place the longest, from left to right. */
export function splitter(
  tokens: readonly AddedToken[],
  spelled: (content: string) => string = (content) => content,
): (text: string) => Section[] {
  const found = new Map(tokens.map((token) => [spelled(token.content), token]));
  found.delete("");
  if (found.size === 0) return (text) => (text === "" ? [] : [text]);
  const longestFirst = [...found.keys()].sort((a, b) => b.length - a.length);
  const escaped = longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  const pattern = new RegExp(escaped.join("|"), "gu");
  return (text) => {
    const sections: Section[] = [];
    let from = 0;
    for (const { 0: content, index } of text.matchAll(pattern)) {
      const token = found.get(content);
      if (token === undefined) continue;
      let [start, end] = [index, index + content.length];
      if (token.single_word) {
        // two code units hold any one character
        if (WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start))) continue;
        if (WORD_BEHIND.test(text.slice(end, end + 2))) continue;
      }
      if (token.lstrip) {
        while (start > from && isSpace(text[start - 1])) start--;
        start = Math.max(start, from); // the token before it may have taken space of its own
      }
      if (token.rstrip) while (end < text.length && isSpace(text[end])) end++;
      if (start > from) sections.push(text.slice(from, start));
      if (end > start) sections.push(token.id);
      from = end;
    }
    if (from < text.length) sections.push(text.slice(from));
    return sections;
  };
}

const isSpace = (character: string): boolean => /\p{White_Space}/u.test(character);
