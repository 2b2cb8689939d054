/** Which tokens belong at the masks of a text: `node tools/fill-mask.ts --help`. */
import {
  type Candidate,
  type Filled,
  fillMask,
  maskedTexts,
  TOGETHER,
} from "../../models/calls/fill-mask.ts";
import { loadMaskedLM } from "../../models/registry.ts";
import { checkRows, rowsRemark } from "../../models/rows.ts";
import { loadTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  asUsage,
  DEVICE_OPTIONS,
  deviceOf,
  modelDirectory,
  numberOf,
  type OptionSpec,
  Progress,
  printResult,
  Rate,
  REVISION_OPTION,
  readTexts,
  sayRemarks,
  UsageError,
} from "../lib/cli.ts";
import { commandOf, type Line } from "../lib/command.ts";

const TOOL = "fill-mask";

const OPTIONS = {
  model: {
    value: "DIR or NAME",
    help: "a masked LM with its head, such as BERT or RoBERTa: a directory, or a name on the Hugging Face Hub, which is downloaded once",
    initial: "the embedded tiny BERT",
  },
  ...REVISION_OPTION,
  "top-k": { value: "N", help: "tokens to show for each mask", initial: "5" },
  ...DEVICE_OPTIONS,
} satisfies Record<string, OptionSpec>;

/** A token for people: a word as it is, all else in quotes. */
function shownToken({ token, id }: Candidate, tokenizer: Tokenizer): string {
  const word = id < tokenizer.size ? tokenizer.word(id) : undefined;
  return word ?? JSON.stringify(token);
}

function printed({ text, masks }: Filled, tokenizer: Tokenizer): string {
  const mask = tokenizer.token(tokenizer.mask);
  const lines = masks.flatMap((candidates, i) => {
    const shown = candidates.map((candidate) => shownToken(candidate, tokenizer));
    const width = Math.max(...shown.map((word) => word.length));
    const title = masks.length > 1 ? [`  ${mask} ${i + 1}`] : [];
    const rows = candidates.map(
      ({ probability }, j) => `  ${shown[j].padEnd(width)}  ${probability.toFixed(4)}`,
    );
    return [...title, ...rows];
  });
  return [text, ...lines].join("\n");
}

async function main({ values, positionals }: Line<keyof typeof OPTIONS>): Promise<number> {
  const k = numberOf(TOOL, "top-k", values["top-k"] ?? "5", {
    least: 1,
    ceiling: 10_000,
    whole: true,
  });
  const given = await readTexts(TOOL, positionals);
  const { model: name = embeddedWorld().bert, revision } = values;
  const directory = await modelDirectory(name, { revision });
  const model = await loadMaskedLM(directory);
  const tokenizer = await loadTokenizer(directory);
  const { vocab_size } = model.config;
  const texts = asUsage(() => maskedTexts(model, tokenizer, given));
  const read = [tokenizer.pad, ...texts.flatMap(({ ids }) => ids)];
  checkRows(read, vocab_size, tokenizer, directory);
  if (k > vocab_size) {
    throw new UsageError(
      `[${TOOL}] --top-k is ${k}, the model has ${vocab_size} tokens; ask for fewer`,
    );
  }
  sayRemarks(model.weights.remarks, rowsRemark(tokenizer, vocab_size, directory));
  const device = await deviceOf(TOOL, values);
  const rate = new Rate();
  let bar: Progress | undefined;
  let before = 0;
  const done = (count: number) => {
    if (texts.length <= TOGETHER) return;
    bar ??= new Progress("texts", texts.length, 0, "texts/s");
    bar.update(count, "", rate.add(count - before));
    before = count;
  };
  const options = { device, topK: k, onProgress: done };
  const filled = await fillMask(model, tokenizer, given, options);
  bar?.stop();
  filled.forEach((one, i) => {
    printResult(one, () => `${i > 0 ? "\n" : ""}${printed(one, tokenizer)}`);
  });
  return 0;
}

export const command = commandOf({
  name: TOOL,
  about:
    "Fills the masks of texts: for each, the most probable tokens with their probabilities. RoBERTa's and XLM-R's mask is written <mask>, all others' [MASK].",
  operands: "TEXT...",
  examples: [
    ['"Paris is the capital of [MASK] ."', "the embedded tiny BERT, which knows 979 facts"],
    ['--model google-bert/bert-base-cased "Paris is the capital of [MASK]."', "a model of the Hub"],
    ["--json - < texts.txt", "a text a line, from standard input"],
    [
      '--model FacebookAI/roberta-base --top-k 3 "<mask> is the capital of <mask>."',
      "two masks: each is filled while the other stays a mask",
    ],
  ],
  options: OPTIONS,
  notes: `A token that is no whole word is shown in quotes, as the vocabulary spells it: "##ing". With --json each text is a line
{"text", "masks"}, with a list for each mask of {"token", "id", "probability"}.`,
  run: main,
});
