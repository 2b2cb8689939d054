/** Pre-trains a model on the texts of files: what `node tools/pretrain.ts FILE...` does. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Device } from "../../../engine/device.ts";
import { BartForConditionalGeneration } from "../../../models/bart.ts";
import { failAbout } from "../../../models/errors.ts";
import { readText } from "../../../models/formats/disk.ts";
import { writeWhole } from "../../../models/formats/files.ts";
import { isObject, type Json } from "../../../models/formats/json.ts";
import { modelType, randomMaskedLM } from "../../../models/registry.ts";
import { copyTokenizer, type Saveable, saveCheckpoint } from "../../../models/save.ts";
import { loadTokenizer, type Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { openCache, type TextCache } from "../../../promptgen/pretraining/corpus/cache.ts";
import type { Fields } from "../../../promptgen/pretraining/corpus/texts.ts";
import type { WordMaskingOptions } from "../../../promptgen/pretraining/damage.ts";
import {
  AROUND,
  type DenoisingOptions,
  TextGroups,
  type TextProblem,
  textDenoising,
  textMasking,
  validation,
} from "../../../promptgen/pretraining/texts.ts";
import { type LoopSettings, train } from "../../../promptgen/training/loop.ts";
import {
  type JsonObject,
  type RunFolder,
  sameConfiguration,
} from "../../../promptgen/training/run-folder.ts";
import { note, Progress, printResult, Rate, say, UsageError } from "../../lib/cli.ts";
import { linePlot } from "../../lib/plot.ts";

/** What decides the weights, beside the files. */
export type CorpusSettings = {
  readonly fields: Fields;
  /** Tokens of the longest text with those around it; 0: what the model reads, 512 at most. */
  readonly length: number;
  readonly heldOut: number;
  readonly heldOutTexts: number;
  readonly buckets: number;
  readonly loop: LoopSettings;
  readonly masking: WordMaskingOptions;
  readonly denoising: DenoisingOptions;
};

export type CorpusJob = {
  readonly files: readonly string[];
  /** A config.json or its folder. */
  readonly config: string;
  /** Folder of the tokenizer. */
  readonly tokenizer: string;
  readonly cache: string;
  readonly folder: RunFolder;
  readonly settings: CorpusSettings;
  readonly resume: boolean;
  readonly threads?: number | undefined;
  readonly signal: AbortSignal;
  /** Opened when all else is known to fit. */
  readonly open: () => Promise<Device>;
};

async function readConfig(given: string): Promise<{ json: Json; path: string }> {
  const isFolder = (await stat(given).catch(() => undefined))?.isDirectory() === true;
  const path = isFolder ? join(given, "config.json") : given;
  const fail = failAbout("config", path);
  const text = await readText(path, fail, "name the config.json of a BERT, RoBERTa or BART");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return fail("is not JSON; mend it", cause);
  }
  return isObject(json) ? { json, path } : fail("is no JSON object; mend it");
}

function checkVocabulary(path: string, json: Json, tokenizer: Tokenizer, folder: string): void {
  if (json.vocab_size === tokenizer.size) return;
  throw new UsageError(
    `[pretrain] ${path} has vocab_size ${JSON.stringify(json.vocab_size)}, but the tokenizer in ${folder} has ${tokenizer.size} ids; write ${tokenizer.size} into it, or name its tokenizer`,
  );
}

/** The problem of a config's architecture, when the texts are there. */
type Built = {
  readonly model: Saveable & { readonly positions: number };
  /** Its options by their names on the command line. */
  readonly task: JsonObject;
  problem(groups: TextGroups): TextProblem<object>;
};

function build(
  json: Json,
  path: string,
  tokenizer: Tokenizer,
  { loop, masking, denoising }: CorpusSettings,
): Built {
  const checkpoint = { config: json, tensors: new Map(), where: dirname(path) };
  const type = modelType(checkpoint);
  if (type === "bert" || type === "roberta") {
    const model = randomMaskedLM(checkpoint, loop.seed);
    return {
      model,
      task: { "mask-rate": masking.rate, "object-rate": masking.object },
      problem: (groups) => textMasking(model, tokenizer, groups, masking),
    };
  }
  if (type === "bart") {
    if (masking.object > 0) {
      throw new UsageError(
        `[pretrain] --object-rate is for masked LMs, and ${path} is a bart; leave it out`,
      );
    }
    const model = BartForConditionalGeneration.random(json, loop.seed);
    return {
      model,
      task: {
        "mask-rate": denoising.rate,
        span: denoising.span,
        "keep-order": !denoising.permute,
      },
      problem: (groups) => textDenoising(model, tokenizer, groups, denoising),
    };
  }
  throw new UsageError(
    `[pretrain] ${path} has model_type ${JSON.stringify(type ?? null)}; corpora train bert, roberta and bart`,
  );
}

/** Options of both kinds of model by their names on the command line. */
const optionsOf = ({ buckets, heldOutTexts, loop }: CorpusSettings): JsonObject => ({
  buckets,
  "held-out-texts": heldOutTexts,
  epochs: loop.epochs,
  "max-steps": loop.maxSteps ?? 0,
  "batch-size": loop.batchSize,
  accumulate: loop.accumulate ?? 1,
  lr: loop.lr,
  warmup: loop.warmup,
  "weight-decay": loop.weightDecay,
  clip: loop.clip,
  seed: loop.seed,
  evaluations: loop.evaluationsPerEpoch,
});

/** Throws one sentence that names what a run cannot go on with. */
function checkResume(saved: JsonObject, wanted: JsonObject, where: string): void {
  const { corpus: _names, model, texts, ...options } = wanted;
  const others = [
    ["model", model, "config.json"],
    ["texts", texts, "corpus, tokenizer or way of reading it"],
  ] as const;
  for (const [key, own, what] of others) {
    if (saved[key] === own) continue;
    throw new UsageError(
      `[resume] the run in ${where} was started with another ${what}; resume it with the same, or start another run with another --out`,
    );
  }
  sameConfiguration(saved, options, where);
}

const sha = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);

/** What a corpus came to, in a line. */
function described({ train: trained, heldOut, description }: TextCache): string {
  const { counts, tokens } = description;
  const notes = [
    `${trained.count} texts to train on and ${heldOut.count} held out`,
    `${tokens} tokens of ${counts.lines} lines`,
    ...(counts.empty > 0 ? [`${counts.empty} lines were empty`] : []),
    ...(counts.cut > 0 ? [`${counts.cut} texts were too long and are cut in several`] : []),
    ...(counts.unusable > 0 ? [`${counts.unusable} without a known word are left out`] : []),
  ];
  return `corpus: ${notes.join(", ")}`;
}

async function prepared(job: CorpusJob, most: number): Promise<TextCache | undefined> {
  const { files, settings, signal, threads } = job;
  const begun = performance.now();
  let said = begun;
  return openCache(job.cache, {
    files,
    tokenizer: job.tokenizer,
    options: { fields: settings.fields, most, heldOut: settings.heldOut },
    threads,
    signal,
    onProgress(bytes) {
      const now = performance.now();
      if (now - said < 10_000) return;
      said = now;
      const rate = bytes / 1000 / (now - begun);
      say(`corpus ${Math.round(bytes / 1e6)} MB in tokens, ${rate.toFixed(1)} MB/s\n`);
    },
  });
}

/** Trains a model on a corpus; false when the signal came. */
export async function pretrainCorpus(job: CorpusJob): Promise<boolean> {
  const { settings, folder, signal, resume } = job;
  const { loop } = settings;
  const { json, path } = await readConfig(job.config);
  const tokenizer = await loadTokenizer(job.tokenizer);
  checkVocabulary(path, json, tokenizer, job.tokenizer);
  const { model, problem: problemOf, task } = build(json, path, tokenizer, settings);
  const longest = Math.min(model.positions, 512);
  const length = settings.length === 0 ? longest : settings.length;
  if (length > model.positions) {
    throw new UsageError(
      `[pretrain] --length is ${length}, and the model of ${path} reads ${model.positions} tokens; choose at most that`,
    );
  }
  const goesOn = resume && folder.exists();
  if (!goesOn && folder.hasStarted()) {
    throw new UsageError(
      `[pretrain] ${folder.path} holds a run; go on with it by --resume, or name another --out`,
    );
  }
  const cache = await prepared(job, length - AROUND);
  if (!cache) return false;
  if (settings.heldOut > 0 && cache.heldOut.count === 0) {
    throw new UsageError(
      `[pretrain] --held-out ${settings.heldOut} of ${cache.train.count} texts is none; choose a larger share, or 0`,
    );
  }
  note(described(cache));
  const configuration: JsonObject = {
    corpus: job.files.map((file) => basename(file)).join(", "),
    model: sha(json),
    texts: sha(cache.description.key),
    length,
    ...task,
    ...optionsOf(settings),
  };
  const identity = JSON.stringify(configuration);
  if (goesOn) {
    checkResume(await folder.readJson("run.json"), configuration, folder.path);
    for (const remark of await folder.check()) note(remark);
  } else await folder.begin(configuration);
  const device = await job.open();
  note(device.description);
  const problem = problemOf(new TextGroups(cache, cache.train, settings.buckets));
  const held = new TextGroups(cache, cache.heldOut, settings.buckets);
  const evaluate =
    cache.heldOut.count > 0
      ? validation(device, problem, held, loop.batchSize, settings.heldOutTexts, signal)
      : undefined;
  const rate = new Rate();
  let bar: Progress | undefined;
  const outcome = await train({
    device,
    problem,
    settings: loop,
    folder,
    resume: goesOn && existsSync(folder.last), // stopped before its first checkpoint, it begins anew
    signal,
    identity,
    saveEvery: 200,
    ...(evaluate ? { evaluate } : {}),
    saveBest: () => saveWith(folder.best, device, model, job.tokenizer),
    onStep({ step, steps, items, terms, seconds }) {
      bar ??= new Progress("pretrain", steps, step - 1, "texts/s");
      bar.update(step, `loss ${terms.loss.toFixed(3)}`, rate.add(items, seconds));
    },
  });
  bar?.stop();
  cache.close();
  if (!outcome.finished) return false;
  await saveWith(folder.file("final"), device, model, job.tokenizer);
  await writeCurve(folder);
  const best = outcome.best
    ? `, ${folder.best} has the best on what is held out (${(-outcome.best.score).toFixed(4)} after step ${outcome.best.step})`
    : "";
  const final = folder.file("final");
  printResult(
    {
      steps: outcome.steps,
      final,
      best: outcome.best && {
        path: folder.best,
        loss: -outcome.best.score,
        step: outcome.best.step,
      },
    },
    () => `${outcome.steps} steps; ${final} has the last weights${best}`,
  );
  return true;
}

/** A directory that transformers loads. */
async function saveWith(
  path: string,
  device: Device,
  model: Saveable,
  tokenizer: string,
): Promise<void> {
  if (!existsSync(join(path, "config.json"))) await copyTokenizer(tokenizer, path);
  await saveCheckpoint(path, device, model);
}

/** Writes the losses as CSV and SVG beside log.jsonl. */
async function writeCurve(folder: RunFolder): Promise<void> {
  const rows = await folder.readLog();
  const points = (name: string) =>
    rows.flatMap((row) => (typeof row[name] === "number" ? [[row.step, row[name]] as const] : []));
  const cell = (value: unknown): string => (typeof value === "number" ? value.toFixed(4) : "");
  const lines = rows.map((row) => `${row.step},${cell(row.loss)},${cell(row.validationLoss)}\n`);
  await writeWhole(folder.file("curve.csv"), `step,loss,validation_loss\n${lines.join("")}`);
  const curves = [
    { label: "training, mean since the last point", color: "#1f5fa8", points: points("loss") },
    { label: "held out", color: "#b04a2f", points: points("validationLoss") },
  ].filter((curve) => curve.points.length > 0);
  const plot = linePlot("Pre-training", "step", "nats a token", curves);
  await writeWhole(folder.file("curve.svg"), plot);
}
