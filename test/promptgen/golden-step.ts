/** The golden of the whole PromptGen step as our own models and batches. */
import type { Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { MaskedLM } from "../../models/masked-lm.ts";
import {
  assemble,
  type Batch,
  type BatchLayout,
  type Example,
} from "../../promptgen/methods/promptgen/batch.ts";
import { Generator, type Prompts } from "../../promptgen/methods/promptgen/generator.ts";
import { objective, Reader } from "../../promptgen/methods/promptgen/objective.ts";
import { classesOf, type StepSettings } from "../../tools/commands/fullsize/process.ts";
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
