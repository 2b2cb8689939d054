/**
 * Tokenizers of BERT (WordPiece) and of RoBERTa, BART and GPT-2 (byte-level BPE) over `@huggingface/tokenizers`, equal to
 * Python's `tokenizers` (see exact.ts). Knows no model.
 *
 * A directory may hold `tokenizer.json`, or only the older files: `vocab.txt` or `vocab.json` with `merges.txt`.
 */

import { Tokenizer as Backend } from "@huggingface/tokenizers";
import { failAbout, ModelError } from "../errors.ts";
import { readText } from "../formats/text.ts";
import { decodeByteTokens, fromByteCharacters, toByteCharacters } from "./bytes.ts";
import { correct, type LibraryPart, type Part, splitter } from "./exact.ts";
import {
  type Description,
  describe,
  FILE_NAMES,
  type Kind,
  type Role,
  type TokenizerFiles,
} from "./files.ts";

export type { Role, TokenizerFiles } from "./files.ts";

/** What is used of the library. */
type Library = {
  normalizer: (LibraryPart & ((text: string) => string)) | null;
  readonly pre_tokenizer: LibraryPart | null;
  readonly decoder: ((tokens: string[]) => string) | null;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
};

const SPACE = "Ġ"; // a space in byte-level BPE

/**
 * Text to ids and back. Ids are indices into the embedding rows of the model of the same directory.
 */
export class Tokenizer {
  /** `wordpiece` for BERT, `bpe` (byte-level) for RoBERTa and BART. */
  readonly kind: Kind;
  /** Every token with its id, special tokens too, in the order of the ids. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Number of ids: one more than the largest. */
  readonly size: number;
  readonly #library: Library;
  readonly #normalize: (text: string) => string;
  readonly #split: ReturnType<typeof splitter>; // at tokens that are looked for in the text
  readonly #splitNormalized: ReturnType<typeof splitter>; // and in normalized text
  readonly #prefix: string; // of a piece that goes on with a word; WordPiece only
  readonly #tokens: readonly (string | undefined)[]; // by id
  readonly #roles: ReadonlyMap<Role, number>;
  readonly #added: ReadonlySet<number>;
  readonly #written: ReadonlyMap<number, string>; // added tokens that Python writes as it reads them

  constructor({ kind, structure, roles }: Description) {
    this.kind = kind;
    const tokens: (string | undefined)[] = [];
    for (const [token, id] of Object.entries(structure.model.vocab)) tokens[id] = token;
    for (const { id, content } of structure.added_tokens) tokens[id] = content;
    this.#tokens = tokens;
    this.size = tokens.length;
    const vocabulary = new Map<string, number>();
    tokens.forEach((token, id) => {
      if (token !== undefined) vocabulary.set(token, id);
    });
    this.vocabulary = vocabulary;
    this.#roles = new Map([...roles].map(([role, token]) => [role, vocabulary.get(token) ?? -1]));
    this.#added = new Set([...structure.added_tokens.map(({ id }) => id), ...this.#roles.values()]);
    this.#prefix = String(structure.model.continuing_subword_prefix ?? "##");

    // added tokens and the tokens around a text are none of the library's business
    const rest = { ...structure, added_tokens: [], post_processor: null };
    const library = new Backend(rest, {}) as unknown as Library;
    correct(library.normalizer, structure.normalizer as Part);
    correct(library.pre_tokenizer, structure.pre_tokenizer as Part);
    this.#library = library;
    this.#normalize = library.normalizer ?? ((text) => text);
    library.normalizer = null;
    const added = (normalized: boolean) =>
      structure.added_tokens.filter((token) => token.normalized === normalized);
    this.#split = splitter(added(false));
    this.#splitNormalized = splitter(added(true), this.#normalize);
    this.#written = new Map(added(true).map(({ id, content }) => [id, this.#normalize(content)]));
  }

  /**
   * Ids of `text` without special tokens around it; a special token written in the text becomes its
   * own id. A surrogate without its other half is read as U+FFFD.
   */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const section of this.#split(text)) {
      if (typeof section === "number") {
        ids.push(section);
        continue;
      }
      for (const part of this.#splitNormalized(this.#normalize(section))) {
        if (typeof part === "number") ids.push(part);
        else for (const id of this.#library.encode(part, NOTHING_AROUND).ids) ids.push(id);
      }
    }
    return ids;
  }

  /** Text of ids, special tokens included as they are written. */
  decode(ids: ArrayLike<number>): string {
    const tokens = Array.from(ids, (id) => this.#written.get(id) ?? this.token(id));
    if (this.kind === "bpe") return decodeByteTokens(tokens);
    return this.#library.decoder?.(tokens) ?? tokens.join(" ");
  }

  /**
   * Id of one token, as spelled in the vocabulary (`##ing`, `Ġword`). Throws when there is none.
   */
  id(token: string): number {
    const id = this.vocabulary.get(token);
    if (id === undefined) {
      throw new ModelError(
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
      throw new ModelError(`[tokenizer] id ${id} is outside the vocabulary of ${this.size} tokens`);
    }
    return token;
  }

  /**
   * Id of the token that is `word` within a sentence: `word` itself in WordPiece, `Ġword` in
   * byte-level BPE. Throws when there is none.
   */
  wordId(word: string): number {
    const id = this.wordIdOrUndefined(word);
    if (id === undefined) {
      throw new ModelError(
        `[tokenizer] ${JSON.stringify(word)} is not one of the ${this.size} tokens as a whole word; use a word that is, or another vocabulary`,
      );
    }
    return id;
  }

  /** Id of the token that is `word` within a sentence, or undefined. */
  wordIdOrUndefined(word: string): number | undefined {
    const token = this.kind === "bpe" ? SPACE + toByteCharacters(word) : word;
    const id = this.vocabulary.get(token);
    return id === undefined || this.word(id) === undefined ? undefined : id;
  }

  /**
   * The word that a token is within a sentence, or undefined for special tokens, pieces that go on
   * with a word, and bytes that are no whole characters. Throws when the id is outside the vocabulary.
   */
  word(id: number): string | undefined {
    const token = this.token(id);
    if (this.#added.has(id)) return undefined;
    let word: string | undefined = token;
    if (this.kind === "bpe") {
      word = token.startsWith(SPACE) ? fromByteCharacters(token.slice(1)) : undefined;
    } else if (token.startsWith(this.#prefix)) word = undefined;
    return word === undefined || word === "" || /\s/.test(word) ? undefined : word;
  }

  /** Id of the special token of a role. Throws for a role that this kind of model does not have. */
  special(role: Role): number {
    const id = this.#roles.get(role);
    if (id === undefined) {
      throw new ModelError(
        `[tokenizer] this ${this.kind} tokenizer has no ${role} token; it has ${[...this.#roles.keys()].join(", ")}`,
      );
    }
    return id;
  }

  /** What stands before a text for a masked LM: `[CLS]`, or `<s>`. */
  get cls(): number {
    return this.special("cls");
  }
  /** What stands behind it: `[SEP]`, or `</s>`. */
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

const NOTHING_AROUND = { add_special_tokens: false };

/**
 * Reads the tokenizer of a checkpoint directory. Throws when the directory holds no tokenizer, a
 * file is not what its name says, or a special token is missing.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const { existsSync } = await import("node:fs");
  const { join } = await import("node:path");
  const files: TokenizerFiles = {};
  for (const name of FILE_NAMES) {
    const path = join(directory, name);
    if (!existsSync(path)) continue;
    const fail = failAbout(name === "config.json" ? "config" : "tokenizer", path);
    files[name] = await readText(path, fail, "make it a readable file");
  }
  return createTokenizer(files, directory);
}

/** The tokenizer of file contents that are already in memory (a page has no directories). */
export function createTokenizer(files: TokenizerFiles, where = "these files"): Tokenizer {
  const description = describe(files, where);
  try {
    return new Tokenizer(description);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError(
      `[tokenizer] ${where} hold a tokenizer that cannot be built (${reason}); use one as BERT, RoBERTa or BART have`,
      { cause },
    );
  }
}

/** A tokenizer's `encode` that works once for each text. */
export function remembering(
  tokenizer: Pick<Tokenizer, "encode">,
): (text: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (text) => {
    let ids = known.get(text);
    if (!ids) {
      ids = tokenizer.encode(text);
      known.set(text, ids);
    }
    return ids;
  };
}
