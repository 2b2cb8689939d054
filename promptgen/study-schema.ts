/** The JSON Schema of study files, for editors: made from the tables of options, as the command line and its help are. */
import { METHODS } from "./methods/index.ts";
import type { Option, OptionTable } from "./methods/options.ts";
import { SHARED_OPTIONS } from "./run.ts";

type Schema = { readonly [key: string]: SchemaValue };
type SchemaValue = string | number | boolean | readonly SchemaValue[] | Schema;

const text = (description: string): Schema => ({ type: "string", description });

/** A value, or a list of them, each of which makes a row. */
const orList = (schema: Schema, description: string): Schema => ({
  description,
  anyOf: [schema, { type: "array", items: schema, minItems: 1 }],
});

function oneValue(option: Option): Schema {
  if (option.kind === "choice") return { enum: option.choices };
  if (option.kind !== "number") return { type: "string", minLength: 1 };
  const { least, ceiling, most = ceiling, whole = false } = option;
  return {
    type: whole ? "integer" : "number",
    minimum: least,
    ...(most === undefined ? {} : { maximum: most }),
  };
}

const optionsOf = (table: OptionTable): Record<string, Schema> =>
  Object.fromEntries(
    Object.entries(table).map(([name, option]) => {
      const { help, initial, world = initial } = option;
      const other = world === initial ? "" : `, on the embedded world ${world}`;
      return [name, orList(oneValue(option), `${help} (default ${initial}${other})`)];
    }),
  );

const SEEDS: Schema = {
  description: "a run for each; a number stands for 1 up to it",
  anyOf: [
    { type: "integer", minimum: 1 },
    { type: "array", items: { type: "integer", minimum: 0 }, minItems: 1 },
  ],
};

const SETTING: Schema = {
  type: "object",
  minProperties: 1,
  propertyNames: { pattern: "^[a-z][a-z0-9-]*$" },
  additionalProperties: { type: ["number", "string"] },
};

const SHARE: Schema = { type: "number", minimum: 0, maximum: 100 };

/** What a study of several parts has beside its rows. */
const PARTS: Schema = {
  settings: {
    type: "array",
    minItems: 1,
    items: SETTING,
    description: "the rows are run for each, with its values for {NAME}",
  },
  prepare: {
    type: "object",
    minProperties: 1,
    additionalProperties: { type: "string", minLength: 1 },
    description:
      "commands of promptgen that make facts and models first, in this order; {here} is the step's own folder, {NAME} that of another step or a value of the setting",
  },
  gates: {
    type: "array",
    description: "what a row's accuracy must be in the settings that have the other values",
    items: {
      type: "object",
      required: ["row"],
      properties: { row: text("title of a row"), least: SHARE, most: SHARE },
      additionalProperties: { type: ["number", "string"] },
    },
  },
};

/** Of draft 7, which editors know best. */
export function studySchema(): Schema {
  const { seed: _, ...table } = SHARED_OPTIONS;
  const shared = {
    ...optionsOf(table),
    relations: orList({ type: "string" }, "relations to use, as P36,P17 (default all)"),
  };
  const toShared = Object.fromEntries(
    Object.keys(shared).map((name) => [name, { $ref: `#/definitions/${name}` }]),
  );
  const names = METHODS.map(({ name }) => name);
  // an option may have limits of its own in each method; here it is enough that it fits one of them
  const own = METHODS.flatMap(({ options }) => Object.entries(optionsOf(options)));
  const common = Object.fromEntries(
    own.map(([name]) => {
      const alike = own.filter(([other]) => other === name).map(([, schema]) => schema);
      const different = [...new Map(alike.map((one) => [JSON.stringify(one.anyOf), one])).values()];
      return [name, different.length === 1 ? different[0] : { anyOf: different }];
    }),
  );
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "A study of tools/study.ts",
    type: "object",
    definitions: { seeds: SEEDS, ...shared },
    required: ["name", "rows"],
    additionalProperties: false,
    properties: {
      $schema: text("for editors"),
      name: {
        type: "string",
        pattern: "^\\w[\\w.-]*$",
        maxLength: 100,
        description: "of its folder in runs/",
      },
      about: text("what it is for"),
      world: { type: "boolean", description: "take what suits the embedded world" },
      seeds: { $ref: "#/definitions/seeds" },
      against: text("title of the row that the others are tested against"),
      ...PARTS,
      options: {
        type: "object",
        description: "of every row whose method has them",
        additionalProperties: false,
        properties: { ...toShared, ...common },
      },
      rows: {
        type: "array",
        minItems: 1,
        description: "methods with their options; a list of values makes a row of each",
        items: {
          type: "object",
          required: ["method"],
          properties: { method: { enum: names } },
          allOf: METHODS.map(({ name, summary, options }) => ({
            // without "required" a row that has no method would be held to those of all
            if: { properties: { method: { const: name } }, required: ["method"] },
            // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
            then: {
              additionalProperties: false,
              properties: {
                method: { const: name, description: summary },
                name: {
                  type: "string",
                  pattern: "[A-Za-z0-9]",
                  maxLength: 100,
                  description: "title of the row",
                },
                seeds: { $ref: "#/definitions/seeds" },
                ...toShared,
                ...optionsOf(options),
              },
            },
          })),
        },
      },
    },
  };
}
