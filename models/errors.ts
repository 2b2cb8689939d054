/**
 * What goes wrong with models and their files, told in one sentence each: `[area] what it is: the remedy`. The ground of
 * this folder: it imports nothing.
 */

/** An error of a model, its files, its tokenizer or the Hub: one sentence, `[area] what, the values, the remedy`. */
export class ModelError extends Error {
  override name = "ModelError";
}

/** Throws `[area] sentence`. */
export function fail(area: string, sentence: string): never {
  throw new ModelError(`[${area}] ${sentence}`);
}

/** Throws `[area] sentence` unless the condition holds; the sentence is made only when needed. */
export function check(condition: boolean, area: string, sentence: () => string): asserts condition {
  if (!condition) fail(area, sentence());
}

/** Throws an error of one sentence that begins with the file's name. */
export type Fail = (what: string, cause?: unknown) => never;

/** A `Fail` that throws ModelError `[area] name what`. */
export const failAbout =
  (area: string, name: string): Fail =>
  (what, cause) => {
    throw new ModelError(`[${area}] ${name} ${what}`, { cause });
  };

/** A text of a file as a message shows it, one short and visible line: at most 80 characters, none of them invisible. */
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
