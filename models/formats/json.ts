/** JSON files that hold an object; what is none is told in one sentence with the name of the file. */
import { ModelError } from "../errors.ts";
import { withoutMark } from "./text.ts";

/** An object of a JSON file as it stands. */
export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The object of a JSON text, with or without a byte order mark.
 *
 * @param path the file's name in errors, which begin with `[area]`
 * @throws ModelError for a text that is not JSON, or not an object
 */
export function parseObject(text: string, area: string, path: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(withoutMark(text));
  } catch (cause) {
    throw new ModelError(`[${area}] ${path} is not JSON; fetch the file again`, { cause });
  }
  if (isObject(value)) return value;
  throw new ModelError(`[${area}] ${path} is not a JSON object; fetch the file again`);
}
