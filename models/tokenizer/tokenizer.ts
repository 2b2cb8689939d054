/**
 * Tokenizers: text to ids and back, equal to Python's `tokenizers`. Knows no model.
 *
 * A directory may hold `tokenizer.json`, or only the older files: `vocab.txt` or `vocab.json` with `merges.txt`.
 */

import { failAbout, ModelError } from "../errors.ts";
import { FILE_NAMES, MODEL_CONFIG, type ModelPart, TEXT_LIMIT } from "../hub/files.ts";
import { type ModelSource, openModel } from "../hub/open.ts";
import type { HubOptions } from "../hub/settings.ts";
import { fromByteCharacters, toByteCharacters } from "./bytes.ts";
import { type Decoder, decoder } from "./decoders.ts";
import { splitter } from "./exact.ts";
import { type Description, describe, type Kind, type Role, type TokenizerFiles } from "./files.ts";
import { type Model, model } from "./models.ts";
import { type Normalizer, normalizer } from "./normalizers.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizers.ts";

export type { Role, TokenizerFiles } from "./files.ts";

/** How a vocabulary spells the words of a sentence. */
type Spelling = {
  readonly tokenOf: (word: string) => string;
  /** Undefined for a piece of a word. */
  readonly wordOf: (token: string) => string | undefined;
};

/**
 * Text to ids and back. Ids are indices into the embedding rows of the model of the same directory.
 */
export class Tokenizer {
  /** The kind of its model: `wordpiece` for BERT, `bpe` for RoBERTa, BART and GPT-2, `unigram` for ALBERT and XLM-R. */
  readonly kind: Kind;
  /** Every token with its id, special tokens too, in the order of the ids. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Number of ids: one more than the largest. */
  readonly size: number;
  readonly #normalize: Normalizer;
  readonly #preTokenize: PreTokenizer;
  readonly #model: (word: string) => readonly number[];
  readonly #decode: Decoder;
  readonly #split: ReturnType<typeof splitter>; // at tokens that are looked for in the text
  readonly #splitNormalized: ReturnType<typeof splitter>; // and in normalized text
  readonly #spelling: Spelling;
  readonly #tokens: readonly (string | undefined)[]; // by id
  readonly #roles: ReadonlyMap<Role, number>;
  readonly #added: ReadonlySet<number>;
  readonly #written: ReadonlyMap<number, string>; // added tokens that Python writes as it reads them

  constructor(description: Description) {
    const { kind, place, roles, added_tokens } = description;
    this.kind = kind;
    const tokens: (string | undefined)[] = [];
    for (const [token, id] of description.vocabulary) tokens[id] = token;
    for (const { id, content } of added_tokens) tokens[id] = content;
    this.#tokens = tokens;
    this.size = tokens.length;
    const vocabulary = new Map<string, number>();
    tokens.forEach((token, id) => {
      if (token !== undefined) vocabulary.set(token, id);
    });
    this.vocabulary = vocabulary;
    this.#roles = new Map([...roles].map(([role, token]) => [role, vocabulary.get(token) ?? -1]));
    this.#added = new Set([...added_tokens.map(({ id }) => id), ...this.#roles.values()]);

    const as_written = description.normalizer === null;
    this.#normalize = normalizer(description.normalizer, `${place}: normalizer`);
    this.#preTokenize = preTokenizer(
      description.pre_tokenizer,
      `${place}: pre_tokenizer`,
      as_written,
    );
    this.#model = oncePerWord(model(description.model, description.vocabulary));
    this.#decode = decoder(description.decoder, `${place}: decoder`);
    this.#spelling = spellingOf(description);
    const added = (normalized: boolean) =>
      added_tokens.filter((token) => token.normalized === normalized);
    this.#split = splitter(added(false));
    this.#splitNormalized = splitter(added(true), this.#normalize);
    this.#written = new Map(added(true).map(({ id, content }) => [id, this.#normalize(content)]));
  }

  /**
   * Ids of `text` without special tokens around it; a special token written in the text becomes its
   * own id. A surrogate without its other half is read as U+FFFD.
   */
  encode(text: string): number[] {
    return this.encodeWords(text).flat();
  }

  /**
   * The ids of `encode`, word by word as the pre-tokenizer cuts the text: what Python's `word_ids` tells. A special token that is
   * written in the text is a word of its own.
   */
  encodeWords(text: string): (readonly number[])[] {
    const words: (readonly number[])[] = [];
    let first = true;
    for (const section of this.#split(text.toWellFormed())) {
      if (typeof section === "number") words.push([section]);
      else {
        for (const part of this.#splitNormalized(this.#normalize(section))) {
          if (typeof part === "number") words.push([part]);
          else {
            for (const piece of this.#preTokenize({ text: part, first })) {
              words.push(this.#model(piece.text));
            }
          }
          first = false;
        }
      }
      first = false;
    }
    return words;
  }

  /** Text of ids, special tokens included as they are written; ids without a token add nothing. */
  decode(ids: ArrayLike<number>): string {
    const tokens: string[] = [];
    for (const id of Array.from(ids)) {
      const token = this.#written.get(id) ?? this.token(id);
      if (this.#tokens[id] !== undefined) tokens.push(token);
    }
    return this.#decode(tokens).join("");
  }

  /**
   * Id of one token, as spelled in the vocabulary (`##ing`, `Ġword`, `▁word`). Throws when there is none.
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

  /** Token of an id, empty for an id that no token has. Throws when the id is outside the vocabulary. */
  token(id: number): string {
    if (!Number.isInteger(id) || id < 0 || id >= this.size) {
      throw new ModelError(`[tokenizer] id ${id} is outside the vocabulary of ${this.size} tokens`);
    }
    return this.#tokens[id] ?? "";
  }

  /**
   * Id of the token that is `word` within a sentence: `word` itself in WordPiece, `Ġword` in
   * byte-level BPE, `▁word` with Metaspace. Throws when there is none.
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
    const id = this.vocabulary.get(this.#spelling.tokenOf(word));
    return id === undefined || this.word(id) === undefined ? undefined : id;
  }

  /**
   * The word that a token is within a sentence, or undefined for special tokens, pieces that go on
   * with a word, and bytes that are no whole characters. Throws when the id is outside the vocabulary.
   */
  word(id: number): string | undefined {
    const token = this.token(id);
    if (this.#added.has(id)) return undefined;
    const word = this.#spelling.wordOf(token);
    return word === undefined || word === "" || /\s/.test(word) ? undefined : word;
  }

  /** Whether an id is a special token's: one that has a role, or was added beside the vocabulary. */
  isSpecial(id: number): boolean {
    return this.#added.has(id);
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

const SPACE = "Ġ"; // a space in byte-level BPE

/** Words follow a space in byte-level BPE, and a mark with Metaspace; elsewhere pieces that go on with a word have a prefix. */
function spellingOf({ normalizer, pre_tokenizer, model }: Description): Spelling {
  const steps = [...stepsOf(normalizer), ...stepsOf(pre_tokenizer)];
  if (steps.some(({ type }) => type === "ByteLevel")) {
    return {
      tokenOf: (word) => SPACE + toByteCharacters(word),
      wordOf: (token) => (token.startsWith(SPACE) ? fromByteCharacters(token.slice(1)) : undefined),
    };
  }
  const mark = steps.find(({ type }) => type === "Metaspace")?.replacement;
  if (typeof mark === "string") {
    return {
      tokenOf: (word) => mark + word,
      wordOf: (token) => (token.startsWith(mark) ? token.slice(mark.length) : undefined),
    };
  }
  const prefix = String(model.options.continuing_subword_prefix ?? "");
  const suffix = String(model.options.end_of_word_suffix ?? "");
  return {
    tokenOf: (word) => word + suffix,
    wordOf: (token) =>
      (prefix !== "" && token.startsWith(prefix)) || !token.endsWith(suffix)
        ? undefined
        : token.slice(0, token.length - suffix.length),
  };
}

/** The steps of a Sequence, or the one step there is. */
function stepsOf(entry: unknown): Readonly<Record<string, unknown>>[] {
  if (typeof entry !== "object" || entry === null) return [];
  const step = entry as Readonly<Record<string, unknown>>;
  const inside = step.normalizers ?? step.pretokenizers;
  return Array.isArray(inside) ? inside.flatMap(stepsOf) : [step];
}

const READ: readonly ModelPart[] = ["tokenizer"];

/**
 * Reads the tokenizer of a model; one that is named or has an address is fetched into the cache before, as far as it is not there.
 *
 * @param options of what is fetched
 * @throws one sentence where there is no tokenizer, a file is not what its name says, or a special token is missing
 */
export async function loadTokenizer(
  source: ModelSource,
  options: HubOptions = {},
): Promise<Tokenizer> {
  const place = await openModel(source, { parts: READ, ...options });
  const files: TokenizerFiles = {};
  for (const name of FILE_NAMES) {
    if (!(await place.has(name))) continue;
    const fail = failAbout(name === MODEL_CONFIG ? "config" : "tokenizer", place.path(name));
    files[name] = await place.text(name, fail, "make it a readable file", TEXT_LIMIT);
  }
  return createTokenizer(files, place.where);
}

/** The tokenizer of file contents that are already in memory. */
export function createTokenizer(files: TokenizerFiles, where = "these files"): Tokenizer {
  return new Tokenizer(describe(files, where));
}

/** The words of a language come again and again: their ids are kept, but for very long ones. */
function oncePerWord(model: Model, most = 2 ** 16): (word: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (word) => {
    let ids = known.get(word);
    if (ids === undefined) {
      ids = model(word);
      if (word.length > 64) return ids;
      if (known.size >= most) known.clear();
      known.set(word, ids);
    }
    return ids;
  };
}

/** A tokenizer's `encode` that works once for each text. */
export function remembering(
  tokenizer: Pick<Tokenizer, "encode">,
  most = 2 ** 18,
): (text: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (text) => {
    let ids = known.get(text);
    if (!ids) {
      ids = tokenizer.encode(text);
      if (known.size >= most) known.clear(); // a search over templates asks with millions of texts
      known.set(text, ids);
    }
    return ids;
  };
}
