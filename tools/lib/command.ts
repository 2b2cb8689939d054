/** What a command of promptgen is, and how one is run: commander reads its line by the table of which its help is made. */
import { styleText } from "node:util";
import { CommanderError, Option, Command as Parser } from "commander";
import { debugLevel } from "../../engine/devices/host.ts";
import {
  complain,
  type Given,
  type OptionSpec,
  OUTPUT_OPTIONS,
  output,
  UsageError,
} from "./cli.ts";
import { CONFIG_OPTION, checkedConfig, readConfig } from "./config.ts";
import { helpOf } from "./help.ts";

/** What was typed behind a command. */
export type Line<Name extends string = string> = {
  readonly values: Given<Name>;
  readonly positionals: readonly string[];
};

export type Command<Name extends string = string> = {
  readonly name: string;
  /** What it does, in a sentence or two: the beginning of its help. */
  readonly about: string;
  /** What stands behind the options, as RUN...; where it is left out nothing may. */
  readonly operands?: string;
  /** What is typed to call it. Default: npx promptgen and its name. */
  readonly call?: string;
  /** What is typed behind that, and what it does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** Most wanted first, for the short help describes as many as fit. */
  readonly options: Readonly<Record<Name, OptionSpec>>;
  /** What is typed behind the call for the long help. Default: --help all. */
  readonly allHelp?: string;
  /** What the long help ends with. */
  readonly notes?: string;
  /** Lines of the short help at most. Default: 24. */
  readonly screen?: number;
  /** It goes on when nobody reads what it prints; without it the command ends then, with code 0. */
  readonly writesFiles?: boolean;
  /** Options that say which others there are, and the command that they make. */
  readonly variant?: {
    readonly by: readonly string[];
    make(first: Given): Promise<Command>;
  };
  /** More about an option that it has not, as whose it is. */
  owner?(name: string): string | undefined;
  /** Gives the exit code. */
  run(line: Line<Name>): Promise<number>;
};

/** The command with its own names known to its `run`. */
export const commandOf = <Name extends string>(command: Command<Name>): Command<Name> => command;

/** Options of every command, whatever else it has. */
export const COMMON_OPTIONS = { ...OUTPUT_OPTIONS, ...CONFIG_OPTION } satisfies Record<
  string,
  OptionSpec
>;

const specsOf = (command: Command): Readonly<Record<string, OptionSpec>> =>
  Object.assign({}, command.options, COMMON_OPTIONS);

/** A parser of commander's that throws its errors and prints nothing. */
export const quietParser = (name: string): Parser =>
  new Parser(name)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .helpOption(false)
    .helpCommand(false);

/** What commander says, as our one sentence. */
export function sentenceOf(tool: string, error: CommanderError, more?: string): UsageError {
  const [what, guess] = error.message.replace(/^error: /, "").split("\n");
  const meant = guess?.replace("(Did", " (did") ?? "";
  const said = what[0].toUpperCase() + what.slice(1).replace(/\.$/, "");
  return new UsageError(`[${tool}] ${said}${more ?? meant}; see --help`, { cause: error });
}

/** The parser of a command's options. */
function parserOf(specs: Readonly<Record<string, OptionSpec>>, name: string): Parser {
  const parser = quietParser(name)
    .argument("[operands...]")
    .addOption(new Option("-h, --help [all]"));
  for (const [own, { value }] of Object.entries(specs)) {
    parser.addOption(new Option(`--${own}${value === undefined ? "" : " <value>"}`));
  }
  return parser;
}

/** Whether what stands behind this word is its value. */
const isValue = (specs: Readonly<Record<string, OptionSpec>>, word = ""): boolean =>
  word.startsWith("--") && specs[word.slice(2)]?.value !== undefined;

/**
 * Throws for a flag with a value, and for an option without its value where another one stands behind it, which commander would take
 * for that value.
 */
function checkValues(
  tool: string,
  specs: Readonly<Record<string, OptionSpec>>,
  args: readonly string[],
): void {
  for (let i = 0; i < args.length && args[i] !== "--"; i++) {
    const [, name = "", given] = /^--([^=]+)(=.*)?$/s.exec(args[i]) ?? [];
    if (!Object.hasOwn(specs, name)) continue;
    const { value, dashes = false } = specs[name];
    if (value === undefined && given !== undefined) {
      throw new UsageError(`[${tool}] Option '--${name}' takes no value; see --help`);
    }
    if (value === undefined || given !== undefined) continue;
    const next = args[++i] ?? "";
    if (dashes || !/^--?[a-z]/i.test(next)) continue;
    throw new UsageError(
      `[${tool}] Option '--${name}' argument is ambiguous: ${next} is behind it; write --${name}=${next} if that is meant; see --help`,
    );
  }
}

/** The given options by name, and what is none. Throws UsageError for what is not in the tables. */
export function readLine(command: Command, args: readonly string[]): Line {
  const specs = specsOf(command);
  checkValues(command.name, specs, args);
  const parser = parserOf(specs, command.name);
  const end = args.indexOf("--");
  // of --name=value only the name is told where it is none, and guessed by
  const told = args.map((arg, i) => {
    const [, flag, name] = /^(--([^=]+))=/s.exec(arg) ?? [];
    const isKnown = flag === undefined || Object.hasOwn(specs, name) || (end >= 0 && i > end);
    return isKnown || isValue(specs, args[i - 1]) ? arg : flag;
  });
  try {
    parser.parse(told, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const unknown = /unknown option '--([^'=]+)/.exec(error.message)?.[1];
    const more = unknown === undefined ? undefined : command.owner?.(unknown);
    throw sentenceOf(command.name, error, more);
  }
  const values = parser.options.flatMap((option): [string, string][] => {
    const value: unknown = parser.getOptionValue(option.attributeName());
    return value === undefined ? [] : [[option.name(), String(value)]];
  });
  return { values: Object.fromEntries(values), positionals: parser.args };
}

/** Some options, whatever else stands there; for those that say what the others mean. */
function peek(names: readonly string[], args: readonly string[]): Given {
  const parser = quietParser("peek").allowUnknownOption().argument("[rest...]");
  for (const name of names) parser.addOption(new Option(`--${name} [value]`));
  parser.parse(args, { from: "user" });
  const values = parser.options.flatMap((option): [string, string][] => {
    const value: unknown = parser.getOptionValue(option.attributeName());
    return typeof value === "string" ? [[option.name(), value]] : [];
  });
  return Object.fromEntries(values);
}

/** A line that is to be run: the command that it means, and where what a file gave stands there. */
type Understood = {
  readonly command: Command;
  readonly line: Line;
  readonly places: ReadonlyMap<string, string>;
};

/** Reads a line with its `--config`. Throws UsageError for what is wrong in either. */
export async function understand(command: Command, args: readonly string[]): Promise<Understood> {
  const { variant } = command;
  const first = peek(["config", ...(variant?.by ?? [])], args);
  const config =
    first.config === undefined ? undefined : await readConfig(command.name, first.config);
  const meant = variant ? await variant.make({ ...config?.texts(variant.by), ...first }) : command;
  const line = readLine(meant, args);
  if (line.values.help !== undefined || !config) return { command: meant, line, places: new Map() };
  const given = checkedConfig(config, specsOf(meant), (name) => meant.owner?.(name));
  const own = [...given].filter(([name]) => line.values[name] === undefined);
  const values = Object.fromEntries(own.map(([name, { value }]) => [name, value]));
  return {
    command: meant,
    line: { ...line, values: { ...line.values, ...values } },
    places: new Map(own.map(([name, { place }]) => [name, place])),
  };
}

/** A sentence with the place of each option that a file gave. */
const located = (message: string, places: ReadonlyMap<string, string>): string =>
  message.replace(/--([a-z][\w-]*)/g, (option, name) => {
    const place = places.get(name);
    return place === undefined ? option : `${option} (${place})`;
  });

/**
 * Runs a command to the process's end: an error becomes one sentence, with DEBUG its stack too, and exit code 1.
 * @param args what stands behind its name
 */
export async function runCommand(
  command: Command,
  args: readonly string[] = process.argv.slice(2),
): Promise<never> {
  process.stdout.on("error", () => {
    if (!command.writesFiles) process.exit(0);
  });
  process.stderr.on("error", () => {});
  let places: ReadonlyMap<string, string> = new Map();
  let code = 1;
  try {
    const understood = await understand(command, args);
    const { line } = understood;
    places = understood.places;
    if (line.values.help !== undefined) {
      process.stdout.write(helpOf(understood.command, COMMON_OPTIONS, line.values.help === "all"));
      code = 0;
    } else {
      output.json = line.values.json !== undefined;
      output.quiet = line.values.quiet !== undefined;
      if (command.operands === undefined && line.positionals.length > 0) {
        throw new UsageError(`[${command.name}] ${line.positionals[0]} is no option; see --help`);
      }
      code = await understood.command.run(line);
    }
  } catch (thrown) {
    fail(thrown, places);
  }
  // the graphics driver's threads need not end for the process to end
  process.exit(code);
}

/** Says what was thrown. */
export function fail(thrown: unknown, places: ReadonlyMap<string, string> = new Map()): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const text = error instanceof UsageError ? located(error.message, places) : error.message;
  const stack = debugLevel({}) > 0 ? error.stack : undefined;
  complain(`${styleText("red", "error", { stream: process.stderr })} ${stack ?? text}\n`);
}
