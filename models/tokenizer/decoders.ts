/** The decoders of a tokenizer.json, which make a text of tokens, each as Python's `tokenizers` does. */
import { decodeByteTokens } from "./bytes.ts";
import { replacement } from "./normalizers.ts";
import { boolean, character, count, inner, list, partOf, type Types, text } from "./parts.ts";
import { PATTERN } from "./patterns.ts";
import { BYTE_LEVEL, METASPACE, schemeOf } from "./pre-tokenizers.ts";

/** Tokens to tokens; what comes out last is put together. */
export type Decoder = (tokens: string[]) => string[];

const TYPES: Types = {
  BPEDecoder: { suffix: text("</w>") },
  ByteFallback: {},
  ByteLevel: BYTE_LEVEL,
  CTC: { pad_token: text("<pad>"), word_delimiter_token: text("|"), cleanup: boolean(true) },
  Fuse: {},
  Metaspace: METASPACE,
  Replace: { pattern: PATTERN, content: text() },
  Sequence: { decoders: list },
  Strip: { content: character(), start: count(), stop: count() },
  WordPiece: { prefix: text("##"), cleanup: boolean(true) },
};

/** The decoder of an entry; without one tokens are joined by spaces. Throws for what is not computed here. */
export function decoder(entry: unknown, place: string): Decoder {
  if (entry === null || entry === undefined) return (tokens) => [tokens.join(" ")];
  const part = partOf(entry, TYPES, place);
  const { options } = part;
  switch (part.type) {
    case "BPEDecoder": {
      const suffix = String(options.suffix);
      return (tokens) =>
        tokens.map((token, i) => replaceAll(token, suffix, i === tokens.length - 1 ? "" : " "));
    }
    case "ByteFallback":
      return byteFallback;
    case "ByteLevel":
      return (tokens) => [decodeByteTokens(tokens)];
    case "CTC":
      return ctc(
        String(options.pad_token),
        String(options.word_delimiter_token),
        options.cleanup === true,
      );
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Metaspace":
      return metaspace(String(options.replacement), schemeOf(part) !== "never");
    case "Replace": {
      const replace = replacement(part);
      return (tokens) => tokens.map(replace);
    }
    case "Sequence": {
      const steps = inner(part, "decoders", decoder);
      return (tokens) => steps.reduce((made, step) => step(made), tokens);
    }
    case "Strip":
      return strip(String(options.content), Number(options.start), Number(options.stop));
    default:
      return wordPiece(String(options.prefix), options.cleanup === true);
  }
}

const replaceAll = (token: string, from: string, to: string): string =>
  from === "" ? Array.from(token, (c) => to + c).join("") + to : token.replaceAll(from, () => to);

const CLEANUP = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

const cleaned = (token: string): string =>
  CLEANUP.reduce((made, [from, to]) => made.replaceAll(from, to), token);

function wordPiece(prefix: string, cleanup: boolean): Decoder {
  return (tokens) =>
    tokens.map((token, i) => {
      let made = token;
      if (i > 0) made = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleanup ? cleaned(made) : made;
    });
}

function ctc(pad: string, delimiter: string, cleanup: boolean): Decoder {
  return (tokens) =>
    tokens
      .filter((token, i) => i === 0 || token !== tokens[i - 1])
      .map((token) => {
        const made = replaceAll(token, pad, "");
        return cleanup ? replaceAll(cleaned(made), delimiter, " ") : made;
      })
      .filter((token) => token !== "");
}

function metaspace(mark: string, prepended: boolean): Decoder {
  return (tokens) =>
    tokens.map((token, i) => {
      const spaced = i === 0 && prepended ? token.replaceAll(mark, "") : token;
      return spaced.replaceAll(mark, " ");
    });
}

function strip(content: string, start: number, stop: number): Decoder {
  return (tokens) =>
    tokens.map((token) => {
      const characters = [...token];
      let from = 0;
      while (from < start && characters[from] === content) from++;
      let to = characters.length;
      while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
      return characters.slice(from, to).join("");
    });
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Tokens like <0xE2> that stand together are bytes; where they are no UTF-8 each is U+FFFD. */
function byteFallback(tokens: string[]): string[] {
  const made: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      made.push(STRICT.decode(Uint8Array.from(bytes)));
    } catch {
      for (const _ of bytes) made.push("\ufffd");
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) bytes.push(Number.parseInt(byte, 16));
    else {
      flush();
      made.push(token);
    }
  }
  flush();
  return made;
}
