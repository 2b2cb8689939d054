/**
 * The files of a tokenizer: which ones there are, and what they say, tokenizer.json itself or its structure made of the older
 * vocab.txt (WordPiece) or vocab.json with merges.txt (byte-level BPE).
 */
import { ModelError } from "../errors.ts";
import { isObject, type Json, parseObject } from "../formats/json.ts";
import { ADDED, FILE_NAMES, OLDER, SETS_IN_WORDS, WHOLE } from "../hub/files.ts";
import type { AddedToken } from "./exact.ts";
import { modelPart } from "./models.ts";
import { type Part, refuse } from "./parts.ts";

/** What a special token is for. */
export type Role = "cls" | "sep" | "bos" | "eos" | "mask" | "pad" | "unk";

/**
 * `wordpiece` as in BERT, DistilBERT and ELECTRA, `bpe` as in RoBERTa, ModernBERT, BART and GPT-2, `unigram` as in ALBERT, XLM-R
 * and T5, `wordlevel` for whole words.
 */
export type Kind = "wordpiece" | "bpe" | "unigram" | "wordlevel";

/** Kinds that the older files may be of. */
type OlderKind = "wordpiece" | "bpe";

/** Contents of a tokenizer's files, by file name; absent files are left out. */
export type TokenizerFiles = { [name in (typeof FILE_NAMES)[number]]?: string | undefined };

/** What a tokenizer.json says, its added tokens complete. */
type Structure = {
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly decoder: unknown;
  readonly model: Part;
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly added_tokens: readonly AddedToken[];
};

/** Everything that a tokenizer is made of. */
export type Description = Structure & {
  readonly kind: Kind;
  /** What holds it, for errors: `folder/tokenizer.json`. */
  readonly place: string;
  /** Spelling of each role's token; all are in the vocabulary. */
  readonly roles: ReadonlyMap<Role, string>;
};

type Family = {
  readonly kind: Kind;
  /** Which older files it has; without them tokenizer.json alone holds it. */
  readonly older?: OlderKind;
  /** Classes in tokenizer_config.json, without "Fast". */
  readonly classes: readonly string[];
  /** Values of config.json's model_type. */
  readonly models: readonly string[];
  readonly tokens: Readonly<Partial<Record<Role, string>>>;
};

/** BERT's special tokens, which others have too. */
const BRACKETED = { cls: "[CLS]", sep: "[SEP]", mask: "[MASK]", pad: "[PAD]", unk: "[UNK]" };
/** RoBERTa's. */
const TAGGED = {
  bos: "<s>",
  eos: "</s>",
  cls: "<s>",
  sep: "</s>",
  mask: "<mask>",
  pad: "<pad>",
  unk: "<unk>",
};

type FamilyName = "bert" | "roberta" | "albert" | "xlm-roberta" | "modernbert" | "t5" | "gpt2";

const FAMILIES: Readonly<Record<FamilyName, Family>> = {
  bert: {
    kind: "wordpiece",
    older: "wordpiece",
    classes: ["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"],
    models: ["bert", "distilbert", "electra"],
    tokens: BRACKETED,
  },
  roberta: {
    kind: "bpe",
    older: "bpe",
    classes: ["RobertaTokenizer", "BartTokenizer"],
    models: ["roberta", "bart"],
    tokens: TAGGED,
  },
  albert: {
    kind: "unigram",
    classes: ["AlbertTokenizer"],
    models: ["albert"],
    tokens: { cls: "[CLS]", sep: "[SEP]", mask: "[MASK]", pad: "<pad>", unk: "<unk>" },
  },
  "xlm-roberta": {
    kind: "unigram",
    classes: ["XLMRobertaTokenizer"],
    models: ["xlm-roberta"],
    tokens: TAGGED,
  },
  modernbert: { kind: "bpe", classes: [], models: ["modernbert"], tokens: BRACKETED },
  t5: {
    kind: "unigram",
    classes: ["T5Tokenizer"],
    models: ["t5"],
    tokens: { eos: "</s>", pad: "<pad>", unk: "<unk>" },
  },
  gpt2: {
    kind: "bpe",
    older: "bpe",
    classes: ["GPT2Tokenizer"],
    models: ["gpt2"],
    tokens: { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" },
  },
};

/** Classes that say nothing of what is inside. */
const GENERIC = ["PreTrainedTokenizer", "TokenizersBackend"];

const SAVE = "save one there with transformers (AutoTokenizer.from_pretrained, save_pretrained)";

/** Reads a tokenizer's files; `where` names them in errors. Throws one sentence for what is wrong. */
export function describe(given: TokenizerFiles, where: string): Description {
  const files: TokenizerFiles = {};
  // a byte order mark is none of the text
  for (const name of FILE_NAMES) files[name] = given[name]?.replace(/^\ufeff/, "");
  const config = settings(files, where);
  const named = namedFamily(files, config, where);
  const whole = files[WHOLE];
  const place = whole === undefined ? where : `${where}/${WHOLE}`;
  const json =
    whole === undefined
      ? older(files, config, named, where)
      : configured(parseObject(whole, "tokenizer", place), config);
  const structure = complete(json, addedLater(files, config, where), place, whole !== undefined);
  const kind = structure.model.type.toLowerCase() as Kind;
  const known = new Set(structure.vocabulary.keys());
  for (const { content } of structure.added_tokens) known.add(content);
  const roles = rolesOf(kind, named.family, config, known, whole !== undefined);
  const missing = [...roles].filter(([, token]) => !known.has(token));
  if (missing.length > 0) {
    const list = missing.map(([role, token]) => `${token} (${role})`).join(", ");
    throw new ModelError(
      `[tokenizer] ${where} lack the special tokens ${list}; add them to the vocabulary, or name the ` +
        "right ones in tokenizer_config.json",
    );
  }
  return { ...structure, kind, place, roles };
}

/**
 * The special tokens of the family that the files name, of the first family whose tokens are all there, or else those that
 * tokenizer_config.json names and the usual ones that are there.
 */
function rolesOf(
  kind: Kind,
  named: Family | undefined,
  config: Json,
  known: ReadonlySet<string>,
  whole: boolean,
): ReadonlyMap<Role, string> {
  if (named?.kind === kind) return roleTokens(named.tokens, config);
  for (const { tokens } of Object.values(FAMILIES)) {
    const roles = roleTokens(tokens, config);
    if ([...roles.values()].every((token) => known.has(token))) return roles;
  }
  if (kind === "wordpiece" && !whole) return roleTokens(FAMILIES.bert.tokens, config);
  const usual: Partial<Record<Role, string>> = {};
  for (const { tokens } of Object.values(FAMILIES)) {
    for (const [role, token] of Object.entries(tokens) as [Role, string][]) {
      const named = typeof spelling(config[`${role}_token`]) === "string";
      if (named || known.has(token)) usual[role] ??= token;
    }
  }
  return roleTokens(usual, config);
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
function older(files: TokenizerFiles, config: Json, named: Named, where: string): Json {
  const has = (kind: OlderKind) => OLDER[kind].every((name) => files[name] !== undefined);
  const { family } = named;
  if (named.by !== "" && family?.older === undefined) {
    throw new ModelError(
      `[tokenizer] ${where} has no ${WHOLE}, which its ${named.by} needs: the older files are read for ` +
        `BERT, DistilBERT, ELECTRA, RoBERTa, BART and GPT-2 only; ${SAVE}`,
    );
  }
  const kind = family?.older ?? (has("wordpiece") ? "wordpiece" : "bpe");
  if (!has(kind)) {
    const wanted = family
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
  return bytePairStructure(vocab, merges, config, family ?? FAMILIES.roberta);
}

function wordPieceStructure(text: string, config: Json, where: string): Json {
  const lines = linesOf(text);
  if (lines.at(-1) === "") lines.pop();
  const vocab = vocabOf(Object.fromEntries(lines.map((token, id) => [token, id])), where);
  const roles = roleTokens(FAMILIES.bert.tokens, config);
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
): Json {
  const add_prefix_space = config.add_prefix_space === true;
  return {
    added_tokens: addedTokens(vocab, roleTokens(family.tokens, config), config),
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

const POST_PROCESSORS = [
  "BertProcessing",
  "ByteLevel",
  "RobertaProcessing",
  "Sequence",
  "TemplateProcessing",
];

const PARTS = [
  "version",
  "truncation",
  "padding",
  "added_tokens",
  "normalizer",
  "pre_tokenizer",
  "post_processor",
  "decoder",
  "model",
];

/**
 * tokenizer.json with its vocabulary and all of its added tokens. `truncation` and `padding` say how texts are batched, which
 * transformers leaves to its callers too; `post_processor` what stands around a text, which the model's own code says here.
 */
function complete(json: Json, later: readonly Listed[], place: string, whole: boolean): Structure {
  for (const name of Object.keys(json)) {
    if (!PARTS.includes(name)) refuse(place, `has the part ${name}`, PARTS.join(", "));
  }
  const model = modelPart(json.model, `${place}: model`);
  const { vocab } = model.options;
  const vocabulary = new Map(
    model.type === "Unigram"
      ? piecesOf(vocab, place).map(([token], id) => [token, id])
      : Object.entries(vocabOf(vocab, place)),
  );
  postProcessor(json.post_processor, `${place}: post_processor`);
  const listed = (json.added_tokens ?? []) as readonly Listed[];
  const added = new Map(listed.map((token) => [token.content ?? "", addedToken(token, place)]));
  for (const token of later) {
    const given = addedToken(token, place);
    const had = added.get(given.content);
    if (had) added.set(given.content, { ...given, id: had.id, normalized: had.normalized });
    else {
      const id = vocabulary.get(given.content) ?? nextId(vocabulary.size, added.values());
      if (whole && given.id !== -1 && given.id !== id) {
        refuse(
          place,
          `lacks the added token ${JSON.stringify(given.content)} that the files beside it give the id ${given.id}`,
          `${id}, which is the next one`,
        );
      }
      added.set(given.content, { ...given, id: given.id === -1 ? id : given.id });
    }
  }
  return {
    normalizer: json.normalizer ?? null,
    pre_tokenizer: json.pre_tokenizer ?? null,
    decoder: json.decoder ?? null,
    model,
    vocabulary,
    added_tokens: [...added.values()],
  };
}

/** The id that a new token gets. */
function nextId(size: number, added: Iterable<AddedToken>): number {
  let next = size;
  for (const { id } of added) next = Math.max(next, id + 1);
  return next;
}

function postProcessor(entry: unknown, place: string): void {
  if (entry === null || entry === undefined) return;
  const { type, processors } = asJson(entry);
  if (!POST_PROCESSORS.includes(String(type))) {
    refuse(place, `has the type ${JSON.stringify(type)}`, POST_PROCESSORS.join(", "));
  }
  if (Array.isArray(processors)) {
    for (const [i, one] of processors.entries()) postProcessor(one, `${place}.processors[${i}]`);
  }
}

/** The tokens and scores of a Unigram model. */
function piecesOf(vocab: unknown, place: string): readonly (readonly [string, number])[] {
  const pieces = Array.isArray(vocab) ? (vocab as unknown[]) : [];
  const bad = pieces.find(
    (piece) => !Array.isArray(piece) || typeof piece[0] !== "string" || !Number.isFinite(piece[1]),
  );
  if (pieces.length === 0 || bad !== undefined) {
    throw new ModelError(
      `[tokenizer] ${place} holds a Unigram vocabulary that does not give each token its score ` +
        `(${JSON.stringify(bad ?? vocab)?.slice(0, 60)}); fetch the file again`,
    );
  }
  return pieces as [string, number][];
}

/** An added token as a file lists it. */
type Listed = Partial<AddedToken> & { readonly special?: unknown };

/** What the files beside tokenizer.json add: `added_tokens_decoder`, or added_tokens.json where there is none. */
function addedLater(files: TokenizerFiles, config: Json, where: string): Listed[] {
  if ("added_tokens_decoder" in config) {
    return Object.entries(asJson(config.added_tokens_decoder))
      .map(([id, token]): Listed => ({ ...(asJson(token) as Listed), id: Number(id) }))
      .filter(({ content }) => typeof content === "string")
      .sort((a, b) => Number(a.id) - Number(b.id));
  }
  const added = vocabOf(
    parseObject(files[ADDED] ?? "{}", "tokenizer", `${where}/${ADDED}`),
    `${where}/${ADDED}`,
  );
  const extra = [config.additional_special_tokens, config.extra_special_tokens];
  const special = new Set(
    [...ROLES.map((role) => config[`${role}_token`]), ...extra.flat()].map(spelling),
  );
  return Object.entries(added)
    .sort(([, a], [, b]) => a - b)
    .map(([content, id]) => ({ content, id, special: special.has(content) }));
}

const ROLES: readonly Role[] = ["cls", "sep", "bos", "eos", "mask", "pad", "unk"];

/** tokenizer_config.json goes before tokenizer.json in what both say, as in transformers. */
function configured(structure: Json, config: Json): Json {
  const given = (entry: Json, key: string, name: string) =>
    typeof config[name] === "boolean" ? { [key]: config[name] } : { [key]: entry[key] };
  const change = (entry: Json | null | undefined): Json | null => {
    if (!isObject(entry)) return entry ?? null;
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
    // the normalizer of this name has no options
    if (entry.type === "ByteLevel" && "add_prefix_space" in entry) {
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

/** The special tokens of the roles. */
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
  return [...tokens.values()];
}

const FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"];

function addedToken(given: Listed, place = ""): AddedToken {
  for (const [name, value] of Object.entries(given)) {
    if (name === "id" || name === "content" || name === "__type") continue;
    if (FLAGS.includes(name) && typeof value === "boolean") continue;
    refuse(
      place,
      `has the added token ${JSON.stringify(given.content)} with ${name} ${JSON.stringify(value)}`,
      `${FLAGS.join(", ")}, each true or false`,
    );
  }
  return {
    id: given.id ?? -1,
    content: given.content ?? "",
    single_word: given.single_word === true,
    lstrip: given.lstrip === true,
    rstrip: given.rstrip === true,
    normalized: given.normalized ?? given.special !== true,
  };
}

const asJson = (value: unknown): Json =>
  typeof value === "object" && value !== null ? (value as Json) : {};

/** The spelling of a token that is given as a text or with flags. */
const spelling = (given: unknown): unknown => asJson(given).content ?? given;

/** Spelling of each role: as configured, else the usual one. */
function roleTokens(tokens: Family["tokens"], config: Json): Map<Role, string> {
  const found = new Map<Role, string>();
  for (const [role, usual] of Object.entries(tokens) as [Role, string][]) {
    const content = spelling(config[`${role}_token`]);
    found.set(role, typeof content === "string" ? content : usual);
  }
  for (const role of ["mask", "pad"] as const) {
    const content = spelling(config[`${role}_token`]);
    if (!found.has(role) && typeof content === "string") found.set(role, content);
  }
  return found;
}
