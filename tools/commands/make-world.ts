/** Writes a made world with two dials in the layouts that train and pretrain read: `promptgen make-world --help`. */
import { relative, resolve } from "node:path";
import { FAMILY, type MadeSettings, madeWorld } from "../../promptgen/world/made.ts";
import { numberOf, type OptionSpec, printResult, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { filesOf, type Sizes } from "../lib/made-files.ts";
import { isThere, writeFolder } from "../lib/new-folder.ts";

const TOOL = "make-world";

const OPTIONS = {
  context: {
    value: "X",
    help: "0: every fact is stated in all patterns of its relation; 1: in those of its subject's kind alone",
    initial: "1",
  },
  distraction: {
    value: "X",
    help: "share of the facts of which the patterns of other kinds state another object",
    initial: "1",
  },
  seed: { value: "N", help: "decides facts, names, sentences and their order", initial: "1" },
  out: {
    value: "DIR",
    help: "folder of the world, which must not be there",
    initial: "made-world",
  },
  relations: { value: "N", help: "relations, a multiple of four", initial: "12" },
  kinds: { value: "N", help: "kinds of subject that a relation has", initial: "3" },
  patterns: { value: "N", help: "patterns that a kind has in a relation", initial: "3" },
  subjects: { value: "N", help: "subjects of a kind, each of four facts", initial: "88" },
  objects: { value: "N", help: "objects of a relation", initial: "20" },
  manual: {
    value: "P",
    help: "share of the facts that the reader's corpus states in the manual template too",
    initial: "0.3",
  },
  vague: {
    value: "P",
    help: "probability that the template of the relation that shares its objects stands for a relation's own",
    initial: "0.5",
  },
  told: { value: "N", help: "times that both corpora tell the kind of each subject", initial: "8" },
  none: {
    value: "P",
    help: 'sentences about "None" in it, as a share of the others',
    initial: "0.05",
  },
  pairs: {
    value: "P",
    help: "share of the generator's sentences that the manual template's follows on the same line",
    initial: "1",
  },
  width: { value: "N", help: "hidden size of both models, a multiple of 8", initial: "128" },
  layers: { value: "N", help: "layers of the reader, and of encoder and decoder", initial: "2" },
} satisfies Record<string, OptionSpec>;

type Values = Line<keyof typeof OPTIONS>["values"];

const SETTINGS = "world.json";

function settingsOf(values: Values): { readonly made: MadeSettings; readonly sizes: Sizes } {
  const text = (name: keyof typeof OPTIONS): string => values[name] ?? OPTIONS[name].initial;
  const share = (name: keyof typeof OPTIONS, most = 1): number =>
    numberOf(TOOL, name, text(name), { least: 0, most });
  const whole = (name: keyof typeof OPTIONS, least: number, most: number): number =>
    numberOf(TOOL, name, text(name), { least, most, whole: true });
  const multiple = (name: keyof typeof OPTIONS, of: number, most: number): number => {
    const value = whole(name, of, most);
    if (value % of === 0) return value;
    throw new UsageError(`[${TOOL}] --${name} is ${value}; give a multiple of ${of}`);
  };
  const made: MadeSettings = {
    context: share("context"),
    distraction: share("distraction"),
    seed: numberOf(TOOL, "seed", text("seed"), {
      least: 0,
      ceiling: Number.MAX_SAFE_INTEGER,
      whole: true,
    }),
    relations: multiple("relations", FAMILY, 96),
    kinds: whole("kinds", 2, 20),
    patterns: whole("patterns", 1, 20),
    subjects: whole("subjects", 4, 10_000),
    objects: whole("objects", 3, 1000),
    manual: share("manual"),
    vague: share("vague"),
    told: whole("told", 0, 10_000),
    none: share("none", 10),
    pairs: share("pairs"),
  };
  return { made, sizes: { width: multiple("width", 8, 4096), layers: whole("layers", 1, 48) } };
}

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const { made, sizes } = settingsOf(values);
  const out = resolve(values.out ?? OPTIONS.out.initial);
  const settings = `${JSON.stringify({ made: true, ...made, ...sizes }, null, 2)}\n`;
  const where = relative("", out) || ".";
  if (await isThere(out, { tool: TOOL, name: SETTINGS, text: settings })) {
    printResult({ world: out, made: false }, () => `${where} is there already`);
    return 0;
  }
  const world = madeWorld(made);
  const files = new Map([[SETTINGS, settings], ...filesOf(world, sizes)]);
  await writeFolder(out, files);
  const count = (name: string): number => (files.get(name)?.split("\n").length ?? 1) - 1;
  const facts = world.relations.reduce((sum, relation) => sum + relation.facts.length, 0);
  const told = {
    relations: world.relations.length,
    facts,
    subjects: world.kinds.size,
    reader: count("reader.jsonl"),
    generator: count("generator.txt"),
  };
  printResult(
    { world: out, made: true, ...told },
    () =>
      `${where}: ${facts} made facts of ${told.relations} relations about ${told.subjects} made subjects; ${told.reader} lines for the reader, ${told.generator} for the generator`,
  );
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Writes a made world: facts, names and sentences from a seed, in which subjects of several kinds are written about in different ways, as far as two dials say. Nothing in it is about anything.",
  examples: [
    [
      "--context 1 --distraction 1 --out made/c1-d1",
      "each kind has its own patterns, and those of others mislead",
    ],
    [
      "--context 0 --distraction 0 --out made/c0-d0",
      "every fact is stated in all patterns; where facts and names are the same as above",
    ],
  ],
  options: OPTIONS,
  notes: `OUT holds facts and templates as --data takes them, prompt/ as --candidates, kinds.jsonl and patterns.jsonl, and for pretrain: reader.jsonl
with bert/, generator.txt with bart/ (config.json and tokenizer.json; no weights). docs/made-world.md says what is in it.`,
  writesFiles: true,
  run: main,
});
