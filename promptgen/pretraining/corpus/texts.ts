/**
 * Lines of a corpus as tokens with flags: what a worker does with a piece of a file. Knows no file.
 *
 * A token is one u32: its id, and two bits that say whether it begins a word and whether it belongs to a marked object.
 */
import { printable } from "../../../models/errors.ts";
import { decodeText } from "../../../models/formats/text.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { Tokens } from "../damage.ts";

const STARTS = 2 ** 31;
const MARKED = 2 ** 30;
const ID = MARKED - 1;

/** The tokens of packed ones. */
export const unpacked = (packed: Uint32Array): Tokens => ({
  ids: Array.from(packed, (word) => word & ID),
  starts: Array.from(packed, (word) => word >= STARTS),
  marked: Array.from(packed, (word) => (word & MARKED) !== 0),
});

/** How texts stand in .jsonl files; other files have a text a line. */
export type Fields = {
  /** Where the text is. */
  readonly text: string;
  /** Where the marked ranges of it are, `[[begin, end], ...]` in characters (code points), the end behind the last. */
  readonly spans?: string | undefined;
  /** Where the text is that stands for each [MASK] of the text, and is marked there. */
  readonly object?: string | undefined;
};

/** What decides the tokens of a corpus, beside its files and the tokenizer. */
export type CutOptions = {
  readonly fields: Fields;
  /** Tokens of the longest text; longer ones are cut in several, between words. */
  readonly most: number;
  /** Share of the texts that is held out, drawn by the text alone: equal texts are on one side. */
  readonly heldOut: number;
};

/** Lines of a file, what became of them. */
export type Counts = {
  lines: number;
  /** Lines without a text. */
  empty: number;
  /** Texts that were cut in several. */
  cut: number;
  /** Texts, or pieces of them, without a token that could be masked; they are left out. */
  unusable: number;
};

export const noCounts = (): Counts => ({ lines: 0, empty: 0, cut: 0, unusable: 0 });

/** Texts of a piece of a file. */
export type Encoded = {
  /** Packed tokens of all texts. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Tokens of each text; 2^31 more where it is held out. */
  readonly lengths: Uint32Array<ArrayBuffer>;
  readonly counts: Counts;
};

export const HELD_OUT = 2 ** 31;

/** A line that cannot be read: its number in its piece, from 1, and what it is. */
export class LineError extends Error {
  readonly line: number;
  constructor(line: number, what: string) {
    super(what);
    this.line = line;
  }
}

type Marked = { readonly text: string; readonly ranges: readonly (readonly [number, number])[] };

/** Ends of code points as places in a JavaScript string. */
function placesOf(text: string): (point: number) => number | undefined {
  if (!/[\ud800-\udbff]/.test(text)) return (p) => (p <= text.length ? p : undefined);
  const places = [0];
  for (const character of text) places.push(places[places.length - 1] + character.length);
  return (p) => places[p];
}

function rangesOf(text: string, value: unknown, field: string): Marked["ranges"] {
  const wrong = `has in "${field}" no list of [begin, end] within its text, in characters`;
  if (!Array.isArray(value)) throw new LineError(0, wrong);
  const place = placesOf(text);
  return value.map((range: unknown) => {
    const [begin, end] = Array.isArray(range) && range.length === 2 ? range : [];
    const isPair = Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin < end;
    const [from, to] = isPair ? [place(begin), place(end)] : [];
    if (from === undefined || to === undefined) throw new LineError(0, wrong);
    return [from, to] as const;
  });
}

const MASK = "[MASK]";

/** The text with the object in the place of each [MASK]. */
function withObject(text: string, object: string): Marked {
  const parts = text.split(MASK);
  const ranges: [number, number][] = [];
  let made = parts[0];
  for (const part of parts.slice(1)) {
    ranges.push([made.length, made.length + object.length]);
    made += object + part;
  }
  return { text: made, ranges };
}

/** The text of a line of a .jsonl file. Throws LineError. */
function fromJson(line: string, { text: name, spans, object }: Fields): Marked {
  let row: Record<string, unknown>;
  try {
    row = Object(JSON.parse(line));
  } catch {
    throw new LineError(0, `is not JSON: ${printable(line)}`);
  }
  const texts = [name, ...(object === undefined ? [] : [object])].map((field) => {
    const value = Object.hasOwn(row, field) ? row[field] : undefined;
    if (typeof value === "string") return value;
    const known = Object.keys(row).slice(0, 8).join(", ");
    throw new LineError(0, `has no text in "${field}"; its fields are ${printable(known)}`);
  });
  const [text, filler] = texts;
  if (filler !== undefined) return withObject(text, filler);
  if (spans === undefined) return { text, ranges: [] };
  return { text, ranges: rangesOf(text, Object.hasOwn(row, spans) ? row[spans] : [], spans) };
}

/** How many words two lists begin with alike. */
function alike(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number {
  let k = 0;
  while (k < a.length && k < b.length && (a[k] === b[k] || `${a[k]}` === `${b[k]}`)) {
    k++;
  }
  return k;
}

/** Which words of a text its ranges touch: what stands before a range, and up to its end, is cut in words by itself. */
function markedWords(
  tokenizer: Pick<Tokenizer, "encodeWords">,
  { text, ranges }: Marked,
  words: readonly (readonly number[])[],
): ReadonlySet<number> {
  const found = new Set<number>();
  for (const [begin, end] of ranges) {
    const before = tokenizer.encodeWords(text.slice(0, begin).trimEnd());
    const until = tokenizer.encodeWords(text.slice(0, end).trimEnd());
    for (let k = alike(before, words); k < Math.min(until.length, words.length); k++) found.add(k);
  }
  return found;
}

/** A whole number from 0 to 2^32 - 1 for a text's tokens. */
function hashOf(words: readonly (readonly number[])[]): number {
  let h = 0x9747b28c;
  for (const word of words) {
    for (const id of word) {
      h = Math.imul(h ^ id, 0x01000193);
      h ^= h >>> 15;
    }
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Where a text of `words` is cut in pieces of at most `most` tokens: between words, and within a word that is longer itself. */
function cutsOf(words: readonly (readonly number[])[], most: number): number[] {
  const cuts: number[] = [];
  let [begin, at] = [0, 0];
  for (const { length } of words) {
    if (at + length - begin > most && at > begin) {
      cuts.push(at);
      begin = at;
    }
    at += length;
    while (at - begin > most) {
      begin += most;
      cuts.push(begin);
    }
  }
  if (at > begin) cuts.push(at);
  return cuts;
}

/** Makes texts of lines; keeps what a tokenizer needs for all of them. */
export class LineEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #options: CutOptions;

  constructor(tokenizer: Tokenizer, options: CutOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /**
   * @param bytes whole lines in UTF-8
   * @throws LineError for the first line that cannot be read
   */
  encode(bytes: Uint8Array, isJson: boolean): Encoded {
    const text = decodeText(bytes, (what) => {
      const line = /line (\d+)/.exec(what)?.[1];
      const [, why = what] = /has (the byte \S+) /.exec(what) ?? [];
      throw new LineError(
        Number(line ?? 1),
        `is not UTF-8, the encoding that is expected (${why})`,
      );
    });
    const lines = text.split("\n");
    if (lines[lines.length - 1] === "") lines.pop();
    const out: number[] = [];
    const lengths: number[] = [];
    const counts = noCounts();
    counts.lines = lines.length;
    lines.forEach((line, i) => {
      const own = line.trim();
      try {
        const marked = own !== "" && isJson ? fromJson(own, this.#options.fields) : undefined;
        if (own === "" || marked?.text.trim() === "") counts.empty++;
        else this.#add(marked ?? { text: own, ranges: [] }, out, lengths, counts);
      } catch (error) {
        if (!(error instanceof LineError)) throw error;
        throw new LineError(i + 1, error.message);
      }
    });
    return { tokens: Uint32Array.from(out), lengths: Uint32Array.from(lengths), counts };
  }

  #add(text: Marked, out: number[], lengths: number[], counts: Counts): void {
    const tokenizer = this.#tokenizer;
    const { most, heldOut } = this.#options;
    const words = tokenizer.encodeWords(text.text);
    const marks = text.ranges.length > 0 ? markedWords(tokenizer, text, words) : undefined;
    const side = hashOf(words) < heldOut * 2 ** 32 ? HELD_OUT : 0;
    const tokens: number[] = [];
    for (let k = 0; k < words.length; k++) {
      const word = words[k];
      const mark = marks?.has(k) === true ? MARKED : 0;
      for (let i = 0; i < word.length; i++) tokens.push(word[i] + mark + (i === 0 ? STARTS : 0));
    }
    let begin = 0;
    const cuts = cutsOf(words, most);
    if (cuts.length > 1) counts.cut++;
    for (const end of cuts) {
      let isUsable = false;
      for (let i = begin; i < end && !isUsable; i++)
        isUsable = !tokenizer.isSpecial(tokens[i] & ID);
      if (!isUsable) counts.unusable++;
      else {
        for (let i = begin; i < end; i++) out.push(tokens[i]);
        lengths.push(end - begin + side);
      }
      begin = end;
    }
  }
}
