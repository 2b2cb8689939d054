/** Random tokenizer.json files of every part that is read, against digests of what Python's tokenizers made of 100 texts each. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tokenizerFiles } from "../../../models/hub/files.ts";
import type { TokenizerFiles } from "../../../models/tokenizer/files.ts";
import { createTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { goldenPath } from "./golden.ts";

type Golden = {
  readonly json: Readonly<Record<string, unknown>> & { readonly model: { readonly type: string } };
  readonly first: number;
  readonly step: number;
  /** Of each text four hex digits for its ids, four for what they decode to. */
  readonly digests: string;
};

const [charsmap, ...rest] = gunzipSync(readFileSync(goldenPath("parts.json.gz")))
  .toString("utf8")
  .split("\n");
const { strings, tokenizers } = JSON.parse(
  rest.join("\n").replaceAll("@CHARSMAP@", JSON.parse(charsmap)),
) as { readonly strings: readonly string[]; readonly tokenizers: readonly Golden[] };

const digest = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 4);

const equality = suite("equal to Python");

equality(`${tokenizers.length} random tokenizers, 100 texts each`, () => {
  assert.ok(tokenizers.length >= 300);
  const wrong: string[] = [];
  for (const [i, { json, first, step, digests }] of tokenizers.entries()) {
    const { normalizer, pre_tokenizer, decoder, added_tokens } = json;
    const { vocab: _, merges: __, ...model } = json.model as Record<string, unknown>;
    const parts = JSON.stringify({ normalizer, pre_tokenizer, model, decoder, added_tokens });
    const tokenizer = createTokenizer({ "tokenizer.json": JSON.stringify(json) }, `random ${i}`);
    for (let n = 0; n < 100; n++) {
      const text = strings[(first + step * n) % strings.length];
      const ids = tokenizer.encode(text);
      const [wantedIds, wantedText] = [
        digests.slice(8 * n, 8 * n + 4),
        digests.slice(8 * n + 4, 8 * n + 8),
      ];
      const shown = `${JSON.stringify(text).slice(0, 150)}: tokenizer ${i} ${parts.slice(0, 1500)}`;
      if (digest(ids.join(" ")) !== wantedIds) wrong.push(`ids of ${shown}`);
      else if (digest(tokenizer.decode(ids)) !== wantedText) wrong.push(`text of ${shown}`);
    }
  }
  assert.is(
    wrong.length,
    0,
    `${wrong.length} differ:\n${wrong.slice(0, Number(process.env.SHOWN ?? 3)).join("\n")}`,
  );
});

const one = (changes: object, others: TokenizerFiles = {}) =>
  createTokenizer(
    {
      ...others,
      "tokenizer.json": JSON.stringify({
        model: { type: "WordLevel", unk_token: "?", vocab: { "?": 0, a: 1, é: 2, ".": 3, b: 5 } },
        ...changes,
      }),
    },
    "folder",
  );

const words = (pre_tokenizer: object, text: string, normalizer: object | null = null): string[] => {
  const letters = Object.fromEntries(WORDS.map((word, id) => [word, id]));
  const model = { type: "WordLevel", unk_token: "?", vocab: letters };
  const tokenizer = one({ model, pre_tokenizer, normalizer });
  return tokenizer.encode(text).map((id) => tokenizer.token(id));
};

const WORDS =
  "? Le café est à Orléans . Москва — столица России Wait ... what ! ?! а 1 २ Wait... what?!".split(
    " ",
  );

equality("words beyond ASCII", () => {
  const whitespace = { type: "Whitespace" };
  assert.equal(words(whitespace, "Le café est à Orléans."), [
    "Le",
    "café",
    "est",
    "à",
    "Orléans",
    ".",
  ]);
  assert.equal(words(whitespace, "Москва — столица России."), [
    "Москва",
    "—",
    "столица",
    "России",
    ".",
  ]);
  const split = (behavior: string) => ({ type: "Punctuation", behavior });
  const steps = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
  const blanks = { type: "WhitespaceSplit" };
  assert.equal(
    words(steps(blanks, split("Isolated")), "Wait... what?!"),
    "Wait . . . what ? !".split(" "),
  );
  assert.equal(
    words(steps(blanks, split("Contiguous")), "Wait... what?!"),
    "Wait ... what ?!".split(" "),
  );
  const removed = { type: "Split", pattern: { String: " " }, behavior: "Removed", invert: false };
  assert.equal(words(removed, "Wait... what?!"), ["Wait...", "what?!"]);
  assert.equal(words({ type: "Digits", individual_digits: true }, "а1२"), ["а", "1", "२"]);
  // U+0085 is white space, U+FEFF is not
  assert.equal(
    words(blanks, "Wait\u0085what\ufeff Le"),
    ["Wait", "what\ufeff", "Le"].map((w) => (w === "what\ufeff" ? "?" : w)),
  );
});

equality("(?i:...) ends where it ends: U+0345 is no letter without regard to case either", () => {
  const Regex = "(?i:'s|'t)|\\p{L}+|\\P{L}+";
  const pre_tokenizer = { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false };
  const model = {
    type: "WordLevel",
    unk_token: "?",
    vocab: { "?": 0, a: 1, "\u0345\u0301": 2, "'S": 3 },
  };
  assert.equal(
    one({ model, pre_tokenizer }).encode("a\u0345\u0301a'Sa'\u017f"),
    [1, 2, 1, 3, 1, 0],
  );
});

equality("what a normalizer leaves nothing of is no word", () => {
  const normalizer = { type: "Strip", strip_left: true, strip_right: true };
  const pre_tokenizer = { type: "ByteLevel", add_prefix_space: true, use_regex: false };
  const tokenizer = one({ normalizer, pre_tokenizer });
  assert.equal(tokenizer.encode(" \n"), []);
  assert.equal(tokenizer.encode(""), []);
});

equality("an added token counts where the one before it took the space that it begins with", () => {
  for (const lstrip of [false, true]) {
    const added_tokens = [
      { id: 6, content: "x", rstrip: true, special: true },
      { id: 7, content: " y", lstrip, special: true },
    ];
    const tokenizer = one({ added_tokens });
    assert.equal(tokenizer.encode("ax yb"), [1, 6, 7, 5]);
    assert.equal(tokenizer.encode("x   yb"), [6, 7, 5]);
  }
  // unless nothing is left of it
  const space = { id: 6, content: " ", lstrip: true, rstrip: true, special: true };
  assert.equal(one({ added_tokens: [space] }).encode("a  b"), [1, 6, 5]);
});

equality("an id without a token is nothing", () => {
  const tokenizer = one({ decoder: { type: "Fuse" } });
  assert.is(tokenizer.token(4), "");
  assert.is(tokenizer.decode([1, 4, 5]), "ab");
  assert.is(one({}).decode([1, 4, 5]), "a b");
});

const files = suite("files");

files("added_tokens.json beside tokenizer.json and vocab.txt", () => {
  const pre_tokenizer = { type: "Whitespace" };
  const model = { type: "WordLevel", unk_token: "?", vocab: { "?": 0, a: 1 } };
  const beside = (added: object) =>
    one({ model, pre_tokenizer }, { "added_tokens.json": JSON.stringify(added) });
  const tokenizer = beside({ "<ent>": 3, "covid-19": 2 });
  assert.equal(tokenizer.encode("covid-19 <ent> a"), [2, 3, 1]);
  assert.equal([tokenizer.size, tokenizer.token(3)], [4, "<ent>"]);
  assert.throws(
    () => beside({ "<ent>": 7 }),
    /folder\/tokenizer.json lacks .*"<ent>".* the id 7.*supported: 2, /,
  );
  const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n";
  const older = createTokenizer({
    "vocab.txt": vocab,
    "added_tokens.json": '{"covid-19": 6, "<ent>": 7}',
  });
  assert.equal(older.encode("covid-19 <ent> a"), [6, 7, 5]);
});

files("added_tokens.json is one of the files of a folder that are looked for", () => {
  for (const set of [["tokenizer.json"], ["vocab.txt"], ["vocab.json", "merges.txt"]]) {
    const chosen = tokenizerFiles(new Set([...set, "added_tokens.json", "other.json"]));
    assert.equal(chosen, ["added_tokens.json", ...set]);
  }
});

files("a byte order mark is none of the text", () => {
  const vocab = JSON.stringify({
    model: { type: "WordLevel", unk_token: "?", vocab: { "?": 0, a: 1 } },
  });
  const given = { "tokenizer.json": `\ufeff${vocab}`, "added_tokens.json": '\ufeff{"b": 2}' };
  assert.equal(createTokenizer(given).encode("ab"), [1, 2]);
});

files("a tokenizer.json has the roles that it has", () => {
  const vocab = { "[UNK]": 0, "[MASK]": 1, a: 2 };
  const tokenizer = one({ model: { type: "WordPiece", vocab } });
  assert.equal([tokenizer.unk, tokenizer.mask], [0, 1]);
  assert.throws(() => tokenizer.cls, /has no cls token/);
  assert.throws(
    () => createTokenizer({ "vocab.txt": "[UNK]\n[MASK]\na\n" }),
    /lack the special tokens/,
  );
});

const refusals = suite("refused by name");

const split = (Regex: string) => ({
  pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
});
const vocab = { "?": 0, a: 1 };

const REFUSED: readonly (readonly [changes: object, name: RegExp])[] = [
  [
    { pre_tokenizer: { type: "UnicodeScripts" } },
    /json: pre_tokenizer has the type "UnicodeScripts"/,
  ],
  [
    { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "UnicodeScripts" }] } },
    /pre_tokenizer.pretokenizers\[0\] has the type "UnicodeScripts"/,
  ],
  [{ normalizer: { type: "Odd" } }, /json: normalizer has the type "Odd"/],
  [{ decoder: { type: "Odd" } }, /json: decoder has the type "Odd"/],
  [
    { decoder: { type: "Sequence", decoders: [{ type: "Odd" }] } },
    /decoder.decoders\[0\] has the type "Odd"/,
  ],
  [{ post_processor: { type: "Odd" } }, /json: post_processor has the type "Odd"/],
  [{ model: { type: "Odd", vocab } }, /json: model has the type "Odd"/],
  [{ odd: {} }, /json has the part odd/],
  [{ model: { type: "BPE", vocab, merges: [], dropout: 0.1 } }, /model \(BPE\) has dropout 0.1/],
  [
    { model: { type: "WordLevel", vocab, unk_token: "?", odd: 1 } },
    /\(WordLevel\) has the option odd/,
  ],
  [
    { pre_tokenizer: { type: "Punctuation", behavior: "Odd" } },
    /\(Punctuation\) has behavior "Odd"/,
  ],
  [{ pre_tokenizer: { type: "FixedLength", length: 0 } }, /\(FixedLength\) has length 0/],
  [
    {
      normalizer: { type: "NFC" },
      pre_tokenizer: { type: "Metaspace", replacement: "_", prepend_scheme: "first" },
    },
    /\(Metaspace\) has prepend_scheme "first"/,
  ],
  [
    { normalizer: { type: "Replace", pattern: { Regex: "x*" }, content: "" } },
    /normalizer has a pattern that matches the empty/,
  ],
  [
    { normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" } },
    /has a precompiled_charsmap that is cut off/,
  ],
  [split("[a&&b]"), /has "&&" in the regular expression/],
  [split("(?<n>a)"), /in the regular expression "\(\?<n>a\)"/],
  [split("a++"), /has "\+\+" in the regular/],
  [split("^a"), /has "\^" in the regular/],
  [split("\\p{Scx=Han}"), /in the regular expression/],
  [split("(?i:ss)"), /has "\(\?i:ss\)"/],
  [{ added_tokens: [{ id: 2, content: "x", odd: true }] }, /has the added token "x" with odd true/],
];

refusals("every type, option and expression that is not computed", () => {
  for (const [changes, name] of REFUSED) assert.throws(() => one(changes), name, name.source);
});

for (const each of [equality, files, refusals]) each.run();
