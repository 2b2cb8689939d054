/**
 * Which files of a repository, or of a folder, a model of ours reads, by their names. The names themselves are said where the
 * files are read: in formats/checkpoint.ts and tokenizer/files.ts.
 */
import { INDEX, WEIGHTS } from "../formats/checkpoint.ts";
import { TOKENIZER_FILES, tokenizerFiles } from "../tokenizer/files.ts";

/** A part of a model that a caller reads; files of other parts are not downloaded. */
export type ModelPart = "config" | "tokenizer" | "weights";

/** How texts are written; older repositories have it in config.json. Taken where the repository has it. */
const GENERATION_CONFIG = "generation_config.json";
export const PARTS: readonly ModelPart[] = ["config", "tokenizer", "weights"];

/** The files to take, in order, and what is missing, in words. */
export type ModelFiles = {
  readonly files: readonly string[];
  /** The last of `files`, where it lists shards that have to be taken too. */
  readonly index: string | undefined;
  readonly missing: readonly string[];
};

/**
 * The files to take of a repository (or folder) with the given names. Weights stand last: a snapshot
 * that has them was not broken off.
 */
export function chooseFiles(
  names: ReadonlySet<string>,
  parts: readonly ModelPart[] = PARTS,
): ModelFiles {
  const files: string[] = [];
  const missing: string[] = [];
  if (parts.includes("tokenizer")) {
    const found = tokenizerFiles(names);
    if (found) files.push(...found);
    else missing.push(TOKENIZER_FILES);
  }
  if (parts.includes("config")) {
    if (names.has(GENERATION_CONFIG)) files.push(GENERATION_CONFIG);
    if (names.has("config.json")) files.push("config.json");
    else missing.push("config.json");
  }
  const weights = WEIGHTS.find((name) => names.has(name));
  if (!parts.includes("weights")) return { files, index: undefined, missing };
  if (weights) files.push(weights);
  else missing.push("model.safetensors or pytorch_model.bin (whole, or an index with shards)");
  return { files, index: weights?.endsWith(INDEX) ? weights : undefined, missing };
}
