/** Options of runs on the command line: made from the tables of the library and of each method, so that help and limits are theirs. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Device, Precision } from "../../engine/device.ts";
import { openDevice } from "../../engine/open.ts";
import type { Method } from "../../promptgen/methods/method.ts";
import {
  initialOf,
  numberIn,
  type Option,
  type Options,
  type OptionTable,
  type OptionValue,
  problemOf,
} from "../../promptgen/methods/options.ts";
import { type Prepared, SHARED_OPTIONS, WORLD } from "../../promptgen/run.ts";
import { checkDevice, type DeviceValues, type OptionSpec, UsageError } from "./cli.ts";

/** All options of a method's runs. */
export const tableOf = (method: Method): OptionTable => ({ ...SHARED_OPTIONS, ...method.options });

/** The same for the help. */
export function specsOf(table: OptionTable): Record<string, OptionSpec> {
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => [
      name,
      {
        value: option.value,
        help: option.help,
        initial: shownInitial(option),
        ...(option.kind === "choice" ? { choices: option.choices } : {}),
      },
    ]),
  );
}

function shownInitial(option: Option): string {
  if (option.kind === "model") return "the embedded tiny one";
  if (option.kind === "folder") return "the embedded world's";
  const [initial, world] = [initialOf(option, false), initialOf(option, true)];
  return initial === world ? String(initial) : `${initial}; with --world ${world}`;
}

export const WATCH_OPTION = {
  watch: {
    help: "serves a page on 127.0.0.1 that follows what is running, and prints its address",
  },
} satisfies Record<string, OptionSpec>;

/** The options that were given, checked; nothing is filled in. Folders become absolute, names on the Hub stay. */
export function checkedOptions(
  tool: string,
  table: OptionTable,
  given: Readonly<Record<string, string | undefined>>,
): Options {
  const values = Object.entries(table).flatMap(([name, option]): [string, OptionValue][] => {
    const text = given[name];
    return text === undefined ? [] : [[name, checked(tool, name, option, text)]];
  });
  return Object.fromEntries(values);
}

function checked(tool: string, name: string, option: Option, text: string): OptionValue {
  if (option.kind === "model" || option.kind === "folder") {
    if (existsSync(text)) return resolve(text);
    const isName = option.kind === "model" && /^\w[\w.-]*\/\w[\w.-]*$/.test(text);
    if (isName || text === WORLD) return text;
    const remedy =
      option.kind === "folder" ? "name a folder" : "name a folder, or a model as owner/name";
    throw new UsageError(`[${tool}] --${name} is ${text}, which does not exist; ${remedy}`);
  }
  const value = option.kind === "number" ? numberIn(text) : text;
  const problem = problemOf(option, value);
  if (problem !== undefined) throw new UsageError(`[${tool}] --${name} is ${text}; ${problem}`);
  return value;
}

/** `--relations P36,P17` as it stands in run.json. */
export function checkedRelations(tool: string, text: string | undefined): Options {
  if (text === undefined) return {};
  const ids = text.split(",").map((id) => id.trim());
  if (ids.includes("")) {
    throw new UsageError(`[${tool}] --relations is "${text}"; write ids as in P36,P17`);
  }
  return { relations: [...new Set(ids)].sort().join(",") };
}

/** Models beyond this are planned before a device is opened for them; others fit anywhere. */
const LARGE_MODEL = 50e6; // bytes

/**
 * As `deviceOf`, for large models: a CPU that takes 64-bit addresses if what is done with them needs those, unless --memory says
 * how much there is.
 */
export async function deviceFor(
  tool: string,
  values: DeviceValues,
  { benchmark }: Pick<Prepared, "benchmark">,
  memoryNeeded: () => Promise<number>,
  precision: Precision = "f32",
): Promise<Device> {
  const options = { ...checkDevice(tool, values), precision };
  const { parameters } = benchmark.reader.lm.weights;
  const bytes = [...parameters.values()].reduce((sum, t) => sum + t.bytes, 0);
  if ("memoryBudget" in options || bytes < LARGE_MODEL) return openDevice(options);
  return openDevice({ ...options, memoryNeeded: await memoryNeeded() });
}
