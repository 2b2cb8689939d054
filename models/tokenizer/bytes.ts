/**
 * The alphabet of byte-level BPE: one printable character for each byte (Radford et al. 2019).
 *
 * Printable Latin-1 stands for itself; the other 68 bytes (controls, space, soft hyphen) are, in
 * ascending order, the code points from 256 on. So `Ġ` is a space.
 */

/** The characters, by byte. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(printable ? byte : next++);
  });
})();

const BYTE_OF: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);

const ENCODER = new TextEncoder();
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LOSSY = new TextDecoder("utf-8", { ignoreBOM: true });

/** Words that are spelled as they are, but for a space before them. */
const PLAIN = /^ ?[!-~]*$/;
const SPACE = BYTE_CHARACTERS[0x20];

/** The byte-level spelling of a text: ` café` is `ĠcafÃ©`. */
export function toByteCharacters(text: string): string {
  if (PLAIN.test(text)) return text.startsWith(" ") ? SPACE + text.slice(1) : text;
  return Array.from(ENCODER.encode(text), (byte) => BYTE_CHARACTERS[byte]).join("");
}

/** The text that a byte-level spelling stands for, or undefined where it is none or not whole UTF-8. */
export function fromByteCharacters(spelling: string): string | undefined {
  const bytes = bytesOf(spelling);
  if (bytes === undefined) return undefined;
  try {
    return STRICT.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/**
 * The text of byte-level tokens; bytes that are no UTF-8 become U+FFFD. A token with a character
 * outside the alphabet, as added tokens may have, is itself.
 */
export function decodeByteTokens(tokens: readonly string[]): string {
  const bytes = tokens.flatMap((token) => bytesOf(token) ?? [...ENCODER.encode(token)]);
  return LOSSY.decode(Uint8Array.from(bytes));
}

function bytesOf(spelling: string): number[] | undefined {
  const bytes: number[] = [];
  for (const character of spelling) {
    const byte = BYTE_OF.get(character);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  return bytes;
}
