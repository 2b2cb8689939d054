/** Writes LAMA's facts split anew, with a corpus that states most of them, in the layouts that train and pretrain read: `promptgen make-lama --help`. */
import { relative, resolve } from "node:path";
import type { EvidenceSettings, PromptShape } from "../../promptgen/world/evidence.ts";
import { numberOf, type OptionSpec, printResult, UsageError } from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";
import { evidenceFiles, readEvidence } from "../lib/evidence-files.ts";
import { isThere, writeFolder } from "../lib/new-folder.ts";

const TOOL = "make-lama";
const VARIABLE = "PROMPTGEN_DATA";

const OPTIONS = {
  data: {
    value: "DIR",
    help: "folder that holds lama/, lpaqa/, tokenizers/ and trex-evidence.jsonl.gz",
    initial: `the environment's ${VARIABLE}`,
  },
  out: {
    value: "DIR",
    help: "folder of what is made, which must not be there",
    initial: "lama-split",
  },
  relations: {
    value: "IDS",
    help: "relations, as in P36,P17",
    initial: "P106,P1303,P136,P176,P178,P364,P413,P449",
  },
  words: { value: "N", help: "words of the longest sentence that is taken", initial: "20" },
  sentences: { value: "N", help: "sentences of a fact, at the most: its shortest", initial: "4" },
  before: {
    value: "N",
    help: "words before the object in the prompts that the generator reads",
    initial: "3",
  },
  behind: { value: "N", help: "words behind it", initial: "2" },
  unstated: {
    value: "P",
    help: "share of the facts of each split whose sentences stay out of the corpora",
    initial: "0.2",
  },
  seed: {
    value: "N",
    help: "decides splits, unstated facts and the order of the texts",
    initial: "1",
  },
  width: { value: "N", help: "hidden size of both models, a multiple of 64", initial: "128" },
  layers: { value: "N", help: "layers of the reader, and of encoder and decoder", initial: "2" },
} satisfies Record<string, OptionSpec>;

type Values = Line<keyof typeof OPTIONS>["values"];

/** Numbers in an attention head. */
const HEAD = 64;
const SETTINGS = "lama-split.json";
const LICENCE =
  "Made of third-party data: T-REx's sentences (CC BY-SA) through LAMA (CC BY-NC 4.0), and LPAQA's templates (no licence stated). For your own use: do not publish it.";

function settingsOf(values: Values) {
  const text = (name: keyof typeof OPTIONS): string => values[name] ?? OPTIONS[name].initial;
  const whole = (name: keyof typeof OPTIONS, least: number, most: number): number =>
    numberOf(TOOL, name, text(name), { least, most, whole: true });
  const relations = text("relations")
    .split(",")
    .map((id) => id.trim())
    .filter((id) => id !== "");
  if (relations.length === 0) {
    throw new UsageError(`[${TOOL}] --relations names none; give one or more, as P106,P413`);
  }
  const made: EvidenceSettings & PromptShape = {
    relations: [...new Set(relations)].sort(),
    words: whole("words", 3, 1000),
    sentences: whole("sentences", 1, 1000),
    before: whole("before", 0, 100),
    behind: whole("behind", 0, 100),
    unstated: numberOf(TOOL, "unstated", text("unstated"), { least: 0, most: 0.9 }),
    seed: numberOf(TOOL, "seed", text("seed"), {
      least: 0,
      ceiling: Number.MAX_SAFE_INTEGER,
      whole: true,
    }),
  };
  const width = whole("width", HEAD, 4096);
  if (width % HEAD !== 0) {
    throw new UsageError(`[${TOOL}] --width is ${width}; give a multiple of ${HEAD}`);
  }
  return { made, sizes: { width, layers: whole("layers", 1, 48), heads: width / HEAD } };
}

async function main({ values }: Line<keyof typeof OPTIONS>): Promise<number> {
  const { made, sizes } = settingsOf(values);
  const data = values.data ?? process.env[VARIABLE] ?? "";
  if (data === "") {
    throw new UsageError(
      `[${TOOL}] no data folder; give --data DIR or set ${VARIABLE}: it holds lama/, lpaqa/, tokenizers/ and trex-evidence.jsonl.gz`,
    );
  }
  const { evidence, sha256 } = await readEvidence(resolve(data));
  const out = resolve(values.out ?? OPTIONS.out.initial);
  const where = relative("", out) || ".";
  const text = `${JSON.stringify({ licence: LICENCE, evidence: sha256, ...made, ...sizes }, null, 2)}\n`;
  if (await isThere(out, { tool: TOOL, name: SETTINGS, text })) {
    printResult({ data: out, made: false }, () => `${where} is there already`);
    return 0;
  }
  const { files, ...told } = await evidenceFiles(resolve(data), evidence, made, sizes);
  await writeFolder(out, new Map([[SETTINGS, text], ...files]));
  printResult(
    { data: out, made: true, ...told },
    () =>
      `${where}: ${told.facts} facts of ${made.relations.length} relations, ${told.unstated} of them unstated; ${told.texts} texts; ${told.sizes.bert} tokens of BERT's and ${told.sizes.bart} of BART's vocabulary`,
  );
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Splits LAMA's facts anew by subject, 60 / 10 / 30 a relation, and writes what a small BERT and BART need to be pre-trained on the sentences that state them.",
  examples: [
    ["--data DIR --out lama-split", "eight relations, sentences of 20 words or fewer"],
    ["--data DIR --out two --relations P413,P449 --words 30", "two, and longer sentences"],
  ],
  options: OPTIONS,
  notes: `OUT holds facts and templates as --data takes them, prompt/ as --candidates, unstated.jsonl, and for pretrain: reader.jsonl with bert/, generator.jsonl
with bart/ (config.json and the published vocabularies, cut to what occurs). It is made of third-party data: keep it to yourself. docs/lama-small.md says more.`,
  writesFiles: true,
  run: main,
});
