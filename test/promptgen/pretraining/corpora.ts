/** Small corpora for tests of pre-training: made sentences of the embedded world's words, files, caches, problems. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Json } from "../../../models/formats/json.ts";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { Random } from "../../../models/training/random.ts";
import { openCache, type TextCache } from "../../../promptgen/pretraining/corpus/cache.ts";
import type { CutOptions } from "../../../promptgen/pretraining/corpus/texts.ts";
import { embeddedWorld } from "../../../promptgen/world/world.ts";

export const world = embeddedWorld();
export const bertTokenizer = await loadTokenizer(world.bert);
export const bartTokenizer = await loadTokenizer(world.bart);

export const configOf = (folder: string): Json =>
  JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));

export const TINY_BERT: Json = {
  ...configOf(world.bert),
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 32,
};

export const TINY_BART: Json = {
  ...configOf(world.bart),
  d_model: 16,
  encoder_attention_heads: 2,
  decoder_attention_heads: 2,
  encoder_ffn_dim: 32,
  decoder_ffn_dim: 32,
  dropout: 0,
  max_position_embeddings: 32,
};

/** A folder that goes with the process. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "promptgen-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const WORDS =
  "the river city old music plays capital is of in and was born lives speaks language Quorvax Zimblet , None".split(
    " ",
  );

/** Texts of one to three sentences, 3 to 19 words, some of which are made of several pieces. */
export function madeTexts(count: number, seed = 1): string[] {
  const random = new Random(seed, 0);
  const sentence = (): string => {
    const words = Array.from(
      { length: 3 + random.below(4) },
      () => WORDS[random.below(WORDS.length)],
    );
    return `${words.join(" ")} .`;
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + random.below(3) }, sentence).join(" "),
  );
}

export const OPTIONS: CutOptions = { fields: { text: "text" }, most: 120, heldOut: 0 };

/** The cache of files in a folder of its own; throws where it is stopped. */
export async function cacheOf(
  files: readonly string[],
  tokenizer: string,
  options: Partial<CutOptions> = {},
  folder = join(temporary(), "cache"),
): Promise<TextCache> {
  const all = { ...OPTIONS, ...options };
  const cache = await openCache(folder, { files, tokenizer, options: all, threads: 1 });
  if (!cache) throw new Error("it was stopped");
  return cache;
}

/** A file of lines. */
export function fileOf(lines: readonly string[], name = "corpus.txt"): string {
  const path = join(temporary(), name);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}
