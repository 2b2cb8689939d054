/**
 * Reading the fields of a JSON file, config.json or generation_config.json, under the names that the file gives them: their
 * kinds, what an absent one means, and one sentence with all that is wrong. Knows no model's fields.
 */
import { ModelError } from "./errors.ts";
import { isObject } from "./formats/json.ts";

/** A reader of one field: the value, or what is wrong with it. */
export type Field<T> = {
  read(value: unknown): { value: T } | { wrong: string };
  /** What an absent field means; without it the field is required. */
  absent?: T;
};

type Values<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

function field<T>(
  wanted: string,
  accepts: (value: unknown) => value is T,
  rest: { absent?: T },
): Field<T> {
  return {
    ...rest,
    read: (value) =>
      accepts(value)
        ? { value }
        : { wrong: `is ${JSON.stringify(value) ?? String(value)} where ${wanted} is expected` },
  };
}

/** A whole number of at least `least`. */
export const count = (least: number, rest: { absent?: number } = {}): Field<number> =>
  field(
    `a whole number of ${least} or more`,
    (v): v is number => Number.isSafeInteger(v) && Number(v) >= least,
    rest,
  );

/** A number with `low` <= value < `high`. */
export const real = (low: number, high: number, rest: { absent?: number } = {}): Field<number> =>
  field(
    `a number from ${low} to below ${high}`,
    (v): v is number => typeof v === "number" && v >= low && v < high,
    rest,
  );

export const flag = (rest: { absent?: boolean } = {}): Field<boolean> =>
  field("true or false", (v): v is boolean => typeof v === "boolean", rest);

/** A field with a few supported values. */
export const oneOf = (values: readonly string[], rest: { absent?: string } = {}): Field<string> =>
  field(
    `one of ${values.join(", ")}, those that are supported,`,
    (v): v is string => typeof v === "string" && values.includes(v),
    rest,
  );

/** A field with one supported value. */
export const only = <T extends string | boolean>(value: T): Field<T> =>
  field(`${JSON.stringify(value)}, the one that is supported,`, (v): v is T => v === value, {
    absent: value,
  });

/**
 * The fields of a config.json.
 *
 * @param where the file's name in errors
 * @throws `[config] ...` with every missing and every wrong field
 */
export function readFields<F extends Record<string, Field<unknown>>>(
  json: unknown,
  fields: F,
  where: string,
): Values<F> {
  if (!isObject(json)) {
    throw new ModelError(
      `[config] ${where} is not a JSON object; use the checkpoint's own config.json`,
    );
  }
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, { read, absent }] of Object.entries(fields)) {
    const given = json[name];
    if (given === undefined || given === null) {
      if (absent === undefined) problems.push(`${name} is missing`);
      values[name] = absent;
      continue;
    }
    const result = read(given);
    if ("wrong" in result) problems.push(`${name} ${result.wrong}`);
    else values[name] = result.value;
  }
  if (problems.length > 0) throw configError(where, problems);
  return values as Values<F>;
}

export function configError(where: string, problems: readonly string[]): Error {
  return new ModelError(
    `[config] ${where}: ${problems.join("; ")}: use a config.json of the model that it names`,
  );
}
