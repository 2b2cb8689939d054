/** A run of tools/train.ts on disk: its options in run.json, and how it is loaded again. */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { Device } from "../../engine/device.ts";
import { initialPieces, type Tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { tokenizerFiles } from "../../models/tokenizer/files.ts";
import { FLOOR } from "../../promptgen/methods/promptgen/objective.ts";
import type { Sources, System } from "../../promptgen/methods/promptgen/system.ts";
import type { TrainerSettings } from "../../promptgen/methods/promptgen/trainer.ts";
import type { JsonObject, RunFolder } from "../../promptgen/training/run-folder.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { modelDirectory } from "../lib/cli.ts";

/** The options that decide a run, by their names on the command line. */
export interface RunOptions {
  /** Folders, or for models names on the Hub; "world" is what comes with the package. */
  readonly generator: string;
  readonly mlm: string;
  readonly data: string;
  /** Ids joined by commas; empty for all. */
  readonly relations: string;
  readonly alpha: number;
  readonly m: number;
  readonly n: number;
  readonly lr: number;
  readonly warmup: number;
  readonly "weight-decay": number;
  readonly "batch-size": number;
  readonly epochs: number;
  readonly seed: number;
}

/** run.json. */
export interface RunFile {
  readonly options: RunOptions;
  readonly contents: System["contents"];
  readonly choices: JsonObject;
}

/** What stands for a folder of the embedded world in run.json, so that a run can be moved. */
export const WORLD = "world";

/** Folders and prompt lengths of a run whose models are `located`. */
export function sourcesOf(options: RunOptions): Sources {
  const world = embeddedWorld();
  const folder = (given: string, embedded: string) => (given === WORLD ? embedded : resolve(given));
  return {
    data: folder(options.data, world.data),
    generator: folder(options.generator, world.bart),
    mlm: folder(options.mlm, world.bert),
    relations: options.relations === "" ? undefined : options.relations.split(","),
    m: options.m,
    n: options.n,
  };
}

/** The options with the folders of models that are named, which are downloaded where they are not in the cache. */
export async function located(options: RunOptions): Promise<RunOptions> {
  const folder = (given: string) =>
    given === WORLD || isAbsolute(given) ? given : modelDirectory(given);
  const generator = await folder(options.generator);
  return { ...options, generator, mlm: await folder(options.mlm) };
}

/** The options as the trainer takes them. */
export const settingsOf = (options: RunOptions): TrainerSettings => ({
  alpha: options.alpha,
  epochs: options.epochs,
  batchSize: options["batch-size"],
  lr: options.lr,
  warmup: options.warmup,
  weightDecay: options["weight-decay"],
  clip: 1,
  seed: options.seed,
  evaluationsPerEpoch: 3,
});

/** What a checkpoint must share with the run that goes on from it. */
export const identityOf = (options: RunOptions, { contents }: System): string =>
  JSON.stringify([options, contents]);

/** What the paper leaves open and what was done here; part of run.json. */
export const CHOICES: JsonObject = {
  encoderInput: "the manual template with <mask> for the object",
  decoderPrefix: "</s> <s> subject",
  commonVocabulary:
    "words that follow a space in BART and are whole words in BERT, and </s> with [SEP]",
  earlyStop:
    "an argmax of </s> ends the segment; later slots are masked, positions count live slots",
  temperature: 1,
  finalPeriod: false,
  none: 'the same prompt with "None" for the subject, in the masked LM only',
  floor: FLOOR,
  dropout: "the generator's own in training, none in the masked LM",
  optimizer:
    "AdamW 0.9 0.999 1e-8, no decay on biases and LayerNorm, linear warm-up and decay, clip 1.0",
  selection: "mean over relations on the dev facts, before the first step and three times an epoch",
  answers: "argmax over the common words that are one token of the masked LM",
};

/** Reads run.json. */
export async function readRun(folder: RunFolder): Promise<RunFile> {
  const file = await folder.readJson("run.json");
  if (typeof file.options !== "object" || typeof file.contents !== "object") {
    throw new Error(`[run] ${folder.path} is no run of tools/train.ts; name the folder of one`);
  }
  return file as unknown as RunFile;
}

/** Makes best/ a complete checkpoint directory: the generator's tokenizer goes there. */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of tokenizerFiles(new Set(await readdir(from))) ?? []) {
    await copyFile(join(from, name), join(to, name));
  }
}

/** What a state begins with, f32. */
async function valuesOf(source: Tensor): Promise<Float32Array> {
  const values = new Float32Array(source.size);
  let at = 0;
  for await (const piece of initialPieces(source)) {
    values.set(piece, at);
    at += piece.length;
  }
  return values;
}

/** Puts the weights of a checkpoint directory into the system's generator. */
export async function loadGenerator(
  device: Device,
  { bart }: System,
  directory: string,
): Promise<void> {
  const loaded = await BartForConditionalGeneration.load(directory);
  for (const kind of ["parameters", "buffers"] as const) {
    for (const [name, target] of bart.weights[kind]) {
      const source = loaded.weights[kind].get(name);
      if (source) device.write(target, await valuesOf(source));
    }
  }
}
