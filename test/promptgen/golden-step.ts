/** The golden of the whole PromptGen step as our own models and batches. */
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import { Generator } from "../../promptgen/methods/promptgen/generator.ts";
import type { TrainingBatch } from "../../promptgen/methods/promptgen/index.ts";
import { Reader } from "../../promptgen/reader.ts";
import {
  classesOf,
  type StepFact,
  type StepSettings,
  stepBatch,
  stepOf as stepOfModels,
} from "../../tools/commands/fullsize/process.ts";
import { goldenCheckpoint, goldenText, ModelGolden } from "../models/parity.ts";

export const golden = new ModelGolden("promptgen");
export const settings: StepSettings & { readonly lr: number; readonly weight_decay: number } =
  JSON.parse(goldenText("promptgen/settings.json"));

export const classes = classesOf(golden.integers("common")); // [C, 2]

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
export const facts: StepFact[] = encoder.map((ids, b) => ({
  encoder: ids,
  bart: bart[b],
  bert: bert[b],
  object: golden.integers("objects")[b],
}));

/** Pieces of the longest encoder input beyond its subject's. */
export const EXTRA = 12;

/** `width` 6 holds every subject of the golden. */
export const batchOf = (rows: readonly StepFact[], count = rows.length, width = 6): TrainingBatch =>
  stepBatch(rows, width, count, EXTRA, settings);

/** The golden's generator with the golden's reader, or another masked LM over the same ids. */
export function loadPair(
  frozen: MaskedLM = BertForMaskedLM.from(goldenCheckpoint("promptgen/bert")),
) {
  const lm = BartForConditionalGeneration.from(goldenCheckpoint("promptgen/bart"));
  const generator = new Generator(lm, classes, settings.bart.mask, settings);
  return { bart: lm, generator, reader: new Reader(frozen, settings.bert) };
}

export type Pair = ReturnType<typeof loadPair>;

/** The step of a batch: prompts, logits at [MASK], losses. */
export const stepOf = ({ generator, reader }: Pair, batch: TrainingBatch, alpha: number) =>
  stepOfModels(generator, reader, batch, { alpha, floor: settings.floor });
