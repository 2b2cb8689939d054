/** Pre-trains a model of a world on sentences made from all of its facts, by the recipe that was found to work. */
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { BertForMaskedLM } from "../../../models/bert.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import { streamTensors, tensorsOf } from "../../../models/save.ts";
import { T5ForConditionalGeneration } from "../../../models/t5.ts";
import { loadTokenizer, type Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { type LoopSettings, type Problem, train } from "../../../models/training/loop.ts";
import { Random } from "../../../models/training/random.ts";
import type { RunFolder } from "../../../models/training/run-folder.ts";
import type { ModelWeights } from "../../../models/weights.ts";
import { loadFacts } from "../../../promptgen/facts/facts.ts";
import { leftOutMessage } from "../../../promptgen/facts/left-out.ts";
import { denoising, maskedLM, spanCorruption } from "../../../promptgen/pretraining/pretraining.ts";
import {
  epochSentences,
  loadPatterns,
  MANUAL_SHARE,
  type Sentence,
  statements,
} from "../../../promptgen/world/world.ts";
import { note, Progress, printResult, Rate } from "../../lib/cli.ts";
import { linePlot } from "../../lib/plot.ts";

/** What was found to work; see docs/training.md. */
export const RECIPE = {
  bert: {
    settings: { epochs: 7, batchSize: 32, lr: 2e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    masking: { object: 0.95, copy: 0.8, other: 0.05 },
    shares: { manual: 0.005, none: 0.1 },
  },
  bart: {
    settings: { epochs: 4, batchSize: 32, lr: 2e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    infill: { least: 0.3, most: 0.8, span: 3, paraphrase: 0.7 },
    shares: { manual: 0.4, none: 0 },
  },
  t5: {
    settings: { epochs: 8, batchSize: 32, lr: 3e-3, warmup: 0.1, weightDecay: 0.01, clip: 1 },
    spans: { least: 0.3, most: 0.8, span: 3 },
    shares: { manual: 0.005, none: 0 },
  },
};

const TITLES = {
  bert: "Tiny BERT, masked LM",
  bart: "Tiny BART, span in-filling",
  t5: "Tiny T5, span corruption",
};

export const MODELS = ["bert", "bart", "t5"] as const;
type Model = (typeof MODELS)[number];

export type WorldJob = {
  readonly model: Model;
  readonly world: string;
  readonly folder: RunFolder;
  readonly curves: string;
  readonly seed: number;
  readonly epochs: number;
  readonly resume: boolean;
  readonly device: Device;
  readonly signal: AbortSignal;
};

/** Trains one model; false when the signal came. */
export async function pretrainWorld(job: WorldJob): Promise<boolean> {
  const { model, world, seed } = job;
  const directory = join(world, model);
  const config = JSON.parse(await readFile(join(directory, "config.json"), "utf8"));
  const tokenizer = await loadTokenizer(directory);
  const { relations, leftOut, remarks, counts } = await loadFacts(world);
  const read = Object.values(counts).reduce((sum, { raw }) => sum + raw, 0);
  const ids = relations.map(({ id }) => id);
  const left = leftOutMessage(leftOut, read, ids);
  for (const remark of left === "" ? remarks : [...remarks, left]) note(remark);
  const patterns = await loadPatterns(world);
  const { shares } = RECIPE[model];
  const sentences = (epoch: number) => epochSentences(relations, patterns, shares, seed, epoch);
  const first = sentences(0);
  const share = first.filter((sentence) => sentence.manual).length / first.length;
  note(
    `${model}: ${first.length} sentences an epoch, ${(100 * share).toFixed(1)} % of the manual templates (at most ${100 * MANUAL_SHARE} %)`,
  );
  if (model === "bert") {
    const bert = BertForMaskedLM.random(config, seed);
    const problem = maskedLM(bert, tokenizer, sentences, RECIPE.bert.masking);
    return fit(job, problem, bert.weights, directory);
  }
  if (model === "t5") {
    const t5 = T5ForConditionalGeneration.random(config, seed);
    const { spans } = RECIPE.t5;
    const problem = spanCorruption(t5, tokenizer, sentences, spans, sentinelsOf(tokenizer));
    return fit(job, problem, t5.weights, directory);
  }
  const bart = BartForConditionalGeneration.random(config, seed);
  const random = (purpose: number, epoch: number) => new Random(seed, purpose, epoch);
  const infill = { ...RECIPE.bart.infill, statements: (s: Sentence) => statements(s, patterns) };
  const problem = denoising(bart, tokenizer, sentences, infill, random);
  return fit(job, problem, bart.weights, directory);
}

/** Ids of <extra_id_0>, <extra_id_1>, ... */
const sentinelsOf = ({ vocabulary }: Tokenizer): number[] =>
  [...vocabulary].flatMap(([token, id]) => (/^<extra_id_\d+>$/.test(token) ? [id] : [])).reverse();

async function fit<Item, Batch>(
  job: WorldJob,
  problem: Problem<Item, Batch>,
  weights: ModelWeights,
  directory: string,
): Promise<boolean> {
  const { model, folder, seed, epochs, resume, device, signal } = job;
  const settings: LoopSettings = {
    ...RECIPE[model].settings,
    epochs,
    seed,
    evaluationsPerEpoch: 5,
  };
  const identity = JSON.stringify({ ...RECIPE[model], settings });
  const goesOn = resume && folder.exists();
  if (!goesOn) await folder.begin({ model, recipe: identity });
  else for (const remark of await folder.check()) note(remark);
  const rate = new Rate();
  let bar: Progress | undefined;
  const outcome = await train({
    device,
    problem,
    settings,
    folder,
    resume: goesOn && existsSync(folder.last), // stopped before its first checkpoint, it begins anew
    signal,
    identity,
    saveEvery: 200,
    onStep({ step, steps, items, terms }) {
      bar ??= new Progress(model, steps, step - 1, "sentences/s");
      bar.update(step, `loss ${terms.loss.toFixed(3)}`, rate.add(items));
    },
  });
  bar?.stop();
  if (!outcome.finished) return false;
  const path = join(directory, "model.safetensors");
  await writeWhole(path, streamTensors(device, tensorsOf(weights), undefined, "F16"));
  const loss = await writeCurve(job);
  const { size: bytes } = statSync(path);
  printResult(
    { model, loss, bytes, directory },
    () => `${model}: final loss ${loss.toFixed(3)}, ${bytes} bytes in ${directory}`,
  );
  return true;
}

/** Writes the losses as CSV and SVG; gives the last. */
async function writeCurve({ model, folder, curves }: WorldJob): Promise<number> {
  const rows = (await folder.readLog()).filter((row) => typeof row.loss === "number");
  const points = rows.map((row) => [row.step, Number(row.loss)] as const);
  const lines = points.map(([step, loss]) => `${step},${loss.toFixed(4)}`);
  await writeWhole(join(curves, `${model}.csv`), `step,loss\n${lines.join("\n")}\n`);
  const plot = linePlot(`${TITLES[model]}: training loss`, "step", "nats a token", [
    { label: "mean since the last point", color: "#1f5fa8", points },
  ]);
  await writeWhole(join(curves, `${model}.svg`), plot);
  return points[points.length - 1][1];
}
