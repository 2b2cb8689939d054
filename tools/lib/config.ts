/** `--config FILE`: options by their names, in YAML, of which JSON is a part. What is wrong in it is said with its line. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { readText } from "../../models/formats/disk.ts";
import { chooseAmong } from "../../promptgen/methods/options.ts";
import { type Place, parseYaml } from "../../promptgen/yaml-file.ts";
import { type Given, type OptionSpec, UsageError } from "./cli.ts";

export const CONFIG_OPTION = {
  config: {
    value: "FILE",
    help: "YAML or JSON with options by their names, as epochs: 5; those of the command line win",
  },
} satisfies Record<string, OptionSpec>;

/** A file of options, of which no name is checked yet. */
export type Config = {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly place: Place;
  /** Some of them, where they are texts. */
  texts(names: readonly string[]): Given;
  fail(name: string, what: string): never;
};

/** Reads a file of options. Throws UsageError for what is no such file. */
export async function readConfig(tool: string, path: string): Promise<Config> {
  const unreadable = (what: string, cause?: unknown): never => {
    throw new UsageError(`[${tool}] ${path} ${what}`, { cause });
  };
  const text = await readText(path, unreadable, "name a file of options, in YAML or JSON");
  const { values, place } = parseYaml(tool, text, path, {
    empty: "write options as name: value",
    long: "name a file of options, in YAML or JSON",
  });
  return {
    path,
    values,
    place,
    texts: (names) =>
      Object.fromEntries(
        names.flatMap((name): [string, string][] => {
          const own = values[name];
          return typeof own === "string" ? [[name, located(own, path)]] : [];
        }),
      ),
    fail: (name, what) => {
      throw new UsageError(`[${tool}] ${place([name])}${name} ${what}`);
    },
  };
}

/**
 * Its options as if they had been typed, each with its place.
 * @param owner more about an option that the command has not
 */
export function checkedConfig(
  config: Config,
  specs: Readonly<Record<string, OptionSpec>>,
  owner: (name: string) => string | undefined,
): Map<string, { readonly value: string; readonly place: string }> {
  const { values, place, path, fail } = config;
  const known = Object.keys(specs).filter((name) => name !== "config");
  const found = new Map<string, { value: string; place: string }>();
  for (const [name, own] of Object.entries(values)) {
    if (name === "$schema") continue;
    if (!known.includes(name)) {
      fail(name, `is no option here${owner(name) ?? `; ${chooseAmong(known, name)}`}`);
    }
    const value = textOf(own, specs[name], path, (what) => fail(name, what));
    if (value !== undefined) found.set(name, { value, place: place([name]).trimEnd() });
  }
  return found;
}

/** A value as it would be typed; undefined for a flag that is not set. */
function textOf(
  value: unknown,
  spec: OptionSpec,
  path: string,
  fail: (what: string) => never,
): string | undefined {
  const shown = JSON.stringify(value);
  if (spec.value === undefined) {
    if (typeof value !== "boolean") return fail(`is ${shown}; write true or false`);
    return value ? "true" : undefined;
  }
  const list = Array.isArray(value) ? value : [value];
  const isPlain = list.every((one) => typeof one === "string" || typeof one === "number");
  if (!isPlain || list.length === 0) return fail(`is ${shown}; write a number or a text`);
  return list.map((one) => (typeof one === "string" ? located(one, path) : String(one))).join(",");
}

/** A path that stands beside the file, where something is there; all else as it is. */
function located(text: string, path: string): string {
  const beside = resolve(dirname(resolve(path)), text);
  return /^\.{0,2}\//.test(text) && existsSync(beside) ? beside : text;
}
