/**
 * The parts of a tokenizer.json and their options: what each may say. A part, an option or a value that is not computed as
 * Python's `tokenizers` does is refused by its name.
 */
import { ModelError } from "../errors.ts";
import { isObject, type Json } from "../formats/json.ts";

/** What an option may be; `initial` is its value where it is left out. */
export type Option = {
  readonly says: string;
  readonly holds: (value: unknown) => boolean;
  readonly initial?: unknown;
};

/** The options of each type of a kind of part. */
export type Types = Readonly<Record<string, Readonly<Record<string, Option>>>>;

/** A part of a tokenizer.json and where it stands, for errors: `folder/tokenizer.json: decoder.decoders[1]`. */
export type Part = { readonly type: string; readonly options: Json; readonly place: string };

export const boolean = (initial?: boolean): Option => ({
  says: "true or false",
  holds: (value) => typeof value === "boolean",
  initial,
});

export const text = (initial?: string): Option => ({
  says: "a text",
  holds: (value) => typeof value === "string",
  initial,
});

export const character = (initial?: string): Option => ({
  says: "one character",
  holds: (value) => typeof value === "string" && [...value].length === 1,
  initial,
});

export const count = (initial?: number): Option => ({
  says: "a whole number of 0 or more",
  holds: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  initial,
});

export const oneOf = (values: readonly unknown[], initial?: unknown): Option => ({
  says: values.map((value) => JSON.stringify(value)).join(", "),
  holds: (value) => values.includes(value),
  initial,
});

export const list: Option = { says: "a list", holds: Array.isArray };

/** An option that may be null too. */
export const nullable = (option: Option): Option => ({
  says: `null or ${option.says}`,
  holds: (value) => value === null || option.holds(value),
  initial: option.initial ?? null,
});

/** An option that is read, and says nothing of what is computed here. */
export const ANYTHING: Option = { says: "anything", holds: () => true, initial: null };

/** Throws the sentence that `what` at `place` is not computed, and what is. */
export function refuse(place: string, what: string, supported: string): never {
  throw new ModelError(
    `[tokenizer] ${place} ${what}, which is not computed here as Python's tokenizers does; supported: ${supported}`,
  );
}

/** A part with every option filled in; throws for a type, an option or a value that `types` does not list. */
export function partOf(entry: unknown, types: Types, place: string): Part {
  const given = isObject(entry) ? entry : {};
  const type = String(given.type);
  const known = Object.hasOwn(types, type) ? types[type] : undefined;
  if (known === undefined) {
    refuse(place, `has the type ${JSON.stringify(given.type)}`, Object.keys(types).join(", "));
  }
  const options: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(known)) {
    const value = given[name] === undefined ? option.initial : given[name];
    if (value === undefined || !option.holds(value)) {
      refuse(place, `(${type}) has ${name} ${JSON.stringify(value)}`, option.says);
    }
    options[name] = value;
  }
  for (const name of Object.keys(given)) {
    if (name === "type" || Object.hasOwn(known, name)) continue;
    const names = Object.keys(known).join(", ");
    refuse(place, `(${type}) has the option ${name}`, names === "" ? "no options" : names);
  }
  return { type, options, place };
}

/** The parts of a Sequence, each with its place. */
export function inner<T>(
  part: Part,
  name: string,
  make: (entry: unknown, place: string) => T,
): T[] {
  const entries = part.options[name] as readonly unknown[];
  return entries.map((entry, i) => make(entry, `${part.place}.${name}[${i}]`));
}
