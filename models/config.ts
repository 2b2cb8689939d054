/**
 * Reading the fields of a JSON file, config.json or generation_config.json, under the names that the file gives them: their
 * kinds, what an absent one means, and one sentence with all that is wrong. Knows no model's fields.
 */
import { ModelError, printable, printableJson } from "./errors.ts";
import { isObject, type Json } from "./formats/json.ts";

/** A reader of one field: the value, or what is wrong with it. */
export type Field<T> = {
  read(value: unknown): { value: T } | { wrong: string };
  /** What an absent field means; without it the field is required. */
  absent?: T;
  /** A second name of it, as upstream's attribute_map has. */
  also?: string;
};

export type Values<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

function field<T>(
  wanted: string,
  accepts: (value: unknown) => value is T,
  rest: { absent?: T; also?: string },
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
export const count = (
  least: number,
  rest: { absent?: number; also?: string } = {},
): Field<number> =>
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

/** A field whose values are the keys of a table; what it reads is the value there. */
export const oneOf = <T>(table: Readonly<Record<string, T>>, absent: T): Field<T> => ({
  absent,
  read: (value) => {
    if (typeof value === "string" && Object.hasOwn(table, value)) return { value: table[value] };
    const names = Object.keys(table).map((name) => JSON.stringify(name));
    const last = names.pop();
    return {
      wrong: `is ${JSON.stringify(value)} where ${names.join(", ")} or ${last} is expected`,
    };
  },
});

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
  for (const [name, { read, absent, also }] of Object.entries(fields)) {
    const other = also === undefined ? undefined : json[also];
    const given = json[name] ?? other;
    if ((other ?? given) !== given) {
      const values = `${also} ${printableJson(other)} and ${name} ${printableJson(given)}`;
      problems.push(`${values} are one field`);
    }
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

/** Fields of every model that change what is computed and are not computed here, with the value that changes nothing. */
const NEUTRAL: Json = { pruned_heads: {}, quantization_config: null, per_layer_config: null };

/** The fields that are given, are not null and are not as `neutral` has them, with their values. */
export const unlike = (json: Json, neutral: Json): string[] =>
  Object.entries(neutral).flatMap(([name, value]) => {
    const given = JSON.stringify(json[name] ?? null);
    return given === "null" || given === JSON.stringify(value) ? [] : [`${name} ${given}`];
  });

/** The ids that a file gives in fields `*_token_id` and that are no row of a table of `rows` words. */
export const strayIds = (json: Json, rows: number): string[] =>
  Object.entries(json).flatMap(([name, value]) => {
    if (!name.endsWith("_token_id")) return [];
    const ids = Array.isArray(value) ? value : [value];
    return ids
      .filter((id) => typeof id === "number" && !(id >= 0 && id < rows))
      .map((id) => `${name} ${id} is no row of the table of words, which has ${rows}`);
  });

/**
 * Checks what no model reads field by field.
 *
 * @param rows of the table of words (vocab_size)
 * @param neutral fields of this kind of model that are not computed, beside those of every model
 * @throws `[config] ...` with every id that is no row, and every field that is not computed here
 */
export function checkFields(json: Json, rows: number, neutral: Json, where: string): void {
  const problems = strayIds(json, rows);
  const foreign = unlike(json, { ...NEUTRAL, ...neutral });
  problems.push(...foreign.map((text) => `${printable(text)} is not computed here`));
  if (problems.length > 0) throw configError(where, problems);
}

/** Sentences about fields that change something and are left out: only in training, or only elsewhere. */
export function configRemarks(json: Json, where = "config.json"): string[] {
  const remarks: string[] = [];
  for (const name of ["encoder_layerdrop", "decoder_layerdrop", "layerdrop"]) {
    const rate = json[name] ?? 0;
    if (rate === 0) continue;
    remarks.push(
      `[config] ${where}: ${name} ${printableJson(rate)} is not applied: training skips no layer`,
    );
  }
  if (isObject(json.auto_map)) {
    remarks.push(`[config] ${where}: auto_map names code of its own, which is not run`);
  }
  return remarks;
}
