/** Tokenizers against Python's: small vocabularies, awkward and random strings, every code point. */
import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { bertWords, byteLevelWords, normalizeForBert } from "../../../models/tokenizer/exact.ts";
import type { TokenizerFiles } from "../../../models/tokenizer/files.ts";
import {
  createTokenizer,
  loadTokenizer,
  type Tokenizer,
} from "../../../models/tokenizer/tokenizer.ts";
import {
  awkwardStrings,
  digestOf,
  digestOfText,
  goldenPath,
  randomStrings,
  readGolden,
} from "./golden.ts";

type Expected = {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly ids: readonly (readonly number[] | string)[];
  readonly decoded: readonly string[];
  readonly random: { readonly ids: number; readonly sha256: string; readonly decoded: string };
};

const NAMES: Readonly<Record<string, readonly (keyof TokenizerFiles)[]>> = {
  "bert-cased": ["vocab.txt"],
  "bert-uncased": ["vocab.txt"],
  roberta: ["vocab.json", "merges.txt"],
  "bert-added": ["tokenizer.json"],
  "roberta-added": ["tokenizer.json"],
};

function filesOf(name: string, config: object = {}): TokenizerFiles {
  const files: TokenizerFiles = { "tokenizer_config.json": JSON.stringify(config) };
  for (const file of NAMES[name]) files[file] = readFileSync(goldenPath(`${name}/${file}`), "utf8");
  return files;
}

const made = (name: string, config: object = {}): Tokenizer =>
  createTokenizer(filesOf(name, config), name);

const expected = readGolden("expected.json") as Readonly<Record<string, Expected>>;
const awkward = awkwardStrings();
const random = randomStrings();

const equality = suite("equal to Python");

for (const [name, golden] of Object.entries(expected)) {
  const tokenizer = made(golden.folder, golden.config);

  equality(`${name}: awkward strings`, () => {
    assert.is(awkward.length, golden.ids.length);
    awkward.forEach((text, i) => {
      const ids = tokenizer.encode(text);
      const wanted = golden.ids[i];
      const got =
        typeof wanted === "string" ? `${ids.length} ${digestOf([ids]).slice(0, 16)}` : ids;
      const shown = JSON.stringify(text.slice(0, 60));
      assert.equal(got, wanted, `${shown} became ${JSON.stringify(got)}`);
      const back = tokenizer.decode(ids);
      const text_ = [...back].length <= 400 ? back : digestOfText(back).slice(0, 16);
      assert.is(text_, golden.decoded[i], `decoded ${shown}`);
    });
  });

  equality(`${name}: random strings`, () => {
    const ids = random.map((text) => tokenizer.encode(text));
    assert.is(
      ids.reduce((sum, { length }) => sum + length, 0),
      golden.random.ids,
    );
    assert.is(digestOf(ids), golden.random.sha256);
    const decoded = ids.map((one) => tokenizer.decode(one)).join("\0");
    assert.is(digestOfText(decoded), golden.random.decoded);
  });
}

equality("what was compared", () => {
  const count = Object.keys(expected).length;
  console.log(
    `${count} tokenizers, each ${awkward.length} awkward and ${random.length} random strings`,
  );
  assert.is(count, 9);
  assert.is(awkward.length + random.length, 5_133);
});

const points = suite("every code point");

const PLAIN = {
  clean_text: false,
  handle_chinese_chars: false,
  strip_accents: false,
  lowercase: false,
};
const LOWER = { ...PLAIN, lowercase: true };
const lower = (c: string) => normalizeForBert(c, LOWER);
const { youngLower, blocks } = readGolden("codepoints.json") as {
  readonly youngLower: readonly (readonly [number, string])[];
  readonly blocks: Readonly<Record<string, string>>;
};
const young = new Set(youngLower.map(([point]) => point));

const CLEAN = { ...PLAIN, clean_text: true };
const CHINESE = { ...PLAIN, handle_chinese_chars: true };
const STRIP = { ...PLAIN, strip_accents: true };
const PARTS: Readonly<Record<string, (c: string) => string>> = {
  clean: (c) => normalizeForBert(c, CLEAN),
  chinese: (c) => normalizeForBert(c, CHINESE),
  strip: (c) => normalizeForBert(c, STRIP),
  lower: (c) => (young.has(c.codePointAt(0) ?? 0) ? c : lower(c)),
  bert: (c) => ["letter", "space", "mark"][bertWords(`a${c}b`).length - 1],
  byteLevel: (c) => {
    if (byteLevelWords(`a${c}`).length === 1) return "letter";
    if (byteLevelWords(`1${c}`).length === 1) return "number";
    return byteLevelWords(`#${c}`).length === 1 ? "other" : "space";
  },
};

for (const [name, part] of Object.entries(PARTS)) {
  points(`${name}: 1,112,064 as in Python`, () => {
    const wanted = blocks[name].split(" ");
    let compared = 0;
    wanted.forEach((digest, block) => {
      const results: string[] = [];
      for (let point = 4096 * block; point < 4096 * (block + 1); point++) {
        if (point >= 0xd800 && point <= 0xdfff) continue;
        results.push(part(String.fromCodePoint(point)));
      }
      compared += results.length;
      const first = (4096 * block).toString(16);
      const got = digestOfText(results.join("\0")).slice(0, 8);
      assert.is(got, digest, `4096 code points from U+${first}`);
    });
    assert.is(compared, 1_112_064);
  });
}

points(`lower case of ${young.size} characters younger than Unicode 14`, () => {
  for (const [point, wanted] of youngLower) {
    const c = String.fromCodePoint(point);
    // a host whose tables lack the character leaves it alone
    if (/\P{Cn}/u.test(c)) assert.is(lower(c), wanted, point.toString(16));
  }
});

const layouts = suite("layouts");

layouts("tokenizer.json without the names of its parts' types, as older ones are", () => {
  for (const name of ["bert-added", "roberta-added"]) {
    const structure = JSON.parse(filesOf(name)["tokenizer.json"] ?? "");
    delete structure.model.type;
    delete structure.pre_tokenizer.use_regex;
    if (structure.model.merges) {
      structure.model.merges = structure.model.merges.map((pair: string[]) => pair.join(" "));
    }
    const old = createTokenizer({ "tokenizer.json": JSON.stringify(structure) });
    const now = made(name);
    for (const text of random.slice(0, 500)) assert.equal(old.encode(text), now.encode(text));
  }
});

layouts("tokenizer_config.json goes before tokenizer.json, as in transformers", () => {
  const plain = made("bert-uncased", { do_lower_case: true });
  const tokenizer = made("bert-added", { do_lower_case: false, tokenize_chinese_chars: false });
  assert.equal(plain.encode("QUICK"), plain.encode("quick"));
  assert.equal(tokenizer.encode("QUICK"), [tokenizer.unk]);
  assert.equal(tokenizer.encode("東京"), [tokenizer.unk]);
  const spaced = made("roberta-added", { add_prefix_space: true });
  assert.equal(spaced.encode("the"), made("roberta-added").encode(" the"));
});

layouts("a normalizer made of NFD, Lowercase and StripAccents, as Python's", () => {
  const structure = JSON.parse(filesOf("bert-added")["tokenizer.json"] ?? "");
  structure.added_tokens = [];
  structure.model.vocab = Object.fromEntries(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "σας", "σασ", "ae", "\u1bea"].map((t, i) => [
      t,
      i,
    ]),
  );
  const steps = ["NFD", "Lowercase", "StripAccents"].map((type) => ({ type }));
  structure.normalizer = { type: "Sequence", normalizers: steps };
  const tokenizer = createTokenizer({ "tokenizer.json": JSON.stringify(structure) });
  const words = (text: string) => tokenizer.encode(text).map((id) => tokenizer.token(id));
  assert.equal(words("ΣΑΣ"), ["σασ"]); // of each character, also where a word ends
  assert.equal(words("A\u1bea\u20de\u0e47É"), ["ae"]); // marks of every script and kind
  // to Python's table U+07FD is no mark, and U+1CF2 is one
  assert.equal(words("a\u07fde a\u1cf2e"), ["[UNK]", "ae"]);
});

layouts("special_tokens_map.json, and tokens with flags in tokenizer_config.json", () => {
  const files = filesOf("roberta");
  const map = JSON.stringify({ mask_token: { content: "<mask>", lstrip: false } });
  const kept = createTokenizer({ ...files, "special_tokens_map.json": map });
  const [space, the] = [kept.id("Ġ"), kept.id("example")];
  assert.equal(kept.encode("example <mask>"), [the, space, kept.mask]);
  const config = {
    added_tokens_decoder: {
      [kept.mask]: { content: "<mask>", lstrip: true, special: true },
      [kept.size + 3]: { content: "<extra>", special: true },
    },
  };
  // which goes before the map
  const more = createTokenizer({
    ...files,
    "special_tokens_map.json": map,
    "tokenizer_config.json": JSON.stringify(config),
  });
  assert.equal(more.encode("example <mask><extra>"), [the, more.mask, kept.size + 3]);
  assert.is(more.size, kept.size + 4);
  assert.is(more.token(kept.size), "", "an id that no token has");
  assert.throws(() => more.token(more.size), /outside the vocabulary/);
  const renamed = JSON.stringify({ mask_token: "<unk>" });
  const unused = { ...files, "special_tokens_map.json": renamed };
  assert.is(createTokenizer(unused).mask, 3);
  const listed = JSON.stringify({ added_tokens_decoder: {} });
  assert.is(createTokenizer({ ...unused, "tokenizer_config.json": listed }).mask, kept.mask);
  assert.is(createTokenizer({ ...files, "tokenizer_config.json": renamed }).mask, 3);
});

layouts("vocab.txt alone is cased where it has a capital letter", () => {
  const cased = createTokenizer({ "vocab.txt": filesOf("bert-cased")["vocab.txt"] });
  const uncased = createTokenizer({ "vocab.txt": filesOf("bert-uncased")["vocab.txt"] });
  assert.is.not(`${cased.encode("THE")}`, `${cased.encode("the")}`);
  assert.equal(uncased.encode("THE"), uncased.encode("the"));
});

layouts("the class or the model's type chooses among the files", () => {
  const both = { ...filesOf("bert-cased"), ...filesOf("roberta") };
  const named = (config: object, model: object = {}) =>
    createTokenizer({
      ...both,
      "tokenizer_config.json": JSON.stringify(config),
      "config.json": JSON.stringify(model),
    }).kind;
  assert.is(named({}), "wordpiece");
  assert.is(named({}, { model_type: "roberta" }), "bpe");
  assert.is(named({ tokenizer_class: "BertTokenizerFast" }, { model_type: "bart" }), "wordpiece");
  assert.is(named({ tokenizer_class: "PreTrainedTokenizerFast" }, { model_type: "bart" }), "bpe");
});

layouts("GPT-2's special tokens", () => {
  const vocab = { a: 0, Ġ: 1, Ġa: 2, "<|endoftext|>": 3 };
  const files = { "vocab.json": JSON.stringify(vocab), "merges.txt": "Ġ a\n" };
  const gpt2 = createTokenizer({ ...files, "config.json": '{"model_type": "gpt2"}' });
  assert.equal(gpt2.encode("a a<|endoftext|>"), [0, 2, 3]);
  assert.equal([gpt2.bos, gpt2.eos, gpt2.unk], [3, 3, 3]);
  assert.throws(() => gpt2.mask, /has no mask token; it has bos, eos, unk/);
  const pre_tokenizer = { type: "ByteLevel" };
  const structure = JSON.stringify({ pre_tokenizer, model: { type: "BPE", vocab, merges: [] } });
  assert.is(createTokenizer({ "tokenizer.json": structure }).eos, 3, "known by its token");
});

const errors = suite("errors");

const refuses = (files: TokenizerFiles, ...patterns: RegExp[]) => {
  try {
    createTokenizer(files, "folder");
  } catch (error) {
    for (const pattern of patterns) assert.match((error as Error).message, pattern);
    assert.is((error as Error).message.split("\n").length, 1);
    return;
  }
  assert.unreachable(`no error like ${patterns}`);
};

errors("name the directory, what was looked for, and the remedy", () => {
  refuses(
    {},
    /folder holds neither tokenizer.json, nor vocab.txt, nor vocab.json with merges.txt;/,
  );
  refuses(
    { ...filesOf("bert-cased"), "config.json": '{"model_type": "roberta"}' },
    /folder holds neither tokenizer.json nor vocab.json with merges.txt/,
    /model_type "roberta" in config.json asks for; name the directory/,
  );
  refuses(
    { ...filesOf("bert-cased"), "tokenizer_config.json": '{"tokenizer_class": "T5Tokenizer"}' },
    /folder has no tokenizer.json, which its tokenizer_class "T5Tokenizer" in tokenizer_config.json/,
    /save_pretrained/,
  );
});

errors("broken files", () => {
  const roberta = filesOf("roberta");
  refuses(
    { ...roberta, "merges.txt": "Ġ t\na b c\n" },
    /merges.txt:2 "a b c" is no pair of tokens/,
  );
  refuses({ ...roberta, "merges.txt": "Ġ t\nq q\n" }, /merges.txt:2 "q q".* one checkpoint/);
  refuses({ ...roberta, "vocab.json": '{"a": "b"}' }, /does not give each token its id/);
  refuses({ ...roberta, "vocab.json": '{"a": -1}' }, /does not give each token its id/);
  refuses({ ...roberta, "config.json": "{" }, /folder\/config.json is not JSON; fetch/);
  const structure = JSON.parse(filesOf("roberta-added")["tokenizer.json"] ?? "");
  const json = (changes: object) => ({
    "tokenizer.json": JSON.stringify({ ...structure, ...changes }),
  });
  refuses(
    json({ model: { type: "Unigram", vocab: [] } }),
    /tokenizer.json holds a Unigram vocabulary that does not give each token its score/,
  );
  refuses(
    json({ pre_tokenizer: { type: "Metaspace" } }),
    /tokenizer.json: pre_tokenizer \(Metaspace\) has replacement undefined/,
  );
  refuses(
    json({ normalizer: { type: "Odd" } }),
    /tokenizer.json: normalizer has the type "Odd".*; supported: BertNormalizer, /,
  );
});

errors("a file that is not UTF-8", async () => {
  const { folder } = await import("../../promptgen/fixture.ts");
  const { writeFileSync } = await import("node:fs");
  const root = folder({ "vocab.txt": "" });
  writeFileSync(`${root}/vocab.txt`, Uint8Array.of(0x5b, 0xff));
  try {
    await loadTokenizer(root);
  } catch (error) {
    assert.match(
      (error as Error).message,
      /vocab.txt is not UTF-8, the encoding that is expected: line 1 has the byte 0x/,
    );
    return;
  }
  assert.unreachable();
});

const words = suite("words");

words("byte-level words follow a space; WordPiece words are whole", () => {
  const roberta = made("roberta");
  assert.is(roberta.wordId("example"), roberta.id("Ġexample"));
  assert.is(roberta.word(roberta.id("Ġexample")), "example");
  assert.is(roberta.word(roberta.id("example")), undefined);
  assert.is(roberta.word(roberta.id("Ġ")), undefined);
  assert.is(roberta.word(roberta.mask), undefined);
  assert.is(roberta.wordIdOrUndefined("nothing of the kind"), undefined);
  const bert = made("bert-cased");
  assert.is(bert.wordId("naïve"), bert.id("naïve"));
  assert.is(bert.word(bert.id("##s")), undefined);
  assert.is(bert.wordIdOrUndefined("##s"), undefined);
  assert.is(bert.wordIdOrUndefined("[MASK]"), undefined);
  assert.throws(() => bert.wordId("[MASK]"), /"\[MASK\]" is not one of .* tokens as a whole word/);
});

words("a special token is no word, even where tokenizer.json does not list it as one", () => {
  const structure = JSON.parse(filesOf("bert-added")["tokenizer.json"] ?? "");
  const text = JSON.stringify({ ...structure, added_tokens: [] });
  const bert = createTokenizer({ "tokenizer.json": text });
  assert.is(bert.word(bert.mask), undefined);
  assert.is(bert.word(bert.id("[unused1]")), "[unused1]");
});

words("RoBERTa has the roles of a masked LM", () => {
  const roberta = made("roberta");
  assert.equal([roberta.cls, roberta.sep], [roberta.bos, roberta.eos]);
  assert.equal([roberta.cls, roberta.pad, roberta.sep, roberta.unk], [0, 1, 2, 3]);
  assert.is(roberta.token(roberta.mask), "<mask>");
  assert.equal(roberta.encode("example <mask>."), [
    roberta.id("example"),
    roberta.mask,
    roberta.id("."),
  ]);
});

words("half a surrogate pair is read as U+FFFD", () => {
  for (const tokenizer of [made("bert-cased"), made("roberta")]) {
    assert.equal(tokenizer.encode("a\ud83d b\udc00"), tokenizer.encode("a\ufffd b\ufffd"));
  }
});

for (const one of [equality, points, layouts, errors, words]) one.run();
