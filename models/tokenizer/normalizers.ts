/** The normalizers of a tokenizer.json, each as Python's `tokenizers` computes it. */
import { toByteCharacters } from "./bytes.ts";
import { inForm, lowerCase, members, normalizeForBert, withoutMarks } from "./exact.ts";
import {
  boolean,
  inner,
  list,
  nullable,
  type Part,
  partOf,
  refuse,
  type Types,
  text,
} from "./parts.ts";
import { compile, finder, PATTERN } from "./patterns.ts";

export type Normalizer = (text: string) => string;

const TYPES: Types = {
  BertNormalizer: {
    clean_text: boolean(true),
    handle_chinese_chars: boolean(true),
    strip_accents: nullable(boolean()),
    lowercase: boolean(true),
  },
  ByteLevel: {},
  Lowercase: {},
  NFC: {},
  NFD: {},
  NFKC: {},
  NFKD: {},
  Nmt: {},
  Precompiled: { precompiled_charsmap: text() },
  Prepend: { prepend: text() },
  Replace: { pattern: PATTERN, content: text() },
  Sequence: { normalizers: list },
  Strip: { strip_left: boolean(true), strip_right: boolean(true) },
  StripAccents: {},
};

/** The normalizer of an entry; null leaves texts as they are. Throws for what is not computed here. */
export function normalizer(entry: unknown, place: string): Normalizer {
  if (entry === null || entry === undefined) return (text) => text;
  const part = partOf(entry, TYPES, place);
  const { options } = part;
  switch (part.type) {
    case "BertNormalizer": {
      const rules = {
        clean_text: options.clean_text === true,
        handle_chinese_chars: options.handle_chinese_chars === true,
        strip_accents: options.strip_accents as boolean | null,
        lowercase: options.lowercase === true,
      };
      return (text) => normalizeForBert(text, rules);
    }
    case "ByteLevel":
      return toByteCharacters;
    case "Lowercase":
      return lowerCase;
    case "Nmt":
      return (text) => text.replace(NMT_REMOVED, "").replace(NMT_SPACES, " ");
    case "Precompiled":
      return precompiled(part);
    case "Prepend":
      return (text) => (text === "" ? "" : `${options.prepend}${text}`);
    case "Replace":
      return replacement(part);
    case "Sequence": {
      const steps = inner(part, "normalizers", normalizer);
      return (text) => steps.reduce((made, step) => step(made), text);
    }
    case "Strip":
      return strip(options.strip_left === true, options.strip_right === true);
    case "StripAccents":
      return withoutMarks;
    default: {
      const form = part.type as "NFC" | "NFD" | "NFKC" | "NFKD";
      return (text) => inForm(text, form);
    }
  }
}

const NMT_REMOVED = new RegExp(`[${members("1-8 B E-1F 7F 8F 9F")}]`, "gv");
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/gu;

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    const start = left ? text.search(/\P{White_Space}/u) : 0;
    if (start < 0) return "";
    return right ? text.slice(start).replace(/\p{White_Space}+$/u, "") : text.slice(start);
  };
}

/** Replaces what a pattern matches; as a normalizer and as a decoder. */
export function replacement({ options, place }: Part): Normalizer {
  const pattern = compile(options.pattern, place);
  if (new RegExp(`^(?:${pattern.source})$`, "v").test("")) {
    refuse(
      place,
      "has a pattern that matches the empty text",
      "one that matches a character or more",
    );
  }
  const find = finder(pattern);
  const content = String(options.content);
  return (text) =>
    find(text)
      .map(([start, end, matched]) => (matched ? content : text.slice(start, end)))
      .join("");
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The spellings of sentencepiece: a double array of UTF-8 bytes, and the texts, each ended by a zero, that its values point to. */
function precompiled({ options, place }: Part): Normalizer {
  const bytes = bytesOfBase64(String(options.precompiled_charsmap));
  const size = bytes && bytes.length >= 4 ? new DataView(bytes.buffer).getUint32(0, true) : 0;
  if (bytes === undefined || size === 0 || size % 4 !== 0 || 4 + size > bytes.length) {
    return refuse(
      place,
      "has a precompiled_charsmap that is cut off",
      "a charsmap of sentencepiece in base64",
    );
  }
  const units = new Uint32Array(bytes.buffer.slice(4, 4 + size));
  const texts = bytes.subarray(4 + size);
  const offsetOf = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);

  /** The spelling of the shortest beginning of `chunk` that has one. */
  const spelled = (chunk: string): string | undefined => {
    let at = offsetOf(units[0]);
    for (const byte of ENCODER.encode(chunk)) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at] ?? 0;
      if ((unit & 0x8000_00ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 0) continue;
      const from = (units[at] ?? 0) & 0x7fff_ffff;
      const end = texts.indexOf(0, from);
      return DECODER.decode(texts.subarray(from, end < 0 ? texts.length : end));
    }
    return undefined;
  };

  return (text) => {
    let made = "";
    for (const { segment } of GRAPHEMES.segment(text)) {
      const whole = ENCODER.encode(segment).length < 6 ? spelled(segment) : undefined;
      if (whole !== undefined) made += whole;
      else for (const character of segment) made += spelled(character) ?? character;
    }
    return made;
  };
}

function bytesOfBase64(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}
