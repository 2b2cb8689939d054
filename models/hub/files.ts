/**
 * Which files of a place a model of ours reads, by their names: the one list of them, for whoever looks for them and whoever
 * fetches them.
 */

/** A part of a model that a caller reads; files of other parts are not downloaded. */
export type ModelPart = "config" | "tokenizer" | "weights";

export const PARTS: readonly ModelPart[] = ["config", "tokenizer", "weights"];

/** The fields of a model; they also say which kind of tokenizer older files are of. */
export const MODEL_CONFIG = "config.json";

/** How texts are written; older repositories have it in config.json. Taken where it is there. */
export const GENERATION_CONFIG = "generation_config.json";

/** How the name of a list of shards ends. */
export const INDEX = ".index.json";

/** Where weights may be, in the order in which transformers looks for them; the first that is there is taken. */
export const WEIGHTS: readonly string[] = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

/** Sets of files that each hold a whole tokenizer, in the order in which they are looked for. */
export const WHOLE = "tokenizer.json";
export const OLDER = { wordpiece: ["vocab.txt"], bpe: ["vocab.json", "merges.txt"] } as const;
const SETS = [[WHOLE], OLDER.wordpiece, OLDER.bpe] as const;

/** What is read beside them, where it is there. */
export const ADDED = "added_tokens.json";
const SETTINGS = ["tokenizer_config.json", "special_tokens_map.json", ADDED] as const;

/** Every file of a tokenizer that is read, where it is there. */
export const FILE_NAMES = [...SETS.flat(), ...SETTINGS, MODEL_CONFIG] as const;

export const SETS_IN_WORDS = SETS.map((set) => set.join(" with "));

/** What makes a tokenizer, in words: one of these. */
export const TOKENIZER_FILES = new Intl.ListFormat("en", { type: "disjunction" }).format(
  SETS_IN_WORDS,
);

/** No text that is read is larger: bytes. */
export const TEXT_LIMIT = 64 * 2 ** 20;

/**
 * Which files of a folder make its tokenizer: the settings, then the first set that is whole. Undefined where there is no
 * whole set.
 */
export function tokenizerFiles(names: ReadonlySet<string>): string[] | undefined {
  const found = SETS.find((set) => set.every((name) => names.has(name)));
  return found && [...SETTINGS.filter((name) => names.has(name)), ...found];
}

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
    const older = found && !found.includes(WHOLE); // their kind stands in the model's fields
    if (older && !parts.includes("config") && names.has(MODEL_CONFIG)) files.push(MODEL_CONFIG);
    if (found) files.push(...found);
    else missing.push(TOKENIZER_FILES);
  }
  if (parts.includes("config")) {
    if (names.has(GENERATION_CONFIG)) files.push(GENERATION_CONFIG);
    if (names.has(MODEL_CONFIG)) files.push(MODEL_CONFIG);
    else missing.push(MODEL_CONFIG);
  }
  const weights = WEIGHTS.find((name) => names.has(name));
  if (!parts.includes("weights")) return { files, index: undefined, missing };
  if (weights) files.push(weights);
  else missing.push("model.safetensors or pytorch_model.bin (whole, or an index with shards)");
  return { files, index: weights?.endsWith(INDEX) ? weights : undefined, missing };
}
