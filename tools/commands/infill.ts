/** BART writes a text anew, with its masks filled: `node tools/infill.ts --help`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { failAbout } from "../../models/errors.ts";
import { readText } from "../../models/formats/disk.ts";
import { type Json, parseObject } from "../../models/formats/json.ts";
import {
  type GenerationConfig,
  generationConfig,
  TextGenerator,
} from "../../models/generation/generate.ts";
import { loadSeq2Seq } from "../../models/registry.ts";
import { checkRows, rowsRemark } from "../../models/rows.ts";
import type { Seq2Seq } from "../../models/seq2seq.ts";
import { loadTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  checkLength,
  DEVICE_OPTIONS,
  deviceOf,
  type Given,
  modelDirectory,
  numberOf,
  type OptionSpec,
  Progress,
  printResult,
  quoteText,
  REVISION_OPTION,
  readTexts,
  sayRemarks,
  UsageError,
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

/** Ids with `<s>` and `</s>`. Throws UsageError for a text that is too long, or that holds another model's mask. */
function encode(text: string, tokenizer: Tokenizer, limit: number): number[] {
  const ids = [tokenizer.bos, ...tokenizer.encode(text), tokenizer.eos];
  if (text.includes("[MASK]") && !ids.includes(tokenizer.mask)) {
    const mask = tokenizer.token(tokenizer.mask);
    throw new UsageError(
      `[${TOOL}] ${quoteText(text)} has a [MASK], but this model's mask is ${mask}`,
    );
  }
  checkLength(TOOL, text, ids.length, limit);
  return ids;
}

/** The options of the command line over those of the checkpoint. */
function optionsOf(
  given: Given<"beams" | "max-length">,
  own: Json,
  where: string,
  longest: number,
  { positions: limit, vocabularySize }: Pick<Seq2Seq, "positions" | "vocabularySize">,
): GenerationConfig {
  const { max_length, num_return_sequences: _, ...rest } = own;
  const usual = Math.min(limit, Number(max_length ?? 2 * longest + 16));
  const config = generationConfig({ ...rest, max_length: usual }, where, vocabularySize);
  const { beams, "max-length": length } = given;
  const max =
    length === undefined
      ? config.max_length
      : numberOf(TOOL, "max-length", length, { least: 2, most: limit, whole: true });
  return {
    ...config,
    num_beams:
      beams === undefined
        ? config.num_beams
        : numberOf(TOOL, "beams", beams, { least: 1, ceiling: 64, whole: true }),
    max_length: max,
    min_length: Math.min(config.min_length, max),
  };
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const texts = await readTexts(TOOL, positionals);
  const { model: name = embeddedWorld().bart, revision } = values;
  const directory = await modelDirectory(name, { revision });
  const model = await loadSeq2Seq(directory);
  const tokenizer = await loadTokenizer(directory);
  const limit = model.positions;
  const { vocabularySize } = model;
  const encoded = texts.map((text) => encode(text, tokenizer, limit));
  checkRows(encoded.flat(), vocabularySize, tokenizer, directory);
  const longest = encoded.reduce((most, ids) => Math.max(most, ids.length), 0);
  const [own, where] = await ownFields(directory, model.json);
  const options = optionsOf(values, own, where, longest, model);
  sayRemarks(model.weights.remarks, rowsRemark(tokenizer, vocabularySize, directory));
  const device = await deviceOf(TOOL, values);
  let bar: Progress | undefined;
  const started = performance.now();
  const written = await new TextGenerator(device, model).generate(encoded, options, (share) => {
    // nobody waits for what is done at once
    if (!bar && (share > 0.5 || performance.now() - started < 1000)) return;
    bar ??= new Progress("writing", 100, 0, "%");
    bar.update(Math.floor(100 * share), "per cent", "");
  });
  bar?.stop();
  const special = new Set([tokenizer.bos, tokenizer.eos, tokenizer.pad]);
  written.forEach(([best], i) => {
    const filled = tokenizer.decode(best.ids.filter((id) => !special.has(id))).trim();
    printResult({ text: texts[i], filled, score: best.score, ids: best.ids }, () => filled);
  });
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
