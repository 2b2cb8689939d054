/**
 * The files of a tokenizer: which ones there are, and what they say, tokenizer.json itself or its structure made of the older
 * vocab.txt (WordPiece) or vocab.json with merges.txt (byte-level BPE).
 */
import { ModelError } from "../errors.ts";
import { type Json, parseObject } from "../formats/json.ts";
import type { AddedToken } from "./exact.ts";

/** What a special token is for. */
export type Role = "cls" | "sep" | "bos" | "eos" | "mask" | "pad" | "unk";

/** `wordpiece` as in BERT, `bpe` (byte-level) as in RoBERTa, BART and GPT-2. */
export type Kind = "wordpiece" | "bpe";

/** Sets of files that each hold a whole tokenizer, in the order in which they are looked for. */
const WHOLE = "tokenizer.json";
const OLDER = { wordpiece: ["vocab.txt"], bpe: ["vocab.json", "merges.txt"] } as const;
const SETS = [[WHOLE], OLDER.wordpiece, OLDER.bpe] as const;

/** What is read beside them, where it is there. */
const SETTINGS = ["tokenizer_config.json", "special_tokens_map.json"] as const;

/** What may say which kind of tokenizer the older files are of; it is the model's. */
const MODEL_CONFIG = "config.json";

/** Every file that is read, where it is there. */
export const FILE_NAMES = [...SETS.flat(), ...SETTINGS, MODEL_CONFIG];

const SETS_IN_WORDS = SETS.map((set) => set.join(" with "));

/** What makes a tokenizer, in words: one of these. */
export const TOKENIZER_FILES = new Intl.ListFormat("en", { type: "disjunction" }).format(
  SETS_IN_WORDS,
);

/**
 * Which files of a folder make its tokenizer: the settings, then the first set that is whole. Undefined where there is no
 * whole set.
 */
export function tokenizerFiles(names: ReadonlySet<string>): string[] | undefined {
  const found = SETS.find((set) => set.every((name) => names.has(name)));
  return found && [...SETTINGS.filter((name) => names.has(name)), ...found];
}

/** Contents of a tokenizer's files, by file name; absent files are left out. */
export type TokenizerFiles = { [name in (typeof FILE_NAMES)[number]]?: string | undefined };

/** tokenizer.json as far as it is needed here. */
export type Structure = Json & {
  readonly model: Json & { readonly type: string; readonly vocab: Record<string, number> };
  readonly added_tokens: readonly AddedToken[];
};

/** Everything that a tokenizer is made of. */
export type Description = {
  readonly kind: Kind;
  readonly structure: Structure;
  /** Spelling of each role's token; all are in the vocabulary. */
  readonly roles: ReadonlyMap<Role, string>;
};

type Family = {
  readonly kind: Kind;
  /** Classes in tokenizer_config.json, without "Fast". */
  readonly classes: readonly string[];
  /** Values of config.json's model_type. */
  readonly models: readonly string[];
  readonly tokens: Readonly<Partial<Record<Role, string>>>;
};

const FAMILIES: Readonly<Record<"bert" | "roberta" | "gpt2", Family>> = {
  bert: {
    kind: "wordpiece",
    classes: ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"],
    models: ["bert", "distilbert", "electra"],
    tokens: { cls: "[CLS]", sep: "[SEP]", mask: "[MASK]", pad: "[PAD]", unk: "[UNK]" },
  },
  roberta: {
    kind: "bpe",
    classes: ["RobertaTokenizer", "BartTokenizer"],
    models: ["roberta", "bart"],
    tokens: {
      bos: "<s>",
      eos: "</s>",
      cls: "<s>",
      sep: "</s>",
      mask: "<mask>",
      pad: "<pad>",
      unk: "<unk>",
    },
  },
  gpt2: {
    kind: "bpe",
    classes: ["GPT2Tokenizer"],
    models: ["gpt2"],
    tokens: { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" },
  },
};

/** Classes that say nothing of what is inside. */
const GENERIC = ["PreTrainedTokenizer", "TokenizersBackend"];

const SAVE = "save one there with transformers (AutoTokenizer.from_pretrained, save_pretrained)";

/** Reads a tokenizer's files; `where` names them in errors. Throws one sentence for what is wrong. */
export function describe(files: TokenizerFiles, where: string): Description {
  const config = settings(files, where);
  const named = namedFamily(files, config, where);
  const whole = files[WHOLE];
  const structure =
    whole === undefined
      ? older(files, config, named, where)
      : configured(complete(parseObject(whole, "tokenizer", `${where}/${WHOLE}`), where), config);
  const kind = structure.model.type === "WordPiece" ? "wordpiece" : "bpe";
  const vocabulary = new Set(Object.keys(structure.model.vocab));
  for (const { content } of structure.added_tokens) vocabulary.add(content);
  let family: Family = kind === "wordpiece" ? FAMILIES.bert : FAMILIES.roberta;
  if (named.family?.kind === kind) family = named.family;
  else if (kind === "bpe" && !vocabulary.has("<s>") && vocabulary.has("<|endoftext|>")) {
    family = FAMILIES.gpt2;
  }
  const roles = roleTokens(family, config);
  const missing = [...roles].filter(([, token]) => !vocabulary.has(token));
  if (missing.length > 0) {
    const list = missing.map(([role, token]) => `${token} (${role})`).join(", ");
    throw new ModelError(
      `[tokenizer] ${where} lack the special tokens ${list}; add them to the vocabulary, or name the ` +
        "right ones in tokenizer_config.json",
    );
  }
  return { kind, structure, roles };
}

/** tokenizer_config.json with the special tokens of special_tokens_map.json, as transformers joins them. */
function settings(files: TokenizerFiles, where: string): Json {
  const read = (name: keyof TokenizerFiles): Json =>
    parseObject(files[name] ?? "{}", "tokenizer", `${where}/${name}`);
  const config = read("tokenizer_config.json");
  return "added_tokens_decoder" in config
    ? config
    : { ...config, ...read("special_tokens_map.json") };
}

type Named = {
  readonly family?: Family | undefined;
  /** What names it, for errors; empty when nothing does. */
  readonly by: string;
};

function namedFamily(files: TokenizerFiles, config: Json, where: string): Named {
  const model = parseObject(files["config.json"] ?? "{}", "config", `${where}/config.json`);
  for (const [file, { tokenizer_class }] of [
    ["tokenizer_config.json", config],
    ["config.json", model],
  ] as const) {
    if (typeof tokenizer_class !== "string") continue;
    const name = tokenizer_class.replace(/Fast$/, "");
    if (GENERIC.includes(name)) continue;
    const family = Object.values(FAMILIES).find(({ classes }) => classes.includes(name));
    return { family, by: `tokenizer_class ${JSON.stringify(tokenizer_class)} in ${file}` };
  }
  const { model_type } = model;
  if (typeof model_type !== "string") return { by: "" };
  const family = Object.values(FAMILIES).find(({ models }) => models.includes(model_type));
  return { family, by: `model_type ${JSON.stringify(model_type)} in config.json` };
}

/** The structure of tokenizer.json from the files that there were before it. */
function older(files: TokenizerFiles, config: Json, named: Named, where: string): Structure {
  const has = (kind: Kind) => OLDER[kind].every((name) => files[name] !== undefined);
  if (named.by !== "" && named.family === undefined) {
    throw new ModelError(
      `[tokenizer] ${where} has no ${WHOLE}, which its ${named.by} needs: the older files are read for ` +
        `BERT, RoBERTa, BART and GPT-2 only; ${SAVE}`,
    );
  }
  const kind = named.family?.kind ?? (has("wordpiece") ? "wordpiece" : "bpe");
  if (!has(kind)) {
    const wanted = named.family
      ? `neither ${WHOLE} nor ${OLDER[kind].join(" with ")}, as its ${named.by} asks for`
      : `neither ${SETS_IN_WORDS.join(", nor ")}`;
    throw new ModelError(
      `[tokenizer] ${where} holds ${wanted}; name the directory of a BERT, RoBERTa or BART ` +
        `checkpoint, or ${SAVE}`,
    );
  }
  if (kind === "wordpiece") return wordPieceStructure(files["vocab.txt"] ?? "", config, where);
  const vocab = vocabOf(
    parseObject(files["vocab.json"] ?? "", "tokenizer", `${where}/vocab.json`),
    where,
  );
  const merges = mergesOf(files["merges.txt"] ?? "", vocab, where);
  return bytePairStructure(vocab, merges, config, named.family ?? FAMILIES.roberta);
}

function wordPieceStructure(text: string, config: Json, where: string): Structure {
  const lines = linesOf(text);
  if (lines.at(-1) === "") lines.pop();
  const vocab = vocabOf(Object.fromEntries(lines.map((token, id) => [token, id])), where);
  const roles = roleTokens(FAMILIES.bert, config);
  // transformers takes a vocabulary without do_lower_case for an uncased one, whatever it holds
  const cased = lines.some((token) => /\p{Lu}/u.test(token) && !/^\[.*\]$/.test(token));
  return {
    added_tokens: addedTokens(vocab, roles, config),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: config.strip_accents ?? null,
      lowercase: typeof config.do_lower_case === "boolean" ? config.do_lower_case : !cased,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: roles.get("unk"),
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

function bytePairStructure(
  vocab: Record<string, number>,
  merges: readonly (readonly string[])[],
  config: Json,
  family: Family,
): Structure {
  const add_prefix_space = config.add_prefix_space === true;
  return {
    added_tokens: addedTokens(vocab, roleTokens(family, config), config),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space, use_regex: true },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", unk_token: null, vocab, merges },
  };
}

const linesOf = (text: string): string[] =>
  text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));

function mergesOf(text: string, vocab: Record<string, number>, where: string): string[][] {
  const merges: string[][] = [];
  for (const [index, line] of linesOf(text).entries()) {
    if (line === "" || line.startsWith("#version")) continue;
    const pair = line.split(" ");
    if (
      pair.length !== 2 ||
      ![...pair, pair.join("")].every((piece) => Object.hasOwn(vocab, piece))
    ) {
      throw new ModelError(
        `[tokenizer] ${where}/merges.txt:${index + 1} ${JSON.stringify(line.slice(0, 60))} is no pair ` +
          "of tokens that vocab.json holds, joined too; fetch both files from one checkpoint",
      );
    }
    merges.push(pair);
  }
  return merges;
}

function vocabOf(value: unknown, where: string): Record<string, number> {
  const vocab = (value ?? {}) as Record<string, number>;
  const bad = Object.entries(vocab).find(([, id]) => !Number.isSafeInteger(id) || id < 0);
  if (typeof vocab !== "object" || Array.isArray(vocab) || bad !== undefined) {
    throw new ModelError(
      `[tokenizer] ${where} hold a vocabulary that does not give each token its id ` +
        `(${JSON.stringify(bad ?? null)}); fetch the files again`,
    );
  }
  return vocab;
}

/** tokenizer.json with what older versions of the format left out; refuses what is not read here. */
function complete(structure: Json, where: string): Structure {
  const model = (structure.model ?? {}) as Json;
  let { type } = model;
  // files from before the format named it
  if (type === undefined && model.merges !== undefined) type = "BPE";
  else if (type === undefined && model.continuing_subword_prefix !== undefined) type = "WordPiece";
  if (type !== "WordPiece" && type !== "BPE") {
    throw new ModelError(
      `[tokenizer] ${where} hold a model of type ${JSON.stringify(type)}; use WordPiece (BERT) or ` +
        "BPE (BART, RoBERTa)",
    );
  }
  const pre = structure.pre_tokenizer as Json | null | undefined;
  const steps = [pre, ...((pre?.pretokenizers ?? []) as Json[])];
  if (type === "BPE" && !steps.some((step) => step?.type === "ByteLevel")) {
    throw new ModelError(
      `[tokenizer] ${where}/${WHOLE} holds a BPE model that is not byte-level; use a tokenizer like ` +
        "RoBERTa's or BART's",
    );
  }
  const vocab = vocabOf(model.vocab, where);
  const added = (structure.added_tokens ?? []) as Partial<AddedToken>[];
  return {
    ...structure,
    normalizer: structure.normalizer ?? null,
    pre_tokenizer: pre ?? null,
    decoder: structure.decoder ?? null,
    added_tokens: added.map((token) => addedToken(token)),
    model: { ...model, type, vocab },
  };
}

/** tokenizer_config.json goes before tokenizer.json in what both say, as in transformers. */
function configured(structure: Structure, config: Json): Structure {
  const given = (entry: Json, key: string, name: string) =>
    typeof config[name] === "boolean" ? { [key]: config[name] } : { [key]: entry[key] };
  const change = (entry: Json | null): Json | null => {
    if (entry === null) return null;
    const inner = (name: string) =>
      Array.isArray(entry[name]) ? { [name]: (entry[name] as Json[]).map(change) } : {};
    if (entry.type === "BertNormalizer") {
      return {
        ...entry,
        ...given(entry, "lowercase", "do_lower_case"),
        ...given(entry, "strip_accents", "strip_accents"),
        ...given(entry, "handle_chinese_chars", "tokenize_chinese_chars"),
      };
    }
    if (entry.type === "ByteLevel") {
      return { ...entry, ...given(entry, "add_prefix_space", "add_prefix_space") };
    }
    return { ...entry, ...inner("normalizers"), ...inner("pretokenizers") };
  };
  return {
    ...structure,
    normalizer: change(structure.normalizer as Json | null),
    pre_tokenizer: change(structure.pre_tokenizer as Json | null),
  };
}

/** The special tokens of the roles, and what tokenizer_config.json lists beside them. */
function addedTokens(
  vocab: Record<string, number>,
  roles: ReadonlyMap<Role, string>,
  config: Json,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  for (const [role, content] of roles) {
    if (!Object.hasOwn(vocab, content) || tokens.has(content)) continue;
    const given = config[`${role}_token`];
    // byte-level: <mask> takes the place of a word, so it takes the space before it
    const usual = { lstrip: role === "mask" && content === "<mask>", special: true };
    tokens.set(content, addedToken({ ...usual, ...asJson(given), id: vocab[content], content }));
  }
  for (const [id, token] of Object.entries(asJson(config.added_tokens_decoder))) {
    const given = asJson(token);
    if (typeof given.content !== "string") continue;
    tokens.set(given.content, addedToken({ ...given, content: given.content, id: Number(id) }));
  }
  return [...tokens.values()];
}

const addedToken = (given: Partial<AddedToken> & { special?: unknown }): AddedToken => ({
  id: given.id ?? -1,
  content: given.content ?? "",
  single_word: given.single_word === true,
  lstrip: given.lstrip === true,
  rstrip: given.rstrip === true,
  normalized: given.normalized ?? given.special !== true,
});

const asJson = (value: unknown): Json =>
  typeof value === "object" && value !== null ? (value as Json) : {};

/** Spelling of each role: as configured, else the family's. */
function roleTokens(family: Family, config: Json): Map<Role, string> {
  const found = new Map<Role, string>();
  for (const [role, usual] of Object.entries(family.tokens) as [Role, string][]) {
    const given = config[`${role}_token`];
    const content = asJson(given).content ?? given;
    found.set(role, typeof content === "string" ? content : usual);
  }
  for (const role of ["mask", "pad"] as const) {
    const given = config[`${role}_token`];
    const content = asJson(given).content ?? given;
    if (!found.has(role) && typeof content === "string") found.set(role, content);
  }
  return found;
}
