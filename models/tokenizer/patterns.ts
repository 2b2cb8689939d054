/**
 * Patterns of a tokenizer.json: texts, and regular expressions in Oniguruma's syntax (Ruby's), rewritten for JavaScript; and
 * the five ways in which a text is cut where they match.
 */

import { isObject } from "../formats/json.ts";
import { members, YOUNG } from "./exact.ts";
import { type Option, refuse } from "./parts.ts";

/** A stretch of a text: where it begins and ends, and whether the pattern matched it. */
export type Stretch = readonly [start: number, end: number, matched: boolean];

/** Cuts a text into stretches that cover it. */
export type Finder = (text: string) => Stretch[];

export type Behavior =
  | "Removed"
  | "Isolated"
  | "MergedWithPrevious"
  | "MergedWithNext"
  | "Contiguous";

export const BEHAVIORS = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;

export const PATTERN: Option = {
  says: '{"String": a text} or {"Regex": a regular expression}',
  holds: (value) =>
    isObject(value) &&
    Object.keys(value).length === 1 &&
    typeof (value.String ?? value.Regex) === "string",
};

/** Where a regular expression matches. An empty match right behind another one is none. */
export const finder =
  (pattern: RegExp): Finder =>
  (text) => {
    if (text === "") return [[0, 0, false]];
    const stretches: Stretch[] = [];
    let from = 0;
    let last = -1;
    for (const { 0: match, index } of text.matchAll(pattern)) {
      const end = index + match.length;
      if (match === "" && index === last) continue;
      if (index > from) stretches.push([from, index, false]);
      stretches.push([index, end, true]);
      from = end;
      last = end;
    }
    if (from < text.length) stretches.push([from, text.length, false]);
    return stretches;
  };

/** The pieces of a text as `behavior` cuts them at what was found; with `invert` what was not found separates. */
export function cut(
  text: string,
  find: Finder,
  behavior: Behavior,
  invert = false,
): (readonly [start: number, end: number])[] {
  const found = find(text).map(
    ([start, end, matched]) => [start, end, matched !== invert] as const,
  );
  const pieces: [start: number, end: number][] = [];
  let previous = false;
  if (behavior === "MergedWithNext") {
    for (const [start, end, matched] of found.reverse()) {
      const next = pieces.at(-1);
      if (matched && !previous && next) next[0] = start;
      else pieces.push([start, end]);
      previous = matched;
    }
    pieces.reverse();
  } else {
    for (const [start, end, matched] of found) {
      const last = pieces.at(-1);
      const joins =
        (behavior === "MergedWithPrevious" && matched && !previous) ||
        (behavior === "Contiguous" && matched === previous);
      if (joins && last) last[1] = end;
      else if (behavior !== "Removed" || !matched) pieces.push([start, end]);
      previous = matched;
    }
  }
  return pieces.filter(([start, end]) => end > start);
}

const escapeText = (content: string): string =>
  Array.from(content, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`).join("");

/** The JavaScript expression (flags `gv`) of a pattern; throws for what is not known to match alike. */
export function compile(pattern: unknown, place: string): RegExp {
  const { String: plain, Regex: source } = pattern as { String?: string; Regex?: string };
  if (plain === "") refuse(place, "has an empty pattern", "a text of one character or more");
  if (plain !== undefined) return new RegExp(escapeText(plain), "gv");
  const made = new Rewriting(source ?? "", place).whole();
  try {
    return new RegExp(made, "gv");
  } catch {
    return refuse(place, `has the regular expression ${JSON.stringify(source)}`, SYNTAX);
  }
}

const SYNTAX =
  "characters, . | ? * + {n,m} and their lazy forms, (...) (?:...) (?i:'s|...) (?=...) (?!...) (?<=...) (?<!...), [...] without &&, " +
  "\\s \\S \\d \\D \\w \\W, \\p{...} of general categories and of the scripts Han, Hiragana, Katakana, Hangul, Latin, Cyrillic, " +
  "Greek, Arabic, Hebrew, Thai, Devanagari";

/** An expression of ASCII letters in both cases. V8 lets the flag of `(?i:...)` into the properties outside of it. */
function anyCase(source: string): string {
  let inSet = false;
  const made = Array.from(source, (c) => {
    if (c === "[" || c === "]") inSet = c === "[";
    if (!/[a-z’]/i.test(c)) return c;
    const cases = escapeText(c.toLowerCase() + c.toUpperCase() + (ALSO[c.toLowerCase()] ?? ""));
    return inSet ? cases : `[${cases}]`;
  });
  return `(?:${made.join("")})`;
}

/** What else is that letter without regard to case. */
const ALSO: Readonly<Record<string, string>> = { k: "\u212a", s: "\u017f" };

const CATEGORIES =
  /^(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[slp]?|C[cfon]?|Letter|Mark|Number|Punctuation|Symbol|Separator)$/;
const SCRIPTS =
  /^(?:Han|Hiragana|Katakana|Hangul|Latin|Cyrillic|Greek|Arabic|Hebrew|Thai|Devanagari)$/;

const YOUNG_MEMBERS = members(YOUNG);
const WORD = `[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]--[${YOUNG_MEMBERS}]`;
const SUPERSCRIPTS = "\\u00b2\\u00b3\\u00b9\\u00bc-\\u00be";
const SIMPLE: Readonly<Record<string, string>> = {
  n: "a",
  r: "d",
  t: "9",
  f: "c",
  v: "b",
  a: "7",
  e: "1b",
};

/** One expression on its way to JavaScript. */
class Rewriting {
  readonly #source: string;
  readonly #place: string;
  #at = 0;

  constructor(source: string, place: string) {
    this.#source = source;
    this.#place = place;
  }

  whole(): string {
    const made = this.#alternatives();
    if (this.#at < this.#source.length) this.#refuse(")");
    return made;
  }

  #refuse(what: string): never {
    refuse(
      this.#place,
      `has ${JSON.stringify(what)} in the regular expression ${JSON.stringify(this.#source)}`,
      SYNTAX,
    );
  }

  #take(pattern: RegExp): string | undefined {
    const match = new RegExp(pattern.source, "yu");
    match.lastIndex = this.#at;
    const found = match.exec(this.#source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** Up to the end, or a closing bracket that no bracket in it opened. */
  #alternatives(): string {
    let made = "";
    while (this.#at < this.#source.length && this.#source[this.#at] !== ")") {
      if (this.#take(/\|/)) made += "|";
      else made += this.#atom() + this.#quantifier();
    }
    return made;
  }

  #quantifier(): string {
    const found = this.#take(/[?*+]|\{\d*,?\d*\}/);
    if (found === undefined) return "";
    if (found === "{}" || found === "{,}") this.#refuse(found);
    const lazy = this.#take(/\?/) ?? "";
    // {n}? is no lazy form in Ruby's syntax
    if (lazy !== "" && /^\{\d+\}$/.test(found)) this.#refuse(`${found}?`);
    const more = this.#take(/[?*+]|\{/);
    if (more !== undefined) this.#refuse(found + lazy + more);
    return found.replace("{,", "{0,") + lazy;
  }

  #atom(): string {
    const group = this.#take(/\(\?i:['’|a-zA-Z[\]]*\)|\(\?(?:[:=!]|<[=!])|\((?!\?)/);
    if (group?.startsWith("(?i:")) {
      // two letters that a single character may stand for, as ﬆ for st
      if (/s[st]|f[fil]/i.test(group.replaceAll("|", " ")) || /\[\^|\[\[/.test(group))
        this.#refuse(group);
      return anyCase(group.slice("(?i:".length, -1));
    }
    if (group !== undefined) {
      const inside = this.#alternatives();
      if (!this.#take(/\)/)) this.#refuse(group);
      return `${group === "(" ? "(?:" : group}${inside})`;
    }
    if (this.#take(/\./)) return "[^\\n]";
    if (this.#source[this.#at] === "[") return this.#set();
    if (this.#source[this.#at] === "\\") {
      const kind = this.#escape();
      if (kind.length > 1 || kind !== "") return kind;
    }
    const bad = this.#take(/[\^$?*+{(]/);
    if (bad !== undefined) this.#refuse(bad);
    return escapeText(this.#take(/[\s\S]/) ?? "");
  }

  /** What stands behind a backslash, as a set, or as one escaped character. */
  #escape(inSet = false): string {
    const property = this.#take(/\\[pP]\{\^?\w+\}/);
    if (property !== undefined) return this.#property(property);
    const kind = this.#take(/\\[sSdDwW]/)?.[1];
    if (kind !== undefined) {
      const sets: Readonly<Record<string, string>> = {
        s: "\\p{White_Space}",
        d: `\\p{Nd}--[${YOUNG_MEMBERS}]`,
        // the superscripts are members outside of brackets only
        w: inSet ? WORD : `[${WORD}]${SUPERSCRIPTS}`,
      };
      const negated = kind !== kind.toLowerCase();
      return `[${negated ? "^" : ""}${sets[kind.toLowerCase()]}]`.replace(
        /^\[\^(.*)\]$/su,
        "[^[$1]]",
      );
    }
    const simple = this.#take(/\\[nrtfvae]/)?.[1];
    if (simple !== undefined) return `\\u{${SIMPLE[simple]}}`;
    const plain = this.#take(/\\[^\p{L}\p{N}]/u);
    if (plain === undefined) this.#refuse(this.#source.slice(this.#at, this.#at + 2));
    return escapeText(plain.slice(1));
  }

  #property(found: string): string {
    const name = found.replace(/^\\[pP]\{\^?|\}$/g, "");
    const negated = found.startsWith("\\P") !== found.includes("^");
    let set: string;
    if (/^C$|^Cn$/.test(name)) set = `\\p{${name}}${YOUNG_MEMBERS}`;
    else if (name === "Ll")
      set = `[\\p{Ll}--[${YOUNG_MEMBERS}]]\\u0295`; // which became a letter without case
    else if (name === "Lo") set = `\\p{Lo}--[${YOUNG_MEMBERS}\\u0295]`;
    else if (CATEGORIES.test(name)) set = `\\p{${name}}--[${YOUNG_MEMBERS}]`;
    else if (SCRIPTS.test(name)) set = `\\p{Script=${name}}--[${YOUNG_MEMBERS}]`;
    else return this.#refuse(found);
    return negated ? `[^[${set}]]` : `[${set}]`;
  }

  /** A set in brackets. */
  #set(): string {
    const opening = this.#take(/\[\^?/) ?? "";
    let made = opening;
    let first = true;
    while (first || this.#source[this.#at] !== "]") {
      const bad = this.#take(/\[:|&&/);
      if (bad !== undefined || this.#at >= this.#source.length) this.#refuse(bad ?? "[");
      if (this.#source[this.#at] === "]") this.#refuse("[]");
      first = false;
      if (this.#source[this.#at] === "[") {
        made += this.#set();
        continue;
      }
      const from = this.#member();
      // a hyphen that ends the set is one
      if (!/^-(?!\])/.test(this.#source.slice(this.#at))) {
        made += from;
        continue;
      }
      this.#take(/-/);
      const to = this.#source[this.#at] === "[" ? "" : this.#member();
      if (!from.startsWith("\\u") || !to.startsWith("\\u")) this.#refuse(`${opening}...-`);
      made += `${from}-${to}`;
    }
    this.#take(/\]/);
    return `${made}]`;
  }

  #member(): string {
    if (this.#source[this.#at] === "\\") return this.#escape(true);
    return escapeText(this.#take(/[\s\S]/) ?? "");
  }
}
