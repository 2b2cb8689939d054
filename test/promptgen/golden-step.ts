/** The golden of the whole PromptGen step as our own models and batches. */
import type { Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { MaskedLM } from "../../models/encoder.ts";
import { assemble, type Batch, type BatchLayout, type Example } from "../../promptgen/batch.ts";
import { type Classes, Generator, type Prompts } from "../../promptgen/generator.ts";
import { objective, Reader } from "../../promptgen/objective.ts";
import { goldenCheckpoint, goldenText, ModelGolden } from "../models/parity.ts";

interface Settings {
  m: number;
  n: number;
  alpha: number;
  floor: number;
  lr: number;
  weight_decay: number;
  bart: { bos: number; pad: number; eos: number; mask: number };
  bert: { pad: number; cls: number; sep: number; mask: number; none: number };
}

export const golden = new ModelGolden("promptgen");
export const settings: Settings = JSON.parse(goldenText("promptgen/settings.json"));

const pairs = golden.integers("common"); // [C, 2]
const column = (k: number) =>
  Uint32Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i + k]);
export const classes: Classes = {
  size: pairs.length / 2,
  end: pairs.length / 2 - 1,
  bart: column(0),
  bert: column(1),
};

function rowsOf(name: string, mask: string): number[][] {
  const [rows, width] = golden.shape(name);
  const [ids, live] = [golden.integers(name), golden.integers(mask)];
  return Array.from({ length: rows }, (_, b) =>
    Array.from(ids.subarray(b * width, (b + 1) * width)).filter(
      (_, i) => live[b * width + i] === 1,
    ),
  );
}

const [encoder, bart, bert] = [
  rowsOf("encoder_ids", "encoder_mask"),
  rowsOf("bart_subject", "bart_subject_mask"),
  rowsOf("bert_subject", "bert_subject_mask"),
];
export const examples: Example[] = encoder.map((ids, b) => ({
  encoder: ids,
  bart: bart[b],
  bert: bert[b],
  object: golden.integers("objects")[b],
}));

/** `width` 6 holds every subject of the golden. */
export const layout: BatchLayout = { buckets: [6], extra: 12, ids: settings };

export const batchOf = (rows: readonly Example[], count = rows.length, width = 6): Batch =>
  assemble(rows, width, count, layout);

/** The golden's generator with the golden's reader, or another masked LM over the same ids. */
export function loadPair(
  frozen: MaskedLM = BertForMaskedLM.from(goldenCheckpoint("promptgen/bert")),
) {
  const generator = new Generator(
    BartForConditionalGeneration.from(goldenCheckpoint("promptgen/bart")),
    classes,
    settings.bart.mask,
    settings,
  );
  return { generator, reader: new Reader(frozen, classes, settings.bert) };
}

export type Pair = ReturnType<typeof loadPair>;

/** The step of a batch: prompts, logits at [MASK], losses. */
export function stepOf({ generator, reader }: Pair, batch: Batch, alpha: number) {
  const prompts: Prompts = generator.unroll(batch);
  const logits: Tensor = reader.read(batch, prompts, generator.m);
  return { prompts, logits, ...objective(logits, batch, alpha, settings.floor) };
}
