import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  createTokenizer,
  loadTokenizer,
  remembering,
} from "../../../models/tokenizer/tokenizer.ts";
import { folder, MERGES_TXT, VOCAB_JSON, VOCAB_TXT } from "../../promptgen/fixture.ts";

const bert = createTokenizer({ "vocab.txt": VOCAB_TXT });
const bart = createTokenizer({ "vocab.json": VOCAB_JSON, "merges.txt": MERGES_TXT });

const wordPiece = suite("WordPiece");

wordPiece("splits words into the longest pieces", () => {
  assert.equal(bert.encode("the unaffable cats."), [5, 8, 9, 10, 6, 7, 11]);
});

wordPiece("keeps case and accents", () => {
  assert.equal(bert.encode("café cafe The"), [12, 1, 1]);
});

wordPiece("adds no special token, and reads the ones that are written", () => {
  assert.equal(bert.encode("the [MASK]."), [5, 4, 11]);
  assert.equal(bert.encode(""), []);
});

wordPiece("splits at punctuation and ignores kinds of white space", () => {
  assert.equal(bert.encode(" the\u00a0\tcat\n.the"), [5, 6, 11, 5]);
});

wordPiece("a word with an unknown piece is one [UNK]", () => {
  assert.equal(bert.encode("catx the"), [1, 5]);
});

wordPiece("decodes pieces into words", () => {
  assert.is(bert.decode([5, 8, 9, 10, 6, 7, 11]), "the unaffable cats.");
  assert.is(bert.decode([]), "");
  assert.is(bert.decode([2, 5, 4, 3]), "[CLS] the [MASK] [SEP]");
});

wordPiece("knows its special tokens by role", () => {
  assert.equal([bert.pad, bert.unk, bert.cls, bert.sep, bert.mask], [0, 1, 2, 3, 4]);
  assert.throws(
    () => bert.eos,
    /this wordpiece tokenizer has no eos token; it has cls, sep, mask, pad, unk/,
  );
});

wordPiece("gives ids and tokens, and says when there is none", () => {
  assert.is(bert.id("##able"), 10);
  assert.is(bert.idOrUndefined("dog"), undefined);
  assert.is(bert.token(13), "Paris");
  assert.is(bert.size, 16);
  assert.is(bert.vocabulary.size, 16);
  assert.throws(() => bert.id("dog"), /"dog" is not one of the 16 tokens/);
  assert.throws(() => bert.token(16), /id 16 is outside the vocabulary of 16/);
  assert.throws(() => bert.decode([5, -1]), /id -1 is outside/);
});

wordPiece("lower-cases where the configuration says so", () => {
  const config = JSON.stringify({ do_lower_case: true });
  const uncased = createTokenizer({ "vocab.txt": VOCAB_TXT, "tokenizer_config.json": config });
  assert.equal(uncased.encode("THE Cat"), [5, 6]);
});

const bytePairs = suite("byte-level BPE");

bytePairs("a space belongs to the word behind it", () => {
  assert.equal(bart.encode("the the cat"), [9, 11, 16]);
  assert.equal(bart.encode(" the"), [11]);
});

bytePairs("<mask> eats the space before it, not the one behind", () => {
  assert.equal(bart.encode("the <mask> cat"), [9, 27, 16]);
  assert.equal(bart.encode("the<mask>"), [9, 27]);
});

bytePairs("spells bytes and decodes them", () => {
  assert.equal(bart.encode(" café"), [23]);
  assert.is(bart.decode([9, 23]), "the café");
  assert.is(bart.decode([0, 9, 27, 16, 2]), "<s>the<mask> cat</s>");
});

bytePairs("knows its special tokens by role", () => {
  assert.equal([bart.bos, bart.pad, bart.eos, bart.unk, bart.mask], [0, 1, 2, 3, 27]);
  assert.equal([bart.cls, bart.sep], [0, 2], "as the masked LMs of its family have them");
});

const files = suite("files");

files("vocab.txt with Windows line ends is the same vocabulary", () => {
  const other = createTokenizer({ "vocab.txt": VOCAB_TXT.replaceAll("\n", "\r\n") });
  assert.equal([...other.vocabulary], [...bert.vocabulary]);
});

files("reads a directory with vocab.txt, or vocab.json and merges.txt", async () => {
  const first = await loadTokenizer(folder({ "vocab.txt": VOCAB_TXT }));
  assert.equal(first.encode("the cat"), [5, 6]);
  const second = await loadTokenizer(
    folder({ "vocab.json": VOCAB_JSON, "merges.txt": MERGES_TXT }),
  );
  assert.equal(second.encode("the cat"), [9, 16]);
});

files("tokenizer.json goes before the older files", async () => {
  const structure = {
    added_tokens: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((content, id) => ({
      id,
      content,
      special: true,
      normalized: false,
    })),
    normalizer: null,
    pre_tokenizer: { type: "BertPreTokenizer" },
    // adds [CLS] and [SEP] unless the caller asks for bare ids
    post_processor: { type: "BertProcessing", cls: ["[CLS]", 2], sep: ["[SEP]", 3] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      vocab: { "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, new: 5 },
    },
  };
  const directory = folder({
    "tokenizer.json": JSON.stringify(structure),
    "vocab.txt": VOCAB_TXT,
  });
  const tokenizer = await loadTokenizer(directory);
  assert.equal(tokenizer.encode("new [MASK]"), [5, 4]);
  assert.is(tokenizer.mask, 4);
});

files("says what is missing or broken", async () => {
  const rejects = async (contents: Record<string, string>, pattern: RegExp) => {
    try {
      await loadTokenizer(folder(contents));
    } catch (error) {
      assert.match((error as Error).message, pattern);
      return;
    }
    assert.unreachable(`no error like ${pattern}`);
  };
  await rejects({ "vocab.json": VOCAB_JSON }, /holds neither tokenizer.json, nor vocab.txt/);
  await rejects({ "tokenizer.json": "{" }, /tokenizer.json is not JSON/);
  for (const json of ["{", "[]", "null"]) {
    const contents = { "vocab.txt": VOCAB_TXT, "config.json": json };
    await rejects(contents, /^\[config\] .*\/config\.json is not (a )?JSON/);
  }
  await rejects({ "tokenizer.json": "[]" }, /tokenizer.json is not a JSON object/);
  await rejects({ "tokenizer.json": "{}" }, /tokenizer.json: model has the type undefined/);
  await rejects({ "vocab.txt": "[PAD]\n[UNK]\nthe\n" }, /lack the special tokens \[CLS\] \(cls\)/);
});

files("a byte order mark is no part of a file, a pipe is refused at once", async () => {
  const plain = await loadTokenizer(folder({ "vocab.txt": VOCAB_TXT }));
  const marked = folder({ "vocab.txt": `\uFEFF${VOCAB_TXT}`, "tokenizer_config.json": "\uFEFF{}" });
  assert.equal((await loadTokenizer(marked)).vocabulary, plain.vocabulary);
  for (const name of ["config.json", "tokenizer.json", "vocab.txt"]) {
    const directory = folder({});
    execFileSync("mkfifo", [join(directory, name)]);
    const said = await loadTokenizer(directory).then(String, (error) => error.message);
    const area = name === "config.json" ? "config" : "tokenizer";
    assert.is(
      said,
      `[${area}] ${join(directory, name)} is a pipe (FIFO), not a file; make it a readable file`,
    );
  }
});

wordPiece("works once for each text, and forgets before its memory is full", () => {
  let worked = 0;
  const counted = { encode: (text: string) => [text.length, worked++] };
  const encode = remembering(counted, 2);
  assert.equal(encode("a"), [1, 0]);
  assert.equal(encode("bb"), [2, 1]);
  assert.equal(encode("a"), [1, 0]);
  assert.equal(encode("ccc"), [3, 2]);
  assert.equal(encode("a"), [1, 3]);
});

for (const one of [wordPiece, bytePairs, files]) one.run();
