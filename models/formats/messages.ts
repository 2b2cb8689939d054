/** Texts of a file in our messages: a message stays one short and visible line, whatever the file holds. */

/** Throws an error of one sentence that begins with the file's name. */
export type Fail = (what: string) => never;

/** At most 80 characters, none of them invisible. */
export function printable(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  const spell = (c: string) => `\\u{${c.codePointAt(0)?.toString(16)}}`;
  return shown.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, spell);
}

/** A value of a JSON text, likewise; what is nested in a list is left out. */
export function printableJson(value: unknown): string {
  const show = (part: unknown) => {
    if (Array.isArray(part)) return "[...]";
    return typeof part === "object" && part !== null ? "{...}" : `${JSON.stringify(part)}`;
  };
  const text = Array.isArray(value) ? `[${value.slice(0, 80).map(show).join(",")}]` : show(value);
  return printable(text);
}
