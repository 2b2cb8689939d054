/** BART writes a text anew, with its masks filled: `node tools/infill.ts --help`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type InfillOptions, infill, readable, writingOf } from "../../models/calls/infill.ts";
import { failAbout } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";
import { type Json, parseObject } from "../../models/formats/json.ts";
import { loadSeq2Seq } from "../../models/registry.ts";
import { checkRows, rowsRemark } from "../../models/rows.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import { loadTokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { Limits } from "../../promptgen/methods/options.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  asUsage,
  DEVICE_OPTIONS,
  deviceOf,
  type Given,
  modelDirectory,
  numberOf,
  type OptionSpec,
  Progress,
  printResult,
  REVISION_OPTION,
  readTexts,
  sayRemarks,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";

const TOOL = "infill";

const OPTIONS = {
  model: {
    value: "DIR or NAME",
    help: "a BART: a directory, or a name on the Hugging Face Hub, which is downloaded once",
    initial: "the embedded tiny BART",
  },
  ...REVISION_OPTION,
  beams: {
    value: "N",
    help: "texts that are pursued side by side; 1 takes the most probable token each time",
    initial: "the model's own, else 1",
  },
  "max-length": {
    value: "N",
    help: "tokens of a result, with </s> before and behind it",
    initial: "the model's own, else twice the longest text and 16 more",
  },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

/** What the checkpoint says about writing, and where: in a file of its own or, in older ones, in config.json. */
async function ownFields(directory: string, config: Json): Promise<[Json, string]> {
  const path = join(directory, "generation_config.json");
  if (!existsSync(path)) return [config, join(directory, "config.json")];
  const text = await readText(path, failAbout("config", path), "make it a readable file");
  const { decoder_start_token_id, eos_token_id } = config;
  const own = parseObject(text, "config", path);
  return [{ decoder_start_token_id, eos_token_id, ...own }, path];
}

/** The options of the command line. Throws UsageError for numbers that are none. */
function optionsOf(
  { beams, "max-length": length }: Given<"beams" | "max-length">,
  { positions: most }: Pick<Seq2Seq, "positions">,
): Pick<InfillOptions, "beams" | "maxLength"> {
  const number = (name: string, text: string | undefined, limits: Limits) =>
    text === undefined ? undefined : numberOf(TOOL, name, text, { ...limits, whole: true });
  return {
    beams: number("beams", beams, { least: 1, ceiling: 64 }),
    maxLength: number("max-length", length, { least: 2, most }),
  };
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const texts = await readTexts(TOOL, positionals);
  const { model: name = embeddedWorld().bart, revision } = values;
  const directory = await modelDirectory(name, { revision });
  const model = await loadSeq2Seq(directory);
  const tokenizer = await loadTokenizer(directory);
  const { vocabularySize } = model;
  const encoded = asUsage(() => readable(model, tokenizer, texts));
  checkRows(encoded.flat(), vocabularySize, tokenizer, directory);
  const longest = encoded.reduce((most, ids) => Math.max(most, ids.length), 0);
  const [own, where] = await ownFields(directory, model.json);
  const options = { ...optionsOf(values, model), generation: own, where };
  writingOf(model, options, longest);
  sayRemarks(model.weights.remarks, rowsRemark(tokenizer, vocabularySize, directory));
  const device = await deviceOf(TOOL, values);
  let bar: Progress | undefined;
  const started = performance.now();
  const onProgress = (share: number) => {
    // nobody waits for what is done at once
    if (!bar && (share > 0.5 || performance.now() - started < 1000)) return;
    bar ??= new Progress("writing", 100, 0, "%");
    bar.update(Math.floor(100 * share), "per cent", "");
  };
  const written = await infill(model, tokenizer, texts, { device, onProgress, ...options });
  bar?.stop();
  for (const { text, filled, score, ids } of written) {
    printResult({ text, filled, score, ids }, () => filled);
  }
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "BART reads each text and writes it anew, with words for every <mask>; one mask may become any number of words. Nothing is sampled.",
  operands: "TEXT...",
  examples: [
    ['"Paris is the <mask> of France ."', "the embedded tiny BART"],
    [
      '--model facebook/bart-large --beams 4 "Paris is the <mask> of France."',
      "a model of the Hub, with beam search",
    ],
    ["--json - < texts.txt", "a text a line, from standard input"],
  ],
  options: OPTIONS,
  notes: `What generation_config.json or config.json say about writing (num_beams, min_length, length_penalty, no_repeat_ngram_size
and so on) counts, as in transformers; a model that was trained to summarize so summarizes. With --json each text is a line
{"text", "filled", "score", "ids"}; the score is the sum of the tokens' log-probabilities, divided by their number to the power
of length_penalty.`,
  run: main,
});
