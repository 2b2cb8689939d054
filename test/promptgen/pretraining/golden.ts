/**
 * The two small pre-trainings that PyTorch repeats: fifty steps of a masked LM and of a BART on a made corpus. As a program it writes
 * what each step was trained on into test/golden/models/pretraining/NAME/batches.json, for tools/reference_pretraining.py to read.
 *
 *     node test/promptgen/pretraining/golden.ts && python3 tools/reference_pretraining.py
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../../engine/device.ts";
import { openDevice } from "../../../engine/open.ts";
import { hostData, type Tensor } from "../../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import type { Checkpoint } from "../../../models/formats/checkpoint.ts";
import { type LoopSettings, type StoredProblem, train } from "../../../models/training/loop.ts";
import { TextGroups, textDenoising, textMasking } from "../../../promptgen/pretraining/texts.ts";
import {
  bartTokenizer,
  bertTokenizer,
  cacheOf,
  fileOf,
  madeTexts,
  TINY_BART,
  TINY_BERT,
  world,
} from "./corpora.ts";

export const SETTINGS: LoopSettings = {
  epochs: 3,
  maxSteps: 50,
  batchSize: 6,
  accumulate: 2,
  lr: 3e-3,
  warmup: 0.1,
  weightDecay: 0.01,
  clip: 1,
  seed: 11,
  evaluationsPerEpoch: 1,
};
export const MASKING = { rate: 0.15, object: 0 };
export const DENOISING = { rate: 0.3, span: 3, other: 0.1, permute: true };

/** A batch as PyTorch is given it: rows without padding. */
type Part = {
  /** Of the items of the step. */
  readonly items: number;
  readonly ids: number[][];
  /** What is asked: [row, place, id] of a masked LM; of a BART what the decoder is to write, a list a row. */
  readonly labels: number[][];
  /** What the decoder reads. */
  readonly prefix?: number[][];
};

const rowsOf = (ids: Tensor, mask: Tensor): number[][] => {
  const [rows, width] = ids.shape;
  const [values, live] = [hostData(ids), hostData(mask)];
  return Array.from({ length: rows }, (_, b) =>
    Array.from(values.slice(b * width, (b + 1) * width)).filter(
      (_, t) => live[b * width + t] === 1,
    ),
  );
};

function maskedPart(batch: Readonly<Record<string, Tensor>>, items: number): Part {
  const width = batch.ids.shape[1];
  const [rows, targets, weights] = [batch.rows, batch.targets, batch.weights].map(hostData);
  const labels = Array.from(rows).flatMap((row, i) =>
    weights[i] === 0 ? [] : [[Math.floor(row / width), row % width, targets[i]]],
  );
  return { items, ids: rowsOf(batch.ids, batch.mask).slice(0, items), labels };
}

function writtenPart(batch: Readonly<Record<string, Tensor>>, items: number): Part {
  const [width, rows] = batch.prefix.shape;
  const [prefix, targets, weights] = [batch.prefix, batch.targets, batch.weights].map(hostData);
  const columns = (values: ArrayLike<number>): number[][] =>
    Array.from({ length: items }, (_, b) =>
      Array.from({ length: width }, (_, t) => t * rows + b)
        .filter((at) => weights[at] === 1)
        .map((at) => values[at]),
    );
  const ids = rowsOf(batch.ids, batch.mask).slice(0, items);
  return { items, ids, prefix: columns(prefix), labels: columns(targets) };
}

/** Trains and tells what each step was trained on, and its loss. */
async function recorded<Item, Batch extends Readonly<Record<string, Tensor>>>(
  device: Device,
  problem: StoredProblem<Item, Batch>,
  partOf: (batch: Readonly<Record<string, Tensor>>, items: number) => Part,
): Promise<{ steps: Part[][]; losses: number[] }> {
  const made: Part[] = [];
  const items: number[] = [];
  const losses: number[] = [];
  const watched: typeof problem = {
    ...problem,
    collate(own, width, rows, random) {
      const batch = problem.collate(own, width, rows, random);
      made.push(partOf(batch, own.length));
      return batch;
    },
  };
  await train({
    device,
    problem: watched,
    settings: SETTINGS,
    onStep(report) {
      items.push(report.items);
      losses.push(report.terms.loss);
    },
  });
  const steps = items.map((count) => {
    const parts: Part[] = [];
    for (let seen = 0; seen < count; seen += parts[parts.length - 1].items) {
      const next = made.shift();
      if (next) parts.push(next);
    }
    return parts;
  });
  return { steps, losses };
}

/** Texts of the golden, the same for both. */
const corpus = fileOf(madeTexts(260));

export async function bertRun(device: Device, weights?: Checkpoint) {
  const model = weights ? BertForMaskedLM.from(weights) : BertForMaskedLM.random(TINY_BERT, 1);
  const cache = await cacheOf([corpus], world.bert, { most: 30 });
  const groups = new TextGroups(cache, cache.train, 3);
  return recorded(device, textMasking(model, bertTokenizer, groups, MASKING), maskedPart);
}

export async function bartRun(device: Device, weights?: Checkpoint) {
  const model = weights
    ? BartForConditionalGeneration.from(weights)
    : BartForConditionalGeneration.random(TINY_BART, 1);
  const cache = await cacheOf([corpus], world.bart, { most: 30 });
  const groups = new TextGroups(cache, cache.train, 3);
  return recorded(device, textDenoising(model, bartTokenizer, groups, DENOISING), writtenPart);
}

const OUT = fileURLToPath(new URL("../../golden/models/pretraining", import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const device = await openDevice({ device: "cpu", threads: 1 });
  for (const [name, run, config] of [
    ["bert", bertRun, TINY_BERT],
    ["bart", bartRun, TINY_BART],
  ] as const) {
    const { steps } = await run(device);
    mkdirSync(join(OUT, name), { recursive: true });
    writeFileSync(join(OUT, name, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    writeFileSync(
      join(OUT, name, "batches.json"),
      `${JSON.stringify({ settings: SETTINGS, steps })}\n`,
    );
  }
  process.exit(0);
}
