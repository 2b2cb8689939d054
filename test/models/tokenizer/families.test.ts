/** Families of masked LMs by vocabularies made by hand: their mark of a word's start, their special tokens, their case. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createTokenizer, type Role } from "../../../models/tokenizer/tokenizer.ts";

const METASPACE = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
const LOWER = {
  type: "Sequence",
  normalizers: [{ type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }],
};

const added = (tokens: readonly string[]) =>
  tokens.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: content === "[MASK]" || content === "<mask>",
    rstrip: false,
    normalized: false,
    special: true,
  }));

const BRACKETS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/** SentencePiece: the first tokens are special, the others equally good. */
const unigram = (special: string[], normalizer: object | null, ...pieces: string[]) => ({
  added_tokens: added(special),
  normalizer,
  pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, METASPACE] },
  post_processor: null,
  decoder: METASPACE,
  model: {
    type: "Unigram",
    unk_id: special.indexOf("<unk>"),
    vocab: [...special, ...pieces].map((token) => [token, special.includes(token) ? 0 : -5]),
    byte_fallback: false,
  },
});

const uncased = (...words: string[]) => ({ "vocab.txt": [...BRACKETS, ...words].join("\n") });

type Case = {
  readonly files: Readonly<Record<string, string>>;
  /** The text of a word that is one token, its token, and one that is a piece of words only. */
  readonly word: readonly [text: string, token: string];
  readonly piece: string;
  readonly roles: Readonly<Partial<Record<Role, string>>>;
  readonly mask: string;
};

const BRACKETED = { cls: "[CLS]", sep: "[SEP]", pad: "[PAD]", unk: "[UNK]" };
const TAGGED = { cls: "<s>", sep: "</s>", pad: "<pad>", unk: "<unk>" };

const CASES: Readonly<Record<string, Case>> = {
  distilbert: {
    files: uncased("paris", "##s", "is"),
    word: ["paris", "paris"],
    piece: "##s",
    roles: BRACKETED,
    mask: "[MASK]",
  },
  electra: {
    files: uncased("zurich", "##ois", "is"),
    word: ["zurich", "zurich"],
    piece: "##ois",
    roles: BRACKETED,
    mask: "[MASK]",
  },
  albert: {
    files: {
      "tokenizer.json": JSON.stringify(
        unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], LOWER, "▁", "▁paris", "s", "▁is"),
      ),
    },
    word: ["paris", "▁paris"],
    piece: "s",
    roles: { ...BRACKETED, pad: "<pad>", unk: "<unk>" },
    mask: "[MASK]",
  },
  "xlm-roberta": {
    files: {
      "tokenizer.json": JSON.stringify(
        unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], null, "▁", "▁Paris", "s", "▁is"),
      ),
    },
    word: ["Paris", "▁Paris"],
    piece: "s",
    roles: TAGGED,
    mask: "<mask>",
  },
  modernbert: {
    files: {
      "tokenizer.json": JSON.stringify({
        added_tokens: added(BRACKETS),
        normalizer: { type: "NFC" },
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
        post_processor: null,
        decoder: { type: "ByteLevel" },
        model: {
          type: "BPE",
          vocab: Object.fromEntries(
            [...BRACKETS, "Ġ", "i", "s", "is", "Ġis"].map((token, id) => [token, id]),
          ),
          merges: [
            ["i", "s"],
            ["Ġ", "is"],
          ],
        },
      }),
    },
    word: ["is", "Ġis"],
    piece: "is",
    roles: BRACKETED,
    mask: "[MASK]",
  },
};

for (const [model_type, { files, word, piece, roles, mask }] of Object.entries(CASES)) {
  const tokenizer = createTokenizer({ ...files, "config.json": JSON.stringify({ model_type }) });
  const [text, token] = word;

  test(`${model_type}: words, pieces and special tokens`, () => {
    assert.is(tokenizer.wordId(text), tokenizer.id(token));
    assert.is(tokenizer.word(tokenizer.id(token)), text);
    assert.is(tokenizer.word(tokenizer.id(piece)), undefined, "a piece is no word");
    for (const [role, spelled] of Object.entries({ ...roles, mask }) as [Role, string][]) {
      assert.is(tokenizer.token(tokenizer.special(role)), spelled, role);
      assert.is(tokenizer.word(tokenizer.special(role)), undefined, "nor is a special token");
    }
  });

  test(`${model_type}: a mask within a text`, () => {
    const ids = tokenizer.encode(` is ${mask}`);
    assert.is(ids.at(-1), tokenizer.mask);
    assert.is(ids.at(-2), tokenizer.wordId("is"), "the space before a mask is the mask's");
  });
}

test("an uncased family reads any case as its own", () => {
  const of = (family: string) =>
    createTokenizer({
      ...CASES[family].files,
      "config.json": JSON.stringify({ model_type: family }),
    });
  for (const [family, text] of [
    ["distilbert", "Paris"],
    ["electra", "Zürich"],
    ["albert", "París"],
  ]) {
    const tokenizer = of(family);
    const [plain] = CASES[family].word;
    assert.equal(tokenizer.encode(text), [tokenizer.wordId(plain)], family);
    assert.is(tokenizer.wordIdOrUndefined(text), undefined, "as it is written it is no token");
  }
  assert.is(of("xlm-roberta").wordIdOrUndefined("paris"), undefined);
});

test.run();
