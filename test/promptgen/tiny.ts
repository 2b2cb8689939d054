/** A run that is small in every way: a random pair of one layer, two relations of the embedded world, two buckets. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../engine/device.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { saveCheckpoint } from "../../models/save.ts";
import { itemsOf } from "../../promptgen/benchmark.ts";
import type { Options } from "../../promptgen/methods/options.ts";
import { type PromptGenOptions, promptProblem } from "../../promptgen/methods/promptgen/index.ts";
import { PromptGenPrompter } from "../../promptgen/methods/promptgen/prompter.ts";
import { type Prepared, prepare, type RunOptions, runOptions } from "../../promptgen/run.ts";
import { embeddedWorld } from "../../promptgen/world/world.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A temporary folder with the pair in bart/ and bert/. `device` is used to read what is saved. */
export async function tinyPair(device: Device): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "promptgen-"));
  process.on("exit", () => rmSync(home, { recursive: true, force: true }));
  const world = embeddedWorld();
  const config = (folder: string) => JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  const bart = {
    ...config(world.bart),
    d_model: 16,
    encoder_layers: 1,
    decoder_layers: 1,
    encoder_attention_heads: 2,
    decoder_attention_heads: 2,
    encoder_ffn_dim: 32,
    decoder_ffn_dim: 32,
    dropout: 0.1,
    init_std: 0.3,
  };
  const bert = {
    ...config(world.bert),
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    initializer_range: 0.3,
  };
  await saveCheckpoint(join(home, "bart"), device, BartForConditionalGeneration.random(bart, 1));
  await saveCheckpoint(join(home, "bert"), device, BertForMaskedLM.random(bert, 2));
  cpSync(join(world.bart, "tokenizer.json"), join(home, "bart", "tokenizer.json"));
  cpSync(join(world.bert, "tokenizer.json"), join(home, "bert", "tokenizer.json"));
  return home;
}

/** A RoBERTa of one layer with the words of the embedded BART. */
export const TINY_ROBERTA = {
  model_type: "roberta",
  vocab_size: 1943,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 66,
  type_vocab_size: 1,
  layer_norm_eps: 1e-5,
  initializer_range: 0.3,
};

/** By their names on the command line, in the order of run.json. */
export const tinyOptions = (home: string) => ({
  method: "promptgen",
  reader: join(home, "bert"),
  data: "world",
  objects: "as-written",
  "reader-weights": "trained",
  "reader-dtype": "f32",
  precision: "f32",
  relations: "P1303,P36",
  seed: 7,
  generator: join(home, "bart"),
  alpha: 0.3,
  m: 2,
  n: 1,
  vocabulary: "common",
  lr: 3e-3,
  warmup: 0.1,
  "weight-decay": 1e-3,
  "batch-size": 16,
  epochs: 1,
  "max-steps": 0,
  accumulate: 1,
  "dev-facts": 0,
  "eval-every": 0,
  patience: 0,
});

/** The same options for the command line. */
export const asArguments = (options: Options): string[] =>
  Object.entries(options).flatMap(([name, value]) =>
    value === "world" ? [] : [`--${name}`, String(value)],
  );

/** A run of PromptGen that can be trained, with what the tests look into. */
export async function preparePromptGen(given: Options): Promise<
  Prepared & {
    readonly prompter: PromptGenPrompter;
    readonly problem: ReturnType<typeof promptProblem>;
  }
> {
  const options: RunOptions = runOptions(given);
  const run = await prepare(options);
  const { prompter, benchmark, buckets } = run;
  if (!(prompter instanceof PromptGenPrompter)) throw new Error("it is no run of PromptGen");
  const { alpha } = options.own as PromptGenOptions;
  const items = itemsOf(benchmark.relations, "train");
  return { ...run, prompter, problem: promptProblem(prompter, items, buckets, alpha) };
}
