/** Which tokens belong at the masks of a text: `node tools/fill-mask.ts --help`. */
import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import { topK } from "../../engine/ops/argmax.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { ModelError } from "../../models/errors.ts";
import { bucket } from "../../models/generation/encoded.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { gatherRows } from "../../models/nn.ts";
import { loadMaskedLM } from "../../models/registry.ts";
import { checkRows, rowsRemark } from "../../models/rows.ts";
import { loadTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import {
  checkLength,
  DEVICE_OPTIONS,
  deviceOf,
  modelDirectory,
  numberOf,
  type OptionSpec,
  Progress,
  printResult,
  quoteText,
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

/** A text as the model reads it. */
type Masked = {
  readonly text: string;
  readonly ids: readonly number[];
  /** Where masks stand in `ids`. */
  readonly places: readonly number[];
};

/** Throws UsageError for a text without a mask, or too long for the model. */
function encode(text: string, tokenizer: Tokenizer, limit: number): Masked {
  const ids = [tokenizer.cls, ...tokenizer.encode(text), tokenizer.sep];
  const places = ids.flatMap((id, place) => (id === tokenizer.mask ? [place] : []));
  if (places.length === 0) {
    const mask = tokenizer.token(tokenizer.mask);
    throw new UsageError(
      `[${TOOL}] ${quoteText(text)} has no ${mask}, which is this model's mask; write it where a word is missing`,
    );
  }
  checkLength(TOOL, text, ids.length, limit);
  return { text, ids, places };
}

type Batch = {
  readonly ids: Tensor; // u32 [B, T]
  readonly mask: Tensor; // u32 [B, T]
  readonly rows: Tensor; // u32 [R], b T + place of each mask
};

/** Texts that are read together. */
const TOGETHER = 8;

const powerOfTwo = (size: number): number => 2 ** Math.ceil(Math.log2(size));

/** A batch of sizes that recur, so that few plans serve all texts: missing texts and masks repeat the first one. */
function batchOf(texts: readonly Masked[], pad: number, limit: number): Batch {
  const rows = powerOfTwo(texts.length);
  const longest = texts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const width = Math.min(bucket(longest), limit);
  const ids = new Uint32Array(rows * width).fill(pad);
  const mask = new Uint32Array(rows * width);
  for (let b = 0; b < rows; b++) {
    const text = texts[b] ?? texts[0];
    ids.set(text.ids, b * width);
    mask.fill(1, b * width, b * width + text.ids.length);
  }
  const places = texts.flatMap(({ places }, b) => places.map((place) => b * width + place));
  const filled = Uint32Array.from(
    { length: powerOfTwo(places.length) },
    (_, i) => places[i] ?? places[0],
  );
  return {
    ids: tensor(ids, [rows, width]),
    mask: tensor(mask, [rows, width]),
    rows: tensor(filled),
  };
}

type Candidate = {
  readonly token: string;
  readonly id: number;
  readonly probability: number;
};

/** For each text, for each of its masks, the k most probable tokens. `done` is told how many texts are. */
async function fillMasks(
  device: Device,
  model: MaskedLM,
  tokenizer: Tokenizer,
  texts: readonly Masked[],
  k: number,
  done: (count: number) => void,
): Promise<Candidate[][][]> {
  const run = compile(device, ({ ids, mask, rows }: Batch) => {
    const hidden = model.encode({ ids, mask });
    return topK(softmax(model.logits(gatherRows(hidden, rows))), k); // [R, k]
  });
  const order = texts.map((_, i) => i).sort((a, b) => texts[a].ids.length - texts[b].ids.length);
  const results: Candidate[][][] = texts.map(() => []);
  for (let start = 0; start < order.length; start += TOGETHER) {
    const group = order.slice(start, start + TOGETHER);
    const own = group.map((i) => texts[i]);
    const { values, indices } = await run(batchOf(own, tokenizer.pad, model.positions));
    const [probabilities, ids] = [await values.read(), await indices.read()];
    let row = 0;
    const asked = probabilities.slice(0, own.reduce((n, t) => n + t.places.length, 0) * k);
    if (!asked.every(Number.isFinite)) {
      throw new ModelError(
        `[${TOOL}] the model's answer is not finite, though its weights are: a value in between is too large for f32; use another checkpoint`,
      );
    }
    for (const i of group) {
      results[i] = texts[i].places.map(() => {
        const first = row++ * k;
        return Array.from({ length: k }, (_, j) => {
          const id = ids[first + j];
          // tables may have more rows than the vocabulary has tokens
          const token = id < tokenizer.size ? tokenizer.token(id) : `[${id}]`;
          return { token, id, probability: probabilities[first + j] };
        });
      });
    }
    done(start + group.length);
  }
  return results;
}

/** A token for people: a word as it is, all else in quotes. */
function shownToken({ token, id }: Candidate, tokenizer: Tokenizer): string {
  const word = id < tokenizer.size ? tokenizer.word(id) : undefined;
  return word ?? JSON.stringify(token);
}

function printed({ text }: Masked, masks: readonly Candidate[][], tokenizer: Tokenizer): string {
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
  const texts = given.map((text) => encode(text, tokenizer, model.positions));
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
  const filled = await fillMasks(device, model, tokenizer, texts, k, done);
  bar?.stop();
  filled.forEach((masks, i) => {
    const { text } = texts[i];
    const shown = () => `${i > 0 ? "\n" : ""}${printed(texts[i], masks, tokenizer)}`;
    printResult({ text, masks }, shown);
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
