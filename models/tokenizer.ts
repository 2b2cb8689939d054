/**
 * Tokenizers of BERT (WordPiece) and BART (byte-level BPE) over `@huggingface/tokenizers`.
 *
 * A directory may hold `tokenizer.json`, or only the older files: `vocab.txt` (BERT) or
 * `vocab.json` with `merges.txt` (BART). The structure of tokenizer.json is built from those here.
 */
import { Tokenizer as Backend } from "@huggingface/tokenizers";

/**
 * The role of a special token; BERT has cls and sep, BART bos and eos, both have mask, pad and unk.
 */
export type Role = "cls" | "sep" | "bos" | "eos" | "mask" | "pad" | "unk";

/** Contents of a tokenizer's files, by file name; absent files are left out. */
export interface TokenizerFiles {
  "tokenizer.json"?: string | undefined;
  "tokenizer_config.json"?: string | undefined;
  "vocab.txt"?: string | undefined;
  "vocab.json"?: string | undefined;
  "merges.txt"?: string | undefined;
}

const FILE_NAMES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
] as const satisfies readonly (keyof TokenizerFiles)[];

const BERT_TOKENS: Partial<Record<Role, string>> = {
  cls: "[CLS]",
  sep: "[SEP]",
  mask: "[MASK]",
  pad: "[PAD]",
  unk: "[UNK]",
};

const BART_TOKENS: Partial<Record<Role, string>> = {
  bos: "<s>",
  eos: "</s>",
  mask: "<mask>",
  pad: "<pad>",
  unk: "<unk>",
};

type Json = Record<string, unknown>;

/**
 * Text to ids and back. Ids are indices into the embedding rows of the model of the same directory.
 */
export class Tokenizer {
  /** `wordpiece` for BERT, `bpe` for BART. */
  readonly kind: "wordpiece" | "bpe";
  /** Every token with its id, special tokens too. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Number of ids: one more than the largest. */
  readonly size: number;
  readonly #backend: Backend;
  readonly #tokens: readonly (string | undefined)[]; // by id
  readonly #roles: ReadonlyMap<Role, number>;

  constructor(structure: Json, config: Json, where = "these files") {
    const model = structure.model as Json;
    const type = model?.type;
    if (type !== "WordPiece" && type !== "BPE") {
      throw new Error(
        `[tokenizer] ${where} hold a model of type ${JSON.stringify(type)}; use WordPiece (BERT) or BPE (BART)`,
      );
    }
    this.kind = type === "WordPiece" ? "wordpiece" : "bpe";
    this.#backend = new Backend(structure, config);
    this.vocabulary = this.#backend.get_vocab(true);
    const tokens: (string | undefined)[] = [];
    for (const [token, id] of this.vocabulary) tokens[id] = token;
    this.#tokens = tokens;
    this.size = tokens.length;
    this.#roles = roles(this.kind, this.vocabulary, config, where);
  }

  /**
   * Ids of `text` without special tokens around it; a special token written in the text becomes its
   * own id.
   */
  encode(text: string): number[] {
    return this.#backend.encode(text, { add_special_tokens: false }).ids;
  }

  /** Text of ids, special tokens included as they are written. */
  decode(ids: ArrayLike<number>): string {
    if (ids.length === 0) return "";
    const list = Array.from(ids);
    for (const id of list) this.token(id);
    return this.#backend.decode(list, {
      skip_special_tokens: false,
      clean_up_tokenization_spaces: false,
    });
  }

  /**
   * Id of one token, as spelled in the vocabulary (`##ing`, `Ġword`). Throws when there is none.
   */
  id(token: string): number {
    const id = this.vocabulary.get(token);
    if (id === undefined) {
      throw new Error(
        `[tokenizer] ${JSON.stringify(token)} is not one of the ${this.size} tokens; check its spelling or the vocabulary`,
      );
    }
    return id;
  }

  /** Id of one token, or undefined. */
  idOrUndefined(token: string): number | undefined {
    return this.vocabulary.get(token);
  }

  /** Token of an id. Throws when the id is outside the vocabulary. */
  token(id: number): string {
    const token = this.#tokens[id];
    if (token === undefined) {
      throw new Error(`[tokenizer] id ${id} is outside the vocabulary of ${this.size} tokens`);
    }
    return token;
  }

  /** Id of the special token of a role. Throws for a role that this kind of model does not have. */
  special(role: Role): number {
    const id = this.#roles.get(role);
    if (id === undefined) {
      throw new Error(
        `[tokenizer] a ${this.kind} tokenizer has no ${role} token; it has ${[...this.#roles.keys()].join(", ")}`,
      );
    }
    return id;
  }

  get cls(): number {
    return this.special("cls");
  }
  get sep(): number {
    return this.special("sep");
  }
  get bos(): number {
    return this.special("bos");
  }
  get eos(): number {
    return this.special("eos");
  }
  get mask(): number {
    return this.special("mask");
  }
  get pad(): number {
    return this.special("pad");
  }
  get unk(): number {
    return this.special("unk");
  }
}

/**
 * Reads the tokenizer of a checkpoint directory. Throws when the directory holds no tokenizer, a
 * file is not what its name says, or a special token is missing.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const { readFile } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const files: TokenizerFiles = {};
  for (const name of FILE_NAMES) {
    try {
      files[name] = await readFile(join(directory, name), "utf8");
    } catch (cause) {
      const { code } = cause as { code?: string };
      if (code !== "ENOENT" && code !== "ENOTDIR") throw cause;
    }
  }
  return createTokenizer(files, directory);
}

/** The tokenizer of file contents that are already in memory (a page has no directories). */
export function createTokenizer(files: TokenizerFiles, where = "these files"): Tokenizer {
  const config = parse(files["tokenizer_config.json"] ?? "{}", `${where}/tokenizer_config.json`);
  const whole = files["tokenizer.json"];
  if (whole !== undefined)
    return new Tokenizer(parse(whole, `${where}/tokenizer.json`), config, where);
  const wordPieces = files["vocab.txt"];
  if (wordPieces !== undefined) {
    return new Tokenizer(wordPieceStructure(wordPieces, config), config, where);
  }
  const vocabulary = files["vocab.json"];
  const merges = files["merges.txt"];
  if (vocabulary !== undefined && merges !== undefined) {
    const entries = parse(vocabulary, `${where}/vocab.json`);
    return new Tokenizer(bytePairStructure(entries, merges, config), config, where);
  }
  throw new Error(
    `[tokenizer] ${where} holds neither tokenizer.json, nor vocab.txt, nor vocab.json with merges.txt; ` +
      "name the directory of a BERT or BART checkpoint",
  );
}

function wordPieceStructure(text: string, config: Json): Json {
  const lines = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (lines.at(-1) === "") lines.pop();
  const vocab = Object.fromEntries(lines.map((token, id) => [token, id]));
  const tokens = roleTokens("wordpiece", config);
  return {
    version: "1.0",
    added_tokens: addedTokens(vocab, tokens, false),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case === true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: tokens.unk,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

function bytePairStructure(vocab: Json, mergesText: string, config: Json): Json {
  const merges = mergesText
    .split("\n")
    .map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line))
    .filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")))
    .map((line) => line.split(" "));
  const tokens = roleTokens("bpe", config);
  const bytes = { add_prefix_space: config.add_prefix_space === true, trim_offsets: true };
  return {
    version: "1.0",
    // <mask> takes the place of a word, so it eats the space before it
    added_tokens: addedTokens(vocab, tokens, true),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", ...bytes, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", ...bytes },
    model: { type: "BPE", unk_token: tokens.unk, vocab, merges },
  };
}

function addedTokens(vocab: Json, tokens: Partial<Record<Role, string>>, maskStrips: boolean) {
  return Object.entries(tokens)
    .filter(([, content]) => Object.hasOwn(vocab, content))
    .map(([role, content]) => ({
      id: vocab[content],
      content,
      single_word: false,
      lstrip: maskStrips && role === "mask",
      rstrip: false,
      normalized: false,
      special: true,
    }));
}

/** Spelling of each role: tokenizer_config.json's own, else the family's. */
function roleTokens(kind: Tokenizer["kind"], config: Json): Partial<Record<Role, string>> {
  const family = kind === "wordpiece" ? BERT_TOKENS : BART_TOKENS;
  const found: Partial<Record<Role, string>> = {};
  for (const [role, usual] of Object.entries(family) as [Role, string][]) {
    const named = config[`${role}_token`];
    const content =
      typeof named === "object" && named !== null ? (named as Json).content : (named ?? usual);
    found[role] = typeof content === "string" ? content : usual;
  }
  return found;
}

function roles(
  kind: Tokenizer["kind"],
  vocabulary: ReadonlyMap<string, number>,
  config: Json,
  where: string,
): Map<Role, number> {
  const ids = new Map<Role, number>();
  const missing: string[] = [];
  for (const [role, token] of Object.entries(roleTokens(kind, config)) as [Role, string][]) {
    const id = vocabulary.get(token);
    if (id === undefined) missing.push(`${token} (${role})`);
    else ids.set(role, id);
  }
  if (missing.length > 0) {
    throw new Error(
      `[tokenizer] ${where} lack the special tokens ${missing.join(", ")}; add them to the vocabulary`,
    );
  }
  return ids;
}

function parse(text: string, where: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`[tokenizer] ${where} is not JSON; fetch the file again`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`[tokenizer] ${where} is not a JSON object; fetch the file again`);
  }
  return value as Json;
}
