/** The help of commands: a screen of what it does, two examples and the options that fit; `--help all` has everything. */
import { Help } from "commander";
import type { OptionSpec } from "./cli.ts";
import type { Command } from "./command.ts";

/** Characters of a line. */
export const WIDTH = 100;
const SCREEN = 24; // lines

type Specs = Readonly<Record<string, OptionSpec>>;

const layout = Object.assign(new Help(), { helpWidth: WIDTH });

/** A paragraph. */
export const wrapped = (text: string): string => layout.boxWrap(text, WIDTH);

/** Terms and what they mean, as two columns. */
export function twoColumns(rows: readonly (readonly [term: string, text: string])[]): string {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, text]) => layout.formatItem(term, width, text, layout)).join("\n");
}

const optionRow = ([name, { value, help, initial }]: [string, OptionSpec]) =>
  [
    `--${name}${value === undefined ? "" : ` ${value}`}`,
    initial === undefined ? help : `${help} (default ${initial})`,
  ] as const;

const indented = (text: string, indent: number): string =>
  layout.boxWrap(text, WIDTH - indent).replaceAll(/^/gm, " ".repeat(indent));

/** The line as it is typed, and what it does: behind it where there is room, else below. */
function exampleText(call: string, [line, what]: readonly [line: string, what: string]): string {
  const words = `  ${call} ${line}`.trimEnd();
  const place = words.length <= WIDTH ? -1 : words.lastIndexOf(" ", WIDTH - 2);
  const typed = place < 0 ? words : `${words.slice(0, place)} \\\n   ${words.slice(place)}`;
  const both = `${typed}  # ${what}`;
  return place < 0 && both.length <= WIDTH ? both : `${typed}\n${indented(what, 6)}`;
}

/** Paragraphs, but lines that are set out stay as they are. */
const notesText = (notes: string): string =>
  notes
    .split("\n\n")
    .map((part) => (/^ /m.test(part) ? part : wrapped(part.replaceAll("\n", " "))))
    .join("\n\n");

/** What every command has in common, at the end of each long help. */
const FOOT = `Exit code 0: done; 1: an error, in one sentence on standard error; 128 and a signal's number, as 130 or 143: stopped by it. Environment: DEBUG=1 adds the stack to an error and prints each launch of a kernel with its time, 2 its shapes and bytes too, 3 also the WGSL; NO_COLOR and FORCE_COLOR are obeyed.`;

/** The help of a command. @param common options of every command, which the short one only names */
export function helpOf(command: Command, common: Specs, all: boolean): string {
  const { name, about, examples, options, notes, screen = SCREEN } = command;
  const { call = `npx promptgen ${name}`, allHelp = "--help all" } = command;
  const head = (count: number) =>
    [wrapped(about), "", ...examples.slice(0, count).map((one) => exampleText(call, one))].join(
      "\n",
    );
  const own = Object.entries(options);
  const others = Object.entries(common);
  if (all) {
    const rows = [...own, ...others].map(optionRow);
    const parts = [
      head(examples.length),
      `Options\n${twoColumns(rows)}`,
      ...(notes === undefined ? [] : [notesText(notes)]),
      wrapped(FOOT),
    ];
    return `${parts.join("\n\n")}\n`;
  }
  const short = (examplesShown: number, described: number): string => {
    const rows = own.slice(0, described).map(optionRow);
    const rest = [...own.slice(described), ...others].map(([other]) => `--${other}`).join(" ");
    return [
      head(examplesShown),
      "",
      "Options",
      ...(rows.length === 0 ? [] : [twoColumns(rows)]),
      indented(`${rows.length === 0 ? "" : "and "}${rest}`, 2),
      "",
      `All of it: ${call} ${allHelp}`,
      "",
    ].join("\n");
  };
  const fits = (text: string) => text.split("\n").length - 1 <= screen;
  const least = Math.min(2, examples.length);
  for (let described = own.length; described > 0; described--) {
    // a third example gives way to an option that is described
    for (let shown = examples.length; shown >= least; shown--) {
      const text = short(shown, described);
      if (fits(text)) return text;
    }
  }
  return short(least, 0);
}
